"""What each process that serves with `WSGIServer` needs, with a master or without: logs, server, end.

Logs, build_server       before the first connection
end_gracefully           stop() drains, end_threads() waits for threads of the application
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from platform import python_version
from typing import Any, NoReturn

import gevent
import greenlet
from gevent.event import AsyncResult
from gevent.monkey import get_original

from greenserve import __version__
from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.net.listener import listener_name
from greenserve.net.logfile import CLOSE_TIMEOUT, LogFile
from greenserve.net.tls import build_context
from greenserve.observe.logs import configure_error_log
from greenserve.server.pywsgi import NullStream
from greenserve.server.server import WSGIServer
from greenserve.wsgi.run import Application, application_traceback

#: Seconds that requests get to end after they have been killed.
KILL_GRACE = 1.0

#: Seconds for each log at an end that is at once.
LAST_WORDS = 0.2

_start_thread = get_original("_thread", "start_new_thread")
_sleep = get_original("time", "sleep")

_STANDARD = {"-": 1, "stdout": 1, "stderr": 2}


def open_log(option: str, target: str) -> Any:
    """Return the stream for a log setting: the standard output or error, nothing, or a file to append to.

    Raises ConfigError where the file cannot be opened.
    """
    if target == "none":
        return NullStream()
    try:
        return LogFile(_STANDARD.get(target, target))
    except OSError as error:
        raise ConfigError(option, target, error.strerror or str(error)) from None


class Logs:
    """The error log and the access log of one process, as the settings say.  Raises ConfigError."""

    def __init__(self, config: Config) -> None:
        self.errors = open_log("error_log", "stderr" if config.error_log == "-" else config.error_log)
        self.access = open_log("access_log", config.access_log) if config.access_log is not None else None
        self._level = config.log_level
        self.logger = self.configure()

    def configure(self) -> Any:
        """Return the logger, set up (again): the application may have set up logging, too."""
        return configure_error_log(self.errors, self._level)

    def reopen(self) -> None:
        """Go on in new files of the same names."""
        for log in (self.errors, self.access):
            if isinstance(log, LogFile):
                try:
                    log.reopen()
                except OSError as error:
                    self.logger.error("a log cannot be opened again: %s", error)

    def write_now(self, timeout: float) -> None:
        """Write what is left, for at most `timeout` seconds for each log.

        No other greenlet runs meanwhile: what it answered would have no line.
        """
        for log in (self.access, self.errors):
            if isinstance(log, LogFile):
                log.write_now(timeout)

    def close(self) -> None:
        """Write what is left, as `write_now` does; what comes later is dropped."""
        self.write_now(CLOSE_TIMEOUT)
        for log in (self.access, self.errors):
            if isinstance(log, LogFile):
                log.close(0)


def build_server(
    listeners: list[Any],
    application: Application,
    config: Config,
    logs: Logs,
    make_context: Callable[..., Any] | None = None,
) -> WSGIServer:
    """Return a server that writes to `logs`, not started yet; `make_context` is the hook `ssl_context`."""
    logger = logs.configure()
    tls: dict[str, Any] = {}
    if make_context is not None and config.certfile is not None:
        tls["ssl_context"] = make_context(config, lambda: context_of(config))
    server = WSGIServer(listeners, application, log=logs.access, error_log=logs.errors, config=config, **tls)
    server.errors = logger
    server.report_error = lambda environ, error: report(logger, environ, error)
    return server


def context_of(config: Config) -> Any:
    """Return the TLS context that the settings ask for.  Raises ConfigError."""
    assert config.certfile is not None
    return build_context(
        config.certfile,
        config.keyfile,
        ca_certs=config.ca_certs,
        cert_reqs=config.cert_reqs,
        ciphers=config.ciphers,
    )


def announce(server: WSGIServer) -> str:
    """Return the line that says where the server listens, how, and which versions it is made of."""
    scheme = "https" if server.ssl_enabled else "http"
    names = [listener_name(listener) for listener in server.listeners.sockets]
    addresses = ", ".join(name if name.startswith("unix:") else f"{scheme}://{name}" for name in names)
    bound = "any number of" if server.cap is math.inf else f"up to {server.cap}"
    return (
        f"greenserve {__version__} listening on {addresses}, {bound} requests at once "
        f"(gevent {gevent.__version__}, greenlet {greenlet.__version__}, Python {python_version()})"
    )


def report(logger: Any, environ: dict[str, Any], error: BaseException) -> None:
    """Log an exception of the application, with its traceback."""
    logger.error(
        "%s %s failed",
        environ.get("REQUEST_METHOD", "-"),
        environ.get("RAW_URI", "-"),
        exc_info=(type(error), error, application_traceback(error) or error.__traceback__),
    )


@contextmanager
def stop_signals(note_end: Callable[[], None]) -> Iterator[AsyncResult]:
    """Give a result that becomes the name of the first signal to stop; a second one, and QUIT, end at once.

    The handlers are Python's, not the event loop's: they run while the application computes, too.  At once
    is when whatever runs has come to wait for something, so that what was answered has its line in the log,
    or after `LAST_WORDS` seconds.  Then `note_end` is called.
    """
    stopping = AsyncResult()
    loop = gevent.get_hub().loop
    names: list[str] = []
    pid = os.getpid()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if not is_handled(signal.SIGQUIT):
        numbers.append(signal.SIGQUIT)  # else it is the application's

    def on_signal(number: int, frame: object) -> None:
        if os.getpid() != pid:
            end_forked(number)
        names.append(signal.Signals(number).name)
        if len(names) == 1 and number != signal.SIGQUIT:
            loop.run_callback_threadsafe(stopping.set, names[0])
            return
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)  # told once more, it waits for nothing
        loop.run_callback_threadsafe(end, number)
        try:
            _start_thread(end_late, (number,))
        except RuntimeError:  # no more threads
            end(number)

    def end_late(number: int) -> None:
        _sleep(LAST_WORDS)
        end(number)

    def end(number: int) -> None:
        try:
            note_end()
        finally:
            end_by(number)

    for number in numbers:
        signal.signal(number, on_signal)
    try:
        yield stopping
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)  # it is about to end; asked again, at once


def is_handled(number: int) -> bool:
    """Whether a signal has a handler, or is ignored; one of C code, too, of which Python does not know."""
    if signal.getsignal(number) is not signal.SIG_DFL:
        return True
    try:
        with open("/proc/self/status", "rb") as file:  # proc(5)
            caught = next((int(line.split()[1], 16) for line in file if line.startswith(b"SigCgt:")), 0)
    except OSError:
        return False
    return bool(caught >> (number - 1) & 1)


def end_by(number: int) -> NoReturn:
    """End this process at once, by a signal that is not handled any more."""
    signal.raise_signal(number)
    os._exit(128 + number)  # it was process 1, which such a signal does not end


def end_forked(number: int) -> NoReturn:
    """End, as any program would, by a signal that a process gets which the application has forked.

    It has the handlers of its parent, and a copy of all greenlets: it is not to stop the server once more.
    """
    signal.signal(number, signal.SIG_DFL)
    end_by(number)


def write_last_lines(server: WSGIServer, logs: Logs) -> None:
    """Write what the logs have yet to tell, in a process that ends at once."""
    server.flush_access_log()
    logs.write_now(LAST_WORDS)


def end_gracefully(
    server: WSGIServer, config: Config, logger: Any, note_drained: Callable[[], None] = lambda: None
) -> bool:
    """Drain, within the time for that; return whether all threads of the application have ended, too.

    `note_drained` is called when it waits for these alone.
    """
    ends = time.monotonic() + (config.graceful_timeout or math.inf)
    stop(server, ends - time.monotonic())
    note_drained()
    return end_threads(logger, max(0.0, ends - time.monotonic()))


def stop(server: WSGIServer, timeout: float) -> None:
    """Drain the server; what is not done after `timeout` seconds is ended."""
    if not server.stop(timeout):
        assert server.draining is not None
        for request in server.draining.requests():
            server.errors.warning("not done in time and ended: %s", request)
        if server.cap is math.inf:
            server.kill()  # else it has done so: told again, an application could not even tidy up
        server.draining.wait(KILL_GRACE, None)


def end_threads(logger: Any, timeout: float) -> bool:
    """Wait for the application's threads that are no daemons; return whether they have all ended.

    The interpreter would wait for them for ever.
    """
    ends = time.monotonic() + timeout
    main = threading.main_thread()
    threads = [each for each in threading.enumerate() if each is not main and not each.daemon]
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()) if timeout < math.inf else None)
    alive = [thread.name for thread in threads if thread.is_alive()]
    if alive:
        logger.warning("threads of the application do not end and are left behind: %s", ", ".join(alive))
    return not alive

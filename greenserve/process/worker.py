"""One process that serves: logs, application, server, signals, drain.

run -> run_loading -> open_log -> load_application -> WSGIServer.start -> wait for a signal -> WSGIServer.stop
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
from typing import Any

import gevent
import greenlet
from gevent.event import AsyncResult

from greenserve import __version__, importer
from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.net.listener import listener_name
from greenserve.net.logfile import LogFile
from greenserve.observe.logs import configure_error_log
from greenserve.server.pywsgi import NullStream
from greenserve.server.server import WSGIServer
from greenserve.wsgi.run import Application, application_traceback

#: Seconds that requests get to end after they have been killed.
KILL_GRACE = 1.0

_STANDARD = {"-": 1, "stdout": 1, "stderr": 2}


def run(config: Config) -> int:
    """Serve what `config` asks for until a signal ends it; return the exit status.

    Raises AppImportError, ConfigError, ListenError before the first connection is accepted.
    """
    return run_loading(lambda: importer.load_application(config.application), config)


def run_loading(load: Callable[[], Application], config: Config) -> int:
    """Serve what `load` returns, called when the error log is open; all else is as in `run`."""
    errors = open_log("error_log", "stderr" if config.error_log == "-" else config.error_log)
    access = open_log("access_log", config.access_log) if config.access_log is not None else None
    logger = configure_error_log(errors, config.log_level)
    application = load()
    configure_error_log(errors, config.log_level)  # the application may have set up logging, too
    server = WSGIServer(list(config.bind), application, log=access, error_log=errors, config=config)
    server.errors = logger
    server.report_error = lambda environ, error: report(logger, environ, error)
    try:
        with stop_signals() as stopping:
            server.start()
            logger.info("%s", announce(server))
            name = stopping.get()
            logger.info("%s: stopping", name)
            ends = time.monotonic() + (config.graceful_timeout or math.inf)
            stop(server, ends - time.monotonic())
            ended = end_threads(logger, max(0.0, ends - time.monotonic()))
            logger.info("stopped")
    finally:
        for log in (access, errors):
            if log is not None:
                log.close()
    if not ended:
        os._exit(0)
    return 0


def serve(application: Application, bind: str = "127.0.0.1:8000", **settings: Any) -> None:
    """Serve `application` in this process until it is interrupted; no signal handler is installed.

    `bind` and `settings` are those of docs/settings.md.  Raises ConfigError, ListenError.
    """
    WSGIServer(bind, application, **settings).serve_forever()


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
def stop_signals() -> Iterator[AsyncResult]:
    """Give a result that becomes the name of the first signal to stop; a second one ends at once.

    The handlers are Python's, not the event loop's: they run while the application computes, too.
    """
    stopping = AsyncResult()
    loop = gevent.get_hub().loop
    names: list[str] = []

    def on_signal(number: int, frame: object) -> None:
        names.append(signal.Signals(number).name)
        if len(names) > 1:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        loop.run_callback_threadsafe(stopping.set, names[0])

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        yield stopping
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # it is about to end; asked again, at once


def stop(server: WSGIServer, timeout: float) -> None:
    """Drain the server; what is not done after `timeout` seconds is ended."""
    if not server.stop(timeout):
        assert server.draining is not None
        for request in server.draining.requests():
            server.errors.warning("not done in time and ended: %s", request)
        server.kill()
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

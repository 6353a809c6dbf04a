"""Processes that serve: one without a master (`run`), and the worker class that is shipped (`GeventWorker`).

run -> run_loading -> Logs -> load -> WSGIServer.start -> wait for a signal -> WSGIServer.stop
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NoReturn

import gevent
from gevent.event import AsyncResult

from greenserve import importer, patching
from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.net.stream import READ
from greenserve.process import privileges
from greenserve.process.contract import Worker
from greenserve.process.hooked import answered, hooked
from greenserve.process.hooks import Hooks, guarded
from greenserve.process.listening import ListenerSets
from greenserve.process.load import Load, at_the_end_of_rounds, at_the_start_of_rounds
from greenserve.process.memory import resident_memory
from greenserve.process.pidfile import Pidfile
from greenserve.process.recorded import record_requests
from greenserve.process.serving import (
    LAST_WORDS,
    Logs,
    announce,
    build_server,
    end_forked,
    end_gracefully,
    stop_signals,
    write_last_lines,
)
from greenserve.process.stack import calls_to
from greenserve.process.supervisor import Supervisor
from greenserve.process.title import set_title, title_of
from greenserve.process.warmup import warm_up
from greenserve.server.server import WSGIServer
from greenserve.wsgi.run import Application

#: Seconds between two beats of a worker at most.
LONGEST_BEAT = 1.0

NO_HOOKS = Hooks()


def run(config: Config, hooks: Hooks = NO_HOOKS) -> int:
    """Serve what `config` asks for until a signal ends it; return the exit status.

    Raises AppImportError, ConfigError, ListenError before the first connection is accepted.
    """
    return run_loading(lambda: importer.load_application(config.application), config, hooks)


def run_loading(load: Callable[[], Application], config: Config, hooks: Hooks = NO_HOOKS) -> int:
    """Serve what `load` returns, called when the error log is open; all else is as in `run`."""
    logs = Logs(config)
    pidfile = Pidfile(config.pidfile) if config.pidfile else None
    if pidfile is not None:
        pidfile.create()
    try:
        ended = serve_until_signal(load, config, logs, guarded(hooks, logs.logger))
    finally:
        if pidfile is not None:
            pidfile.remove()
        logs.close()
    if not ended:
        os._exit(0)
    return 0


def serve_until_signal(load: Callable[[], Application], config: Config, logs: Logs, hooks: Hooks) -> bool:
    """Serve until a signal ends it; return whether all threads of the application have ended, too."""
    set_title(title_of("server", config.proc_name or config.application))
    listeners = give_up_privileges(config)
    only = OnlyProcess(config, logs.logger)
    hooks.post_patch(only)
    application = load()
    if hooks.pre_request is not None or hooks.post_request is not None:
        application = hooked(application, only, hooks.pre_request)
    server = build_server(listeners or list(config.bind), application, config, logs, hooks.ssl_context)
    hooks.post_worker_init(only)
    supervisor = Supervisor()
    with stop_signals(lambda: write_last_lines(server, logs)) as stopping, beating(supervisor):
        server.start()
        if hooks.post_request is not None:
            server.log_access = answered(server.log_access, only, hooks.post_request)
        logs.logger.info("%s", announce(server))
        supervisor.note_ready("serving", time.monotonic())
        name = stopping.get()
        logs.logger.info("%s: stopping", name)
        supervisor.note_stop(config.shutdown_delay, config.graceful_timeout)
        if config.shutdown_delay:
            gevent.sleep(config.shutdown_delay)
        ended = end_gracefully(server, config, logs.logger)
        server.flush_access_log()  # what goes on all the same may have been answered just now
        logs.logger.info("stopped")
    return ended


class OnlyProcess:
    """What the hooks are given as `worker` where there is no master."""

    def __init__(self, config: Config, log: Any) -> None:
        self.cfg = config
        self.log = log
        self.age = 0
        self.pid = os.getpid()
        self.ppid = os.getppid()
        self.alive = True


@contextmanager
def beating(supervisor: Supervisor) -> Iterator[None]:
    """Have the event loop of this process give the signs of life that systemd may want."""
    if supervisor.interval is None:
        yield
        return
    interval = min(LONGEST_BEAT, supervisor.interval / 4)
    beat = gevent.get_hub().loop.timer(interval, interval, ref=False)
    beat.start(lambda: supervisor.beat(time.monotonic(), turns=True))
    try:
        yield
    finally:
        beat.stop()
        beat.close()


def give_up_privileges(config: Config) -> list[Any]:
    """Become the user that serves; return the sockets that had to be bound before, if any."""
    listeners: list[Any] = []
    if config.user is not None or config.group is not None:
        privileges.find(config.user, config.group)
        sets = ListenerSets(config.bind, config)
        sets.open(1)
        listeners = sets.every()
        gevent.get_hub()  # it imports what the user may not be able to read
    privileges.drop(config.user, config.group, config.umask)
    return listeners


def serve(application: Application, bind: str = "127.0.0.1:8000", **settings: Any) -> None:
    """Serve `application` in this process until it is interrupted; no signal handler is installed.

    `bind` and `settings` are those of docs/settings.md.  Raises ConfigError, ListenError.
    """
    try:
        server = WSGIServer(bind, application, **settings)
    except ConfigError as error:
        raise error.renamed({"listener": "bind"}) from None
    server.serve_forever()


class GeventWorker(Worker):
    """The worker class that is shipped: `WSGIServer` in a child of the master."""

    server: WSGIServer
    logs: Logs
    is_too_large = False
    #: The greenlet that starts it.
    main: Any = None

    @staticmethod
    def patch() -> None:
        """Make the standard library cooperative."""
        patching.patch()

    def run(self) -> int:
        """Serve until the master says to stop, or is gone; return the exit status."""
        patching.reinit()
        self.main = gevent.getcurrent()
        self.on_signal(signal.SIGUSR1, self.reopen_logs)  # first: the import may take its time
        self.logs = Logs(self.cfg)
        self.wsgi = self.load()
        self.server = self.build()
        self.hooks.post_worker_init(self)
        stopping: AsyncResult = AsyncResult()
        watchers = self.watch(stopping)
        self.start()
        name = stopping.get()
        self.logs.logger.debug("%s: stopping", name)
        return self.stop(name, watchers)

    def load(self) -> Application:
        """Return the application, with what is done around each request if that is wanted."""
        config, hooks = self.cfg, self.hooks
        application: Application = self.link.load_application()
        self.log = self.logs.configure()
        if config.max_requests:
            limit = config.max_requests + random.randint(0, config.max_requests_jitter)
            application = self.counting(application, limit)
        if hooks.pre_request is not None or hooks.post_request is not None:
            application = hooked(application, self, hooks.pre_request)
        return application

    def counting(self, application: Application, limit: int) -> Application:
        """Return `application` behind a counter that asks for this worker's replacement."""

        def counted(environ: dict[str, Any], start_response: Any) -> Any:
            self.nr += 1
            if self.nr == limit:
                self.link.ask_for_replacement(f"it has served {limit} requests")
            return application(environ, start_response)

        return counted

    def build(self) -> WSGIServer:
        """Return the server, not started yet."""
        link, config = self.link, self.cfg
        server = build_server(list(link.listeners), self.wsgi, config, self.logs, self.hooks.ssl_context)
        self.load_of = Load(server)
        record_requests(server, link.recorder, self.load_of.newcomers)
        server.set_environ({"wsgi.multiprocess": True})
        server.max_accept = 1  # the others may have less to do
        if not config.reuse_port:
            server.is_busier = self.is_busier
        return server

    def start(self) -> None:
        """Serve, once the application has shown that it can."""
        server, hooks = self.server, self.hooks
        if self.cfg.warmup_path is not None:
            server.init_socket()
            warm_up(self.wsgi, self.cfg.warmup_path, server.environ)
        server.start()
        if hooks.post_request is not None:
            server.log_access = answered(server.log_access, self, hooks.post_request)
        self.booted = True
        self.link.ready()

    def watch(self, stopping: AsyncResult) -> list[Any]:
        """Hear the signals and the master's end, and show signs of life; return the watchers for that."""
        loop, link = gevent.get_hub().loop, self.link
        self.on_signal(signal.SIGTERM, stopping.set, "SIGTERM", forked=end_forked)
        self.on_signal(signal.SIGQUIT, self.quit, stopping, forked=end_forked)
        self.on_signal(signal.SIGUSR1, self.reopen_logs)  # the application may have taken it
        gone = loop.io(link.master_gone, READ)
        gone.start(self.note_loss, stopping, gone)
        interval = min(LONGEST_BEAT, self.cfg.timeout / 4) if self.cfg.timeout else LONGEST_BEAT
        beat = loop.timer(0.0, interval, ref=False)
        beat.start(self.beat)
        self.rounds = [
            at_the_start_of_rounds(loop, self.begin_round),
            at_the_end_of_rounds(loop, self.publish),
        ]
        return [gone, beat, *self.rounds]

    def on_signal(
        self,
        number: int,
        call: Callable[..., Any],
        *arguments: Any,
        forked: Callable[[int], Any] = lambda number: None,
    ) -> None:
        """Have the event loop make a call at a signal; in a forked child call `forked` instead."""
        loop = gevent.get_hub().loop

        def handle(number: int, frame: object) -> None:
            if os.getpid() == self.pid:
                loop.run_callback_threadsafe(call, *arguments)
            else:
                forked(number)

        signal.signal(number, handle)

    def reopen_logs(self) -> None:
        """USR1: go on in new files."""
        self.link.reopen_log()
        self.logs.reopen()

    def quit(self, stopping: AsyncResult) -> None:
        """QUIT: end at once, even if a graceful end has begun."""
        if stopping.ready():
            self.end_at_once()
        stopping.set("SIGQUIT")

    def note_loss(self, stopping: AsyncResult, watcher: Any) -> None:
        """The master is gone, without a word."""
        watcher.stop()
        self.logs.logger.error("the master is gone; stopping")
        stopping.set("the end of the master")

    def beat(self) -> None:
        """Show that the event loop turns; look at the memory."""
        self.link.beat()
        limit = self.cfg.max_worker_memory
        if limit and not self.is_too_large and (size := resident_memory()) > limit:
            self.is_too_large = True
            self.link.ask_for_replacement(f"it has {size >> 20} MiB of memory")

    def begin_round(self) -> None:
        """Note when requests came, and tell the others that newcomers are not accepted at once."""
        self.link.recorder.begin_round()
        self.link.be_away()

    def publish(self) -> None:
        """Tell the others how much there is to do, and that a newcomer would be accepted at once."""
        self.link.publish_load(self.load_of.now())

    def is_busier(self) -> bool:
        """Whether another worker, which waits for something to do, has less of it already."""
        return self.load_of.now() > self.link.lowest_load()

    def note_abort(self) -> None:
        if self.booted:
            self.server.flush_access_log()  # else what was answered before it blocked is lost with it
            if self.logs.access is not None:
                self.logs.access.write_now(LAST_WORDS)
        elif self.main is not None and self.main.gr_frame is not None:
            # The import waits, for a database perhaps, and faulthandler has shown the event loop only.
            calls = f"The start, which waits (most recent call first):\n{calls_to(self.main.gr_frame)}"
            with suppress(OSError):
                os.write(self.link.reports, calls.encode("utf-8", "replace"))

    def stop(self, name: str, watchers: list[Any]) -> int:
        """Drain, or end at once; return the exit status."""
        self.alive = False
        self.rounds[1].stop()
        self.link.be_away()
        self.server.flush_access_log()
        if name == "SIGQUIT":
            self.hooks.worker_int(self)
            self.hooks.worker_exit(self.link.server, self)
            self.end_at_once()
        self.server.successor = self.link.has_successor()
        if not end_gracefully(self.server, self.cfg, self.logs.logger, partial(self.rest, watchers)):
            self.hooks.worker_exit(self.link.server, self)
            self.note_end()
            os._exit(0)
        return 0

    def rest(self, watchers: list[Any]) -> None:
        """There is no request any more, so that the event loop need not turn: show no more signs of life."""
        for watcher in watchers:
            watcher.stop()
            watcher.close()
        self.link.rest()

    def end_at_once(self) -> NoReturn:
        """End, but for what the logs have yet to tell."""
        write_last_lines(self.server, self.logs)
        os._exit(0)

    def note_end(self) -> None:
        if self.booted:
            self.server.flush_access_log()  # what goes on all the same may have been answered just now
            self.logs.close()

"""The worker class for gunicorn: ``gunicorn -k greenserve.gunicorn.Worker app:app``.

gunicorn stays the master, with its signals, its configuration and its logs; the requests are served by
`WSGIServer`.

    setup, __init__          in the master, before the application is imported, and before each fork
    init_process -> run      in the worker
      run -> _serve          the server, as gunicorn's settings say
          -> _beat, Watch    the sign of life, and what is said when it fails to come
          -> _drain          the end
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from types import FrameType
from typing import Any
from wsgiref.util import FileWrapper

import gevent
from gevent.event import Event
from greenlet import getcurrent
from gunicorn import sock as gunicorn_sock
from gunicorn.config import Config as GunicornConfig
from gunicorn.glogging import Logger
from gunicorn.http.wsgi import WSGIErrorsWrapper
from gunicorn.workers import base

from greenserve import patching
from greenserve.config import Config
from greenserve.net.listener import open_sockets
from greenserve.net.stream import READ
from greenserve.observe.access_format import AccessEntry, Record
from greenserve.observe.exchange import Answer, Request
from greenserve.observe.logs import LoggerLog
from greenserve.process.holders import Register
from greenserve.process.listening import refuse_newcomers
from greenserve.process.serving import KILL_GRACE, stop
from greenserve.process.watch import Watch
from greenserve.server.server import WSGIServer
from greenserve.wsgi.forwarded import behind_front_end, trust
from greenserve.wsgi.run import Application, application_traceback

#: What has no effect with this class, unless greenserve does the same anyway.
UNSUPPORTED = (
    "asgi_disconnect_grace_period asgi_lifespan asgi_loop casefold_http_method do_handshake_on_connect "
    "forwarder_headers http2_cleartext http2_initial_window_size http2_max_concurrent_streams "
    "http2_max_frame_size http2_max_header_list_size http_parser http_protocols permit_obsolete_folding "
    "permit_unconventional_http_method permit_unconventional_http_version protocol proxy_allow_ips "
    "proxy_protocol root_path ssl_version strip_header_spaces suppress_ragged_eofs threads tmp_upload_dir "
    "uwsgi_allow_ips websocket_max_message_size"
).split()

UNDERSCORES = {"drop": "drop", "refuse": "refuse", "dangerous": "allow"}

LARGEST_LINE = 8190  # by gunicorn's own measure
HEAD = 65536

#: Where the hooks of a request find what they are given.
REQUEST = "greenserve.gunicorn_request"

#: What the line of a request that was refused has to have.
NAMES = "REQUEST_METHOD RAW_URI SERVER_PROTOCOL QUERY_STRING PATH_INFO wsgi.url_scheme".split()

#: Seconds for handshakes that have begun when no other may begin.
HANDSHAKES = 0.05


class Worker(base.Worker):  # type: ignore[misc]  # gunicorn has no annotations
    """Serves with greenserve, under gunicorn's master."""

    _is_parent_patched = False
    _is_socket_activated = False
    _crew: Any = None
    _said: tuple[str, ...] = ()
    _main: Any = None
    _told_to_end = False
    _told_to_quit = False

    # In the master.

    @classmethod
    def setup(cls) -> None:
        """Patch what has to be patched before the application is imported; called before that.

        Only what the master imports itself with --preload needs all of it.  Else the master's threads,
        gunicorn's own and those of hooks, stay threads.
        """
        if os.environ.get("LISTEN_PID") == str(os.getpid()):
            Worker._is_socket_activated = True  # gunicorn takes the variable away when it takes the sockets
        if patching.is_patched():
            return
        if _preloads():
            Worker._is_parent_patched = True
            patching.patch_parent()
        else:
            patching.patch_tls()

    def __init__(self, age: int, ppid: int, sockets: list[Any], app: Any, timeout: float, cfg: Any, log: Any):
        super().__init__(age, ppid, sockets, app, timeout, cfg, log)
        if self._is_parent_patched and not getattr(cfg, "control_socket_disable", True):
            cfg.set("control_socket_disable", True)
            log.warning("no control socket: with preload_app its thread could not run")
        if Worker._crew is None:
            Worker._crew = Register()
        if (useless := unsupported(cfg)) != Worker._said:
            Worker._said = useless
            log.warning("settings without effect in greenserve's worker: %s", ", ".join(useless) or "none")

    # In the worker.

    def init_process(self) -> None:
        """Patch, load the application, and serve it."""
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
            signal.signal(number, self.handle_exit)  # the master's handlers would keep it to themselves
        Worker._crew.enter(self.age)
        gevent.reinit()
        patching.patch()
        super().init_process()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM: drain."""
        self._told_to_end = True
        self.alive = False

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """QUIT, INT: end at once."""
        self.alive = False
        self._told_to_quit = True
        self._leave(0)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """ABRT: the master has missed the sign of life."""
        self.alive = False
        try:
            self.cfg.worker_abort(self)  # here, where it sees what blocks
        finally:
            self._leave(1)

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """USR1: reopen the logs, where their locks can be waited for."""
        gevent.spawn(self.log.reopen_files)

    def _leave(self, status: int) -> None:
        """End the process from whatever it is doing: an exception here would be some request's own."""
        if self._main is None or self._main is getcurrent():
            sys.exit(status)
        self._main.throw(SystemExit(status))

    def notify(self) -> None:
        """Tell the master that the hub turns, and look whether the master is still there."""
        super().notify()
        if self.alive and self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False

    def run(self) -> None:
        """Serve until it is time to end."""
        self.booted = False  # a certificate that cannot be read, say: trying again would not help
        self._main = getcurrent()
        self._news = Event()
        self._inodes = {os.fstat(each.fileno()).st_ino for each in self.sockets}
        self._waker = gevent.get_hub().loop.io(self.PIPE[0], READ)
        self._waker.start(self._on_signal)
        watch = Watch(logging.getLogger("gunicorn.error"), self.cfg.timeout)
        beating = gevent.Greenlet(self._beat, watch)
        server = None
        try:
            server = self._serve([each.sock for each in self.sockets])
            self.booted = True
            beating.start()
            while self.alive:
                self._news.wait()
                self._news.clear()
            self._drain(server)
        except SystemExit:
            if server is not None:
                if self._told_to_quit:
                    self.cfg.worker_int(self)
                server.close()  # or whoever comes while the process ends would be reset with it
                if self._told_to_quit:
                    stop(server, 0)
            raise
        finally:
            watch.running = False
            beating.kill(block=False)  # the hub may be what blocks

    def _on_signal(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)
        self._news.set()

    def _beat(self, watch: Watch) -> None:
        """Call notify() often enough; whoever clears `alive` without a signal is heard here, too."""
        interval = min(1.0, self.cfg.timeout / 4 or 1.0)
        watch.start()
        while True:
            self.notify()
            watch.beats += 1
            if not self.alive:
                self._news.set()
            gevent.sleep(interval)

    def _serve(self, listeners: list[Any]) -> WSGIServer:
        """Return a running server for these sockets."""
        cfg = self.cfg
        environ = {"wsgi.errors": WSGIErrorsWrapper(cfg), "wsgi.multiprocess": cfg.workers > 1}
        if not cfg.sendfile:
            environ["wsgi.file_wrapper"] = FileWrapper  # not ours: it goes out in blocks
        tls: dict[str, Any] = {}
        if cfg.is_ssl:
            tls["ssl_context"] = gunicorn_sock.ssl_context(cfg)  # asks the hook
            tls["ssl_context"].set_alpn_protocols(["http/1.1"])
        server = WSGIServer(
            listeners,
            build_application(self),
            log=None,
            error_log=None,
            environ=environ,
            config=build_settings(cfg),
            **tls,
        )
        server.errors = LoggerLog(self.log)
        server.report_error = self._report_error
        if cfg.workers > 1:
            server.max_accept = 1  # the others may have less to do
        server.start()
        server.log_access = build_request_log(self)
        return server

    def _report_error(self, environ: dict[str, Any], error: BaseException) -> None:
        where = application_traceback(error) or error.__traceback__
        method, target = environ.get("REQUEST_METHOD", "-"), environ.get("RAW_URI", "-")
        self.log.error("Error handling request %s %s", method, target, exc_info=(type(error), error, where))

    def count(self) -> None:
        """Note a request that is served; after the last one that max_requests allows, end."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
            self._news.set()

    def _drain(self, server: WSGIServer) -> None:
        """Stop without losing a request.  The master kills after graceful_timeout: be done before.

        What waits in the kernel's queue is for whoever is left to serve it.
        """
        graceful: float = self.cfg.graceful_timeout
        ends = time.monotonic() + max(graceful / 3, graceful - KILL_GRACE - 0.5)
        left: list[Any] = []
        if self._is_queue_kept():
            make = patching.get_original("socket", "socket")
            left = [make(fileno=os.dup(each.fileno())) for each in server.listeners.sockets]
            server.successor = True
        else:
            self._shut_the_door(server)
        drains = [gevent.spawn(stop, server, ends - time.monotonic())]
        while not all(drain.ready() for drain in drains):
            gevent.wait(drains, timeout=0.5)
            if left and not self._is_queue_kept():
                # TERM has gone to all processes, not to the master alone, which has been slower.
                last, left = self._serve(left), []
                self._shut_the_door(last)
                drains.append(gevent.spawn(stop, last, max(KILL_GRACE, ends - time.monotonic())))

    def _shut_the_door(self, server: WSGIServer) -> None:
        """Have no handshake begin any more, if all who have the sockets are about to close them.

        What came into the queue between the last look into it and the close would be reset.
        """
        sockets = [each for each in server.listeners.sockets if each.family != socket.AF_UNIX]
        is_given = self._is_socket_activated or any(isinstance(each, int) for each in self.cfg.address)
        if sockets and not is_given and self._crew.are_all(self._inodes):
            for each in sockets:
                refuse_newcomers(each)
            gevent.sleep(HANDSHAKES)

    def _is_queue_kept(self) -> bool:
        """Whether the master still has the listeners: before it ends all workers it closes them."""
        if os.getppid() != self.ppid:
            return False
        held = open_sockets(self.ppid)
        return self._inodes <= held if held is not None else not self._told_to_end


def _preloads() -> bool:
    """Whether the master is about to import the application: setup() is told nothing, its caller knows."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, GunicornConfig):
            return bool(caller.preload_app)
        frame = frame.f_back
    return True


def unsupported(cfg: Any) -> tuple[str, ...]:
    """Return the names of the settings that are not at their defaults and have no effect here."""
    known, defaults = cfg.settings, GunicornConfig().settings
    return tuple(name for name in UNSUPPORTED if name in known and known[name].get() != defaults[name].get())


def build_settings(cfg: Any) -> Config:
    """Return what gunicorn's settings are for greenserve.  Raises ConfigError."""
    line, size = cfg.limit_request_line, cfg.limit_request_field_size or HEAD
    line = HEAD if line == 0 else line if 0 < line < LARGEST_LINE else LARGEST_LINE
    return Config.from_keywords(
        worker_connections=cfg.worker_connections,
        keepalive_timeout=cfg.keepalive,
        limit_request_line=line,
        limit_request_fields=cfg.limit_request_fields if cfg.limit_request_fields > 0 else 32768,
        limit_request_field_size=size,
        limit_request_head=max(HEAD, line + 4 * size) if size != HEAD else HEAD,
        underscore_fields=UNDERSCORES[cfg.header_map],
        root_path=os.environ.get("SCRIPT_NAME", ""),
    )


def is_own(cfg: Any, name: str) -> bool:
    """Whether a hook is the user's: gunicorn's own do nothing, or say what nobody asked for."""
    return cfg.settings[name].get() is not cfg.settings[name].default


def build_application(worker: Worker) -> Application:
    """Return the application behind what gunicorn's settings want done first; itself, if nothing is."""
    cfg, application = worker.cfg, worker.wsgi
    has_hooks = is_own(cfg, "pre_request") or is_own(cfg, "post_request")
    if has_hooks or worker.max_requests < sys.maxsize:
        application = _counting(application, worker.count)
    if has_hooks:
        application = _hooked(application, worker)
    has_unix = any(each.FAMILY == socket.AF_UNIX for each in worker.sockets)
    if cfg.secure_scheme_headers and (cfg.forwarded_allow_ips or has_unix):
        secure = {_environ_key(name): value for name, value in cfg.secure_scheme_headers.items()}
        is_trusted = trust("*" in cfg.forwarded_allow_ips, cfg.forwarded_allow_networks())
        application = behind_front_end(application, secure, is_trusted)
    return application  # type: ignore[no-any-return]


def _counting(application: Application, count: Callable[[], None]) -> Application:
    def counted(environ: dict[str, Any], start_response: Any) -> Any:
        count()
        return application(environ, start_response)

    return counted


def _hooked(application: Application, worker: Worker) -> Application:
    pre_request = worker.cfg.pre_request

    def hooked(environ: dict[str, Any], start_response: Any) -> Any:
        request = environ[REQUEST] = Request(environ)
        pre_request(worker, request)
        for name, value in vars(request).get("headers", ()):  # it has looked at them, and may have added some
            environ[_environ_key(name)] = value
        return application(environ, start_response)

    return hooked


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def build_request_log(worker: Worker) -> Record | None:
    """Return what is to be called when a request has ended; None: nothing is."""
    log, post_request = worker.log, worker.cfg.post_request
    counts_all = not isinstance(log, Logger) or type(log).access is not Logger.access  # statsd, for one
    logs = counts_all or log.access_log_enabled
    if not logs and not is_own(worker.cfg, "post_request"):
        return None

    def ended(*what: Any) -> None:
        entry = AccessEntry(*what)
        environ, answer = entry.environ, Answer(entry)
        if not environ.get("REQUEST_METHOD"):
            environ = {**dict.fromkeys(NAMES, "-"), "REMOTE_ADDR": entry.peer, "REMOTE_PORT": ""}
        request = environ.get(REQUEST) or Request(environ)
        try:
            if logs:
                log.access(answer, request, environ, timedelta(seconds=entry.elapsed))
            if REQUEST in environ:
                post_request(worker, request, environ, answer)
        except Exception:
            log.exception("Exception in post_request hook or access log")

    return ended

"""WSGIServer: the library call, a drop-in for `gevent.pywsgi.WSGIServer`.

It owns the listeners, the connections and the bound on requests; a connection's life is in
`greenserve.server.connection`, its protocol in `greenserve.server.http1`.  Everything that belongs to
a hub is made in `start()`: two servers on one hub, and one in each of two threads, are independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub
from gevent.event import Event
from greenlet import getcurrent

from greenserve import __version__
from greenserve.config import Config
from greenserve.config.processes import Processes
from greenserve.net.address import peer_of
from greenserve.observe.access import compile_format, pywsgi_format
from greenserve.observe.access_format import Record
from greenserve.observe.logs import as_error_log
from greenserve.protocol.head import Limits
from greenserve.server import pywsgi
from greenserve.server.acceptor import Acceptor, most_connections
from greenserve.server.access_log import AccessLog
from greenserve.server.connection import Connection
from greenserve.server.deadlines import Sweeper
from greenserve.server.drain import Drain
from greenserve.server.handshake import TLS_ARGUMENTS, find_context
from greenserve.server.lending import DirectCaller, Lender, Spawner
from greenserve.server.listeners import Listeners
from greenserve.server.slots import Slots
from greenserve.wsgi.environ import build_base_environ, server_software, with_places
from greenserve.wsgi.response import DefaultFields
from greenserve.wsgi.run import Application

#: Settings that mean something to the command alone: the library call has arguments for them, or no need.
COMMAND_SETTINGS = Processes.__dataclass_fields__.keys() | frozenset(
    "application chdir pythonpath bind backlog access_log error_log log_level".split()
)


class WSGIServer(pywsgi.Surface):
    """Serves a WSGI application on one listener, or on each of a list of them.

    `listener` is an address (tuple or text as for `bind`) or a bound socket.  `spawn` is ``"default"``
    (no bound on requests, unless `worker_connections` is given), a number of requests, a
    `gevent.pool.Pool`, a callable that spawns, or None (served in the hub).  `log` and `error_log` take
    what pywsgi's take: a stream, a logger, None, ``"default"`` for stderr.  Further keyword arguments
    are TLS arguments as gevent's servers have them, and settings (docs/settings.md); `config` stands for
    all settings at once.

    `address` is ``(host, port)`` of the (first) listener whatever its family, or the path of a Unix socket.
    Port 0 is a free one; a server that is started again listens at the same places, that port included.

    Raises TypeError for an argument that is not known, ConfigError for a value that cannot be.
    """

    base_env: dict[str, Any] = build_base_environ(server_software(gevent.__version__, __version__))
    environ_class: Any = dict
    handler_class: Any = None
    application: Any = None
    backlog = 2048
    max_accept = 100
    stop_timeout: float = 1
    #: Whether other processes go on accepting from the same sockets: a stop leaves them what waits there.
    successor = False
    #: Says, where others accept from the same sockets, whether one of them has less to do.
    is_busier: Callable[[], bool] | None = None
    connection_class: Any = Connection

    def __init__(
        self,
        listener: Any,
        application: Application | None = None,
        backlog: int | None = None,
        spawn: Any = "default",
        log: Any = "default",
        error_log: Any = "default",
        handler_class: Any = None,
        environ: dict[str, Any] | None = None,
        *,
        config: Config | None = None,
        **settings: Any,
    ) -> None:
        tls = {name: settings.pop(name) for name in TLS_ARGUMENTS & settings.keys()}
        if unknown := settings.keys() - (Config.__dataclass_fields__.keys() - COMMAND_SETTINGS):
            raise TypeError(f"WSGIServer got an unknown argument: {', '.join(sorted(unknown))}")
        if config is not None and settings:
            raise TypeError("WSGIServer takes settings or config, not both")
        self.settings = config or Config.from_keywords(**settings)
        self.ssl_context = find_context(tls, config)
        if application is not None:
            self.application = application
        if handler_class is not None:
            self.handler_class = handler_class
        default_backlog = self.backlog if config is None else config.backlog
        place = "listener" if config is None else "bind"
        self.listeners = Listeners(listener, backlog, default_backlog, place)
        self.address = self.listeners.address
        if isinstance(spawn, str):
            bounded = config is not None or "worker_connections" in settings
            spawn = self.settings.worker_connections if bounded else 0
        self.set_spawn(spawn)
        self.log = pywsgi.as_stream(log)
        self.error_log = pywsgi.as_stream(error_log, pywsgi.ERROR)
        self.errors: Any = as_error_log(error_log)
        self.report_error: Callable[[dict[str, Any], BaseException], None] = pywsgi.report_exception
        self._has_access_log = log is not None
        has_format = config is not None or "access_log_format" in settings
        #: Compiled now, so that a wrong format is an error even where nothing is logged.
        self._access_format = compile_format(self.settings.access_log_format) if has_format else pywsgi_format
        self.acceptors: list[Acceptor] = []
        self.connections: set[Connection] = set()
        self.draining: Drain | None = None
        self.defaults = DefaultFields(self.settings.server_header)
        #: Called when a request has ended.
        self.log_access: Record | None = None
        #: Where the lines of a round of the event loop gather.
        self.access_lines: AccessLog | None = None
        #: The `value` of its `client` and `head` is set for each request before the application is called.
        self.running: Any = None
        #: Called when all requests of a round of the event loop have been served, or wait.
        self.after_due: Callable[[], None] | None = None
        self.lender: Any = None
        self.slotless: Lender
        self.sweeper: Sweeper
        self.slots: Slots
        self._warned: set[str] = set()
        self._stopped = Event()
        self._stopped.set()
        self.environ: dict[str, Any] = {}
        self.set_environ(environ)

    # How requests are served.

    def set_spawn(self, spawn: Any) -> None:
        """Decide how requests get their greenlet, and how many there may be at once.  Raises TypeError."""
        if not (spawn is None or isinstance(spawn, int) or callable(spawn) or hasattr(spawn, "spawn")):
            raise TypeError(f"spawn is a number of requests, a pool, a callable or None, not {spawn!r}")
        if isinstance(spawn, int) and spawn < 0:
            raise ValueError(f"spawn is a number of requests, 0 for no bound: {spawn}")
        self.pool = spawn if hasattr(spawn, "spawn") else None
        self.cap: float = math.inf
        self.spawn = spawn
        if isinstance(spawn, int):
            self.cap = spawn or math.inf
        elif self.pool is not None:
            self.cap = self.pool.size or math.inf

    def set_environ(self, environ: dict[str, Any] | None = None) -> None:
        """Set what the environs of all requests have in common; `environ` comes on top of `base_env`."""
        self.environ = self.environ_class(self.base_env)
        self.environ["wsgi.url_scheme"] = "https" if self.ssl_enabled else "http"
        self.environ["SCRIPT_NAME"] = self.settings.root_path
        self.environ.update(environ or {})
        if self.environ.get("wsgi.errors") is None:
            self.environ["wsgi.errors"] = self.error_log
        if self.started:
            self.update_environ()
            for acceptor in self.acceptors:
                acceptor.new_environ = self._environ_maker(acceptor.listener)

    def get_environ(self) -> dict[str, Any]:
        """Return a copy of what the environs of all requests have in common."""
        environ: dict[str, Any] = self.environ_class(self.environ)
        return environ

    def update_environ(self) -> None:
        """Put the name and port that the server is bound to into the environ."""
        host, port = pywsgi.server_name(self.address)
        self.environ.setdefault("SERVER_NAME", host)
        self.environ.setdefault("SERVER_PORT", port)

    # Its life.

    def init_socket(self) -> None:
        """Bind what is not bound yet.  Raises ListenError."""
        self.listeners.bind(self.settings.unix_mode, self.settings.unix_owner)
        self.address = self.listeners.address
        self.update_environ()

    def start(self) -> None:
        """Bind, and accept from now on.  Raises ListenError."""
        if self.started:
            return
        settings = self.settings
        self.hub = get_hub()
        self.init_socket()
        self.limits = Limits(
            settings.limit_request_line,
            settings.limit_request_fields,
            settings.limit_request_field_size,
            settings.limit_request_head,
            settings.underscore_fields,
        )
        self.defaults.persistent = settings.keepalive_timeout > 0
        self.max_connections = settings.max_connections or most_connections()
        self.log_access = None
        if self._has_access_log:
            self.access_lines = AccessLog(self._access_format, self.log, self.hub.loop, self._complain_of_log)
            self.log_access = self.access_lines.record
        if self.lender is not None:  # started again
            if self.draining is not None:
                self.draining.cancel()
            self.end_run()
        spare = 0 if settings.fresh_greenlets else settings.spare_greenlets
        #: Lends greenlets to what holds no slot: handshakes, refusals.
        self.slotless = Lender(self.hub, spare, self._report_stray)
        self.draining = None
        self.foreign = pywsgi.find_foreign_handling(self)
        self.lender = self._build_lender()
        self.slots = Slots(self.hub, self.cap, self.pool, self._accept_again, self._accept_one)
        self.sweeper = Sweeper(self.hub, self.connections, settings, self._after_sweep)
        self.sweeper.start()
        self.acceptors = [Acceptor(self, each, self._environ_maker(each)) for each in self.listeners.sockets]
        self._stopped.clear()
        self.start_accepting()

    def _environ_maker(self, listener: Any) -> Callable[[], dict[str, Any]]:
        """Return what makes the environs of the requests on a listener, with all that they have in common."""
        if type(self).get_environ is not WSGIServer.get_environ:
            return lambda: with_places(self.get_environ())  # a subclass has its own
        environ = with_places(self.environ)
        if len(self.listeners.sockets) > 1:
            environ["SERVER_NAME"], environ["SERVER_PORT"] = pywsgi.server_name(listener.getsockname())
        return environ.copy if self.environ_class is dict else lambda: self.environ_class(environ)

    def _build_lender(self) -> Any:
        if self.spawn is None:
            return DirectCaller()
        if not isinstance(self.spawn, int):
            return Spawner(self.spawn)
        return Lender(self.hub, self.slotless.spare_limit, self._report_stray, self.after_due)

    def end_run(self) -> None:
        """Let go of what served the connections."""
        self.flush_access_log()
        self.sweeper.stop()
        self.slotless.close()
        self.lender.close()

    def _after_sweep(self) -> None:
        self.defaults.look_at_clock()
        self.slotless.shrink()
        self.lender.shrink()

    def flush_access_log(self) -> None:
        """Write the lines of this round of the event loop: there may be no next one."""
        if self.access_lines is not None:
            self.access_lines.flush()

    def _complain_of_log(self, error: Exception) -> None:
        self._warn_once("access log", "the access log cannot be written: %r", error)

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Start, if that is still to do, and wait until the server is stopped."""
        if not self.started:
            self.start()
        try:
            self._stopped.wait()
        finally:
            gevent.Greenlet.spawn(self.stop, timeout=stop_timeout).join()

    def close(self) -> None:
        """Stop accepting and close the listeners; requests go on."""
        self._stopped.set()
        self.stop_accepting()
        self.listeners.close()

    def stop(self, timeout: float | None = None) -> bool:
        """Stop without losing a request (`greenserve.server.drain`); return whether all are done.

        Waits up to `timeout` seconds (default: `stop_timeout`) for the requests in flight, but not for
        one that calls this.  Then they are ended where their number is bounded; else they may go on to
        their end, as with pywsgi.
        """
        if self.draining is None and self.acceptors:
            self.defaults.persistent = False
            self.draining = Drain(self)
            self.draining.begin()
        self.close()
        if self.draining is None:
            return True
        if getcurrent() is self.hub:
            return not self.connections  # nobody may wait here
        own = next((each for each, by in self.lender.serving().items() if by is getcurrent()), None)
        timeout = self.stop_timeout if timeout is None else timeout
        finished = self.draining.wait(timeout, own)
        if not finished and self.cap is not math.inf:
            self.kill()
        if self.foreign is not None and self.pool is not None:
            self.pool.join(timeout)
            self.pool.kill(block=True, timeout=1)
        return finished

    def kill(self) -> None:
        """End all requests and connections now, but for a request that calls this."""
        serving = self.lender.serving() if self.lender is not None else {}
        for connection in list(self.connections):
            greenlet: Any = serving.get(connection)
            if greenlet is None:
                connection.close()
            elif greenlet is not getcurrent():
                greenlet.kill(block=False)

    # Connections and slots.

    def start_accepting(self) -> None:
        """Accept newcomers (again)."""
        self.slots.resume()
        for acceptor in self.acceptors:
            acceptor.start()

    def stop_accepting(self) -> None:
        """Leave newcomers in the kernel's queue until `start_accepting` is called."""
        if self.acceptors:
            self.slots.resume()
        for acceptor in self.acceptors:
            acceptor.stop()

    def pause_accepting(self) -> None:
        """Leave newcomers in the kernel's queue until there is room."""
        self.stop_accepting()
        self.slots.pause()

    def is_full(self) -> bool:
        """Whether there is no room for a newcomer."""
        return len(self.connections) >= self.max_connections or self.slots.is_full()

    def open_connection(self, sock: Any, address: Any, acceptor: Acceptor) -> None:
        """Take in a newcomer."""
        if self.foreign is not None:
            self.foreign.spawn(sock, address)
            return
        connection = self.connection_class(sock, peer_of(address, sock.family), acceptor)
        self.connections.add(connection)
        connection.open()

    def forget(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        self.connections.discard(connection)
        if self.draining is not None:
            self.draining.look()
        if self.slots.paused:
            self._accept_again()

    def _accept_one(self) -> None:
        if self.started and len(self.connections) < self.max_connections:
            any(acceptor.accept() for acceptor in self.acceptors)

    def _accept_again(self) -> None:
        if not self.is_full():
            self.start_accepting()

    # What is said.

    def warn_dropped(self, names: tuple[str, ...]) -> None:
        """Log once for each name that the application's hop-by-hop field was dropped (PEP 3333)."""
        for name in names:
            self._warn_once(name.lower(), "the application's field %s is hop-by-hop and not sent", name)

    def _warn_once(self, what: str, message: str, *args: object) -> None:
        if what not in self._warned and len(self._warned) < 64:
            self._warned.add(what)
            self.errors.warning(message, *args)

    def _report_stray(self, stray: BaseException) -> None:
        self.errors.warning("%r reached a greenlet whose request had ended; it was discarded", stray)

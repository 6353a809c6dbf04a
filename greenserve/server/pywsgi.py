"""What is here because `gevent.pywsgi` has it: log streams, contexts of errors, foreign handler classes.

pywsgi itself is imported only by those who hand one of its classes, or a logger, to the server.
"""

from __future__ import annotations

import _socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import gevent
from gevent.event import Event
from gevent.hub import get_hub
from gevent.pool import Pool

from greenserve.net.address import format_address
from greenserve.server.listeners import Listeners
from greenserve.wsgi.run import application_traceback

if TYPE_CHECKING:
    from greenserve.server.server import WSGIServer

#: What ends a program when the hub hears of it.
_ENDING = (KeyboardInterrupt, SystemExit, SystemError)

#: logging.INFO and logging.ERROR; logging itself is not needed for them.
INFO, ERROR = 20, 40


Server = TypeVar("Server", bound="Surface")


class Surface:
    """The attributes and methods of pywsgi's server that are only a view of greenserve's."""

    address: Any
    listeners: Listeners
    pool: Any
    ssl_context: Any
    handler_class: Any
    _stopped: Event

    @property
    def socket(self) -> Any:
        """The (first) listening socket; no such attribute while there is none."""
        if not self.listeners.sockets:
            raise AttributeError("the server has no socket: it is not started, or closed")
        return self.listeners.sockets[0]

    @property
    def family(self) -> Any:
        """The address family of that socket."""
        return self.socket.family

    @property
    def server_host(self) -> Any:
        """The host that the server is bound to; None on a Unix socket."""
        return self.address[0] if isinstance(self.address, tuple) else None

    @property
    def server_port(self) -> Any:
        """The port that the server is bound to; None on a Unix socket."""
        return self.address[1] if isinstance(self.address, tuple) else None

    @property
    def started(self) -> bool:
        """Whether the server has been started and not stopped."""
        return not self._stopped.is_set()

    @property
    def closed(self) -> bool:
        """Whether the server has no listening socket."""
        return not self.listeners.sockets

    @property
    def ssl_enabled(self) -> bool:
        """Whether the server speaks TLS."""
        return self.ssl_context is not None

    @property
    def loop(self) -> Any:
        """The event loop of this thread's hub."""
        return get_hub().loop

    @property
    def secure_environ_class(self) -> Any:
        """What pywsgi's handlers show of an environ in their reports."""
        from gevent.pywsgi import WSGISecureEnviron

        return WSGISecureEnviron

    def full(self) -> bool:
        """Whether no newcomer would be accepted now."""
        return self.started and self.is_full()

    def is_full(self) -> bool:
        raise NotImplementedError

    def stop(self, timeout: float | None = None) -> bool:
        raise NotImplementedError

    def __enter__(self: Server) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        name = f"<{type(self).__name__} at {id(self):#x}"
        if not self.closed:
            name += f" fileno={self.socket.fileno()}"
        address = self.address
        if isinstance(address, tuple):
            address = format_address(address, _socket.AF_INET6)
        name += f" address={address}"
        handle = self.__dict__.get("handle")
        if handle is None:
            return name + ">"
        if getattr(handle, "__self__", None) is self:
            return name + f" handle=<bound method {type(self).__name__}.{handle.__name__} of self>>"
        return name + f" handle={handle!r}>"

    def handle(self, sock: Any, address: Any) -> None:
        """Serve one connection as pywsgi does, through `handler_class`: its parser, not ours.

        Called only where a program has replaced or overridden it, or has given a handler class.
        """
        from gevent.pywsgi import WSGIHandler

        (self.handler_class or WSGIHandler)(sock, address, self).handle()

    def set_handle(self, handle: Callable[[Any, Any], None]) -> None:
        """Have connections served by `handle(socket, address)`."""
        self.handle = handle  # type: ignore[method-assign, assignment]


class NullStream:
    """A log stream that keeps nothing."""

    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...

    def writelines(self, lines: Any) -> None: ...


def as_stream(value: Any, level: int = INFO) -> Any:
    """Return the stream that a `log` or `error_log` argument stands for."""
    if isinstance(value, str) and value == "default":
        return sys.stderr
    if value is None:
        return NullStream()
    if not hasattr(value, "write") and hasattr(value, "log"):
        from gevent.pywsgi import LoggingLogAdapter

        return LoggingLogAdapter(value, level)
    return value


def server_name(address: Any) -> tuple[str, str]:
    """Return SERVER_NAME and SERVER_PORT for a bound address, without asking DNS.

    Neither is ever empty (PEP 3333): a wildcard is the host's own name, a Unix socket localhost.
    """
    if not isinstance(address, tuple):
        return "localhost", "80"
    host = address[0]
    return (_socket.gethostname() if host in ("", "0.0.0.0", "::") else host), str(address[1])


def report_exception(environ: dict[str, Any], error: BaseException) -> None:
    """Report an application's exception as pywsgi does: through the hub, the environ masked."""
    from gevent.pywsgi import WSGISecureEnviron

    hub = get_hub()
    context = WSGISecureEnviron(environ)
    details = (type(error), error, application_traceback(error) or error.__traceback__)
    if isinstance(error, _ENDING):
        hub.print_exception(context, *details)  # handle_error would end the program
    else:
        hub.handle_error(context, *details)


class ForeignHandling:
    """The connections of a server whose handler, pywsgi's or the program's own, brings its own parser."""

    def __init__(self, server: WSGIServer, handle: Callable[[Any, Any], None]) -> None:
        self.server = server
        self.handle = handle

    def spawn(self, sock: Any, address: Any) -> None:
        """Serve one connection in a greenlet of its own, made as the server's `spawn` says."""
        server = self.server
        make = server.pool.spawn if server.pool is not None else server.spawn
        (make if callable(make) else gevent.spawn)(self.serve, sock, address)

    def serve(self, sock: Any, address: Any) -> None:
        """Serve one connection."""
        from gevent.socket import socket

        wrapped: Any = socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        errors = self.server.errors
        has_spoken = False
        try:
            if self.server.ssl_context is not None:
                from gevent.ssl import SSLSocket  # waits in the hub, whatever class the context is of

                has_spoken = bool(wrapped.recv(1, _socket.MSG_PEEK))
                wrapped = SSLSocket(sock=wrapped, server_side=True, _context=self.server.ssl_context)
        except OSError as error:
            # A peer that said nothing was a port scan or a health check.
            (errors.info if has_spoken else errors.debug)("TLS handshake with %s failed: %s", address, error)
            wrapped.close()
            return
        try:
            self.handle(wrapped, address)
        finally:
            wrapped.close()


def find_foreign_handling(server: WSGIServer) -> ForeignHandling | None:
    """Return how connections are served if not by greenserve's parser, having said so in the log."""
    replaced = "handle" in server.__dict__ or type(server).handle is not Surface.handle
    if server.handler_class is None and not replaced:
        return None
    name = "the program's own handle()" if replaced else server.handler_class.__name__
    if server.pool is None and isinstance(server.spawn, int) and server.spawn:
        server.set_spawn(Pool(server.spawn))  # connections are what is bounded, as with pywsgi
    server.errors.warning("requests are served by %s, with its own parser, not greenserve's", name)
    return ForeignHandling(server, server.handle)

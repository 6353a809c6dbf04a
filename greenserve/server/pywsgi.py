"""What is here because `gevent.pywsgi` has it: log streams, contexts of errors, foreign handler classes.

pywsgi itself is imported only by those who hand one of its classes, or a logger, to the server.
"""

from __future__ import annotations

import _socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from gevent.hub import get_hub
from gevent.pool import Pool

from greenserve.wsgi.run import application_traceback

if TYPE_CHECKING:
    from greenserve.server.server import WSGIServer

#: What ends a program when the hub hears of it.
_ENDING = (KeyboardInterrupt, SystemExit, SystemError)

#: logging.INFO and logging.ERROR; logging itself is not needed for them.
INFO, ERROR = 20, 40


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
        try:
            if self.server.ssl_context is not None:
                from gevent.ssl import SSLSocket  # waits in the hub, whatever class the context is of

                wrapped = SSLSocket(sock=wrapped, server_side=True, _context=self.server.ssl_context)
        except OSError as error:
            self.server.errors.info("TLS handshake with %s failed: %s", address, error)
            wrapped.close()
            return
        try:
            self.handle(wrapped, address)
        finally:
            wrapped.close()


def find_foreign_handling(server: WSGIServer, own: Any) -> ForeignHandling | None:
    """Return how connections are served if not by greenserve's parser, having said so in the log.

    `own` is the method that stands for greenserve's.
    """
    replaced = "handle" in server.__dict__ or type(server).handle is not own
    if server.handler_class is None and not replaced:
        return None
    name = "the program's own handle()" if replaced else server.handler_class.__name__
    if server.pool is None and isinstance(server.spawn, int) and server.spawn:
        server.set_spawn(Pool(server.spawn))  # connections are what is bounded, as with pywsgi
    server.errors.warning("requests are served by %s, with its own parser, not greenserve's", name)
    return ForeignHandling(server, server.handle)


def serve_by_pywsgi(server: WSGIServer, sock: Any, address: Any) -> None:
    """Serve one connection through `server.handler_class`, which is pywsgi's own if there is none."""
    from gevent.pywsgi import WSGIHandler

    (server.handler_class or WSGIHandler)(sock, address, server).handle()


def format_server(server: WSGIServer) -> str:
    """Return what gevent's servers say in their repr."""
    name = f"<{type(server).__name__} at {id(server):#x}"
    if not server.closed:
        name += f" fileno={server.socket.fileno()}"
    address = server.address
    text = ":".join(map(str, address)) if isinstance(address, tuple) and len(address) == 2 else str(address)
    name += f" address={text}"
    handle = server.__dict__.get("handle")
    if handle is None:
        return name + ">"
    if getattr(handle, "__self__", None) is server:
        return name + f" handle=<bound method {type(server).__name__}.{handle.__name__} of self>>"
    return name + f" handle={handle!r}>"

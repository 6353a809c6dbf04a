"""TLS as a server comes to it: its context, and the handshake of each connection.

A handshake has a greenlet of its own and a deadline, but no pool slot.
"""

from __future__ import annotations

import _socket
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from greenserve.config import Config
from greenserve.errors import ClientDisconnected
from greenserve.net.stream import NEVER, DeadlinePassed
from greenserve.net.tls import build_context, context_from_arguments
from greenserve.net.tls_socket import TlsSocket, is_plain_http, tls_environ
from greenserve.server import http1

if TYPE_CHECKING:
    from greenserve.server.connection import Connection

#: Keyword arguments that ask for TLS, as gevent's servers take them.
TLS_ARGUMENTS = frozenset(
    "keyfile certfile ssl_context cert_reqs ssl_version ca_certs suppress_ragged_eofs "
    "do_handshake_on_connect ciphers server_side".split()
)


def find_context(arguments: Mapping[str, Any], config: Config | None) -> ssl.SSLContext | None:
    """Return the context that the TLS `arguments` of a server ask for, else its settings; None: no TLS.

    Raises TypeError, ConfigError.
    """
    if arguments:
        return context_from_arguments(**arguments)
    if config is None or config.certfile is None:
        return None
    return build_context(
        config.certfile,
        config.keyfile,
        ca_certs=config.ca_certs,
        cert_reqs=config.cert_reqs,
        ciphers=config.ciphers,
    )


class Handshake:
    """What a greenlet is lent to until `connection` speaks TLS, or is closed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.has_spoken = False  # the peer has sent an octet, at least

    def serve(self) -> None:
        """Make the handshake; the connection goes on, parked, or is closed.  A failure is one log line.

        That one is for debugging only where the peer has ended the connection without a word, as port
        scans and health checks do.
        """
        connection = self.connection
        timeout = connection.server.settings.handshake_timeout
        try:
            tls = self.shake_hands(timeout)
        except DeadlinePassed:
            self.fail(f"not done after {timeout:g} seconds")
        except ssl.SSLError as error:
            if is_plain_http(error):
                http1.refuse_plain_http(connection)
            else:
                self.fail(error.reason or str(error), self.has_spoken)
        except (OSError, ClientDisconnected) as error:
            self.fail(str(error), self.has_spoken)
        except BaseException as error:  # noqa: B036  (a kill, or our own mistake: it is closed all the same)
            self.fail(repr(error))
        else:
            connection.sock = tls
            connection.own_environ = tls_environ(tls)
            connection.hub.loop.run_callback(connection.begin)

    def abandon(self) -> None:
        """There is no greenlet that will make it."""
        self.connection.close()

    def note_wait(self) -> None: ...

    def note_end(self) -> None: ...

    def shake_hands(self, timeout: float) -> TlsSocket:
        """Return the socket that speaks TLS.  Raises DeadlinePassed, OSError, ClientDisconnected."""
        connection = self.connection
        deadline = time.monotonic() + timeout if timeout else NEVER
        tls = TlsSocket(connection.sock, connection.server.ssl_context)
        while True:
            try:
                if not self.has_spoken:
                    self.has_spoken = bool(connection.sock.recv(1, _socket.MSG_PEEK))
                tls.do_handshake()
                return tls
            except (BlockingIOError, ssl.SSLWantReadError):  # noqa: PERF203  (once a round trip)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise DeadlinePassed from None
                if not connection.wait_readable(left if timeout else 0):
                    raise DeadlinePassed from None
            except ssl.SSLWantWriteError:
                connection.wait_writable()

    def fail(self, reason: str, is_news: bool = True) -> None:
        """Log why, and close so that the peer can read the alert; at a stop it may be closed already."""
        connection = self.connection
        errors = connection.server.errors
        (errors.info if is_news else errors.debug)(
            "TLS handshake with %s failed: %s", connection.peer, reason
        )
        connection.linger()

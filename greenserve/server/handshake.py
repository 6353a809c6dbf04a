"""The TLS handshake of one connection: in a greenlet of its own, under a deadline, without a pool slot."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

from greenserve.errors import ClientDisconnected
from greenserve.net.stream import NEVER, DeadlinePassed
from greenserve.net.tls_socket import TlsSocket, is_plain_http, tls_environ
from greenserve.server import http1

if TYPE_CHECKING:
    from greenserve.server.connection import Connection


class Handshake:
    """What a greenlet is lent to until `connection` speaks TLS, or is closed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def serve(self) -> None:
        """Make the handshake; the connection goes on, parked, or is closed.  A failure is one log line."""
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
                self.fail(error.reason or str(error))
        except (OSError, ClientDisconnected) as error:
            self.fail(str(error))
        except BaseException as error:  # noqa: B036  (a kill, or our own mistake: it is closed all the same)
            self.fail(repr(error))
        else:
            connection.sock = tls
            connection.own_environ = tls_environ(tls)
            connection.hub.loop.run_callback(connection.begin)

    def abandon(self) -> None:
        """There is no greenlet that will make it."""
        self.connection.close()

    def shake_hands(self, timeout: float) -> TlsSocket:
        """Return the socket that speaks TLS.  Raises DeadlinePassed, OSError, ClientDisconnected."""
        connection = self.connection
        deadline = time.monotonic() + timeout if timeout else NEVER
        tls = TlsSocket(connection.sock, connection.server.ssl_context)
        while True:
            try:
                tls.do_handshake()
                return tls
            except ssl.SSLWantReadError:  # noqa: PERF203  (once a round trip)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise DeadlinePassed from None
                if not connection.wait_readable(left if timeout else 0):
                    raise DeadlinePassed from None
            except ssl.SSLWantWriteError:
                connection.wait_writable()

    def fail(self, reason: str) -> None:
        """Log why, and close so that the peer can read the alert; at a stop it may be closed already."""
        connection = self.connection
        connection.server.errors.info("TLS handshake with %s failed: %s", connection.peer, reason)
        connection.linger()

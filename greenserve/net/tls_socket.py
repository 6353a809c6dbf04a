"""One connection's TLS: the socket that encrypts, why a handshake failed, and what the environ says."""

from __future__ import annotations

import _socket
import errno
import os
import ssl
from typing import Any, NoReturn

# OpenSSL knows GET, POST, HEAD, PUT and CONNECT by sight; other methods are merely no TLS version.
NOT_TLS = ("http request", "https proxy request", "wrong version number")

RECORD_SIZE = 1 << 14  # the most octets in a record (RFC 8446, 5.1)

# Attribute types as OpenSSL spells them in full -> RFC 4514, 3.
ATTRIBUTE_TYPES = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}

# RFC 4514, 2.4: what is written with a backslash; control characters are as pairs of digits.
ESCAPES = str.maketrans(
    {character: "\\" + character for character in '"+,;<>\\'}
    | {number: f"\\{number:02X}" for number in (*range(32), 127)}
)


def reason_of(error: Exception) -> str:
    """Return what OpenSSL calls the error, in words: ``no cipher match``."""
    reason = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if reason else str(error.args[-1] if error.args else error)


def is_plain_http(error: ssl.SSLError) -> bool:
    """Whether a handshake failed because the peer spoke HTTP without TLS, or at least no TLS at all.

    Nothing has been sent to it then: an answer in plain text goes out through `TlsSocket.transport`.
    """
    reason = reason_of(error)
    return any(known in reason for known in NOT_TLS)


def _plain_error(error: OSError) -> OSError:
    """Return what a plain socket would have raised."""
    if isinstance(error, (ssl.SSLWantReadError, ssl.SSLWantWriteError)):
        return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    if isinstance(error, ssl.SSLError):
        return ConnectionAbortedError(errno.ECONNABORTED, f"TLS: {reason_of(error)}")
    return error


class _View(_socket.socket):
    """A second object on a socket's descriptor, which it never closes.

    OpenSSL's wrapper refers to its socket weakly, and the C class does not allow that.
    """

    __slots__ = ("__weakref__",)

    def __init__(self, sock: _socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, sock.fileno())

    def __del__(self) -> None:
        self.detach()


def _closed(*arguments: object) -> NoReturn:
    raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _nothing() -> int:
    return 0


class TlsSocket:
    """The server's side of one TLS connection, used like the non-blocking `_socket.socket` below it.

    It works on the descriptor of `sock`, which is its `transport` from then on, and is closed with it.  It is
    made by `context._wrap_socket()`, which is what the sockets of ssl and of gevent.ssl are made by: that
    works with the contexts of both, patched or not, and never blocks, because the descriptor does not.
    """

    __slots__ = ("__weakref__", "_context", "_pending", "_read", "_ssl", "_view", "_write", "transport")

    def __init__(self, sock: _socket.socket, context: ssl.SSLContext) -> None:
        self.transport = sock
        self._context = context
        self._view = _View(sock)
        self._view.setblocking(False)
        wrap: Any = context._wrap_socket  # type: ignore[attr-defined]
        self._ssl: Any = wrap(self._view, server_side=True, owner=self)
        self._read = self._ssl.read
        self._pending = self._ssl.pending
        self._write = self._ssl.write

    def do_handshake(self) -> None:
        """Go on with the handshake.  Raises ssl.SSLWantReadError or SSLWantWriteError while it waits for the
        peer, another OSError when it has failed."""
        self._opened().do_handshake()

    def recv(self, size: int) -> bytes:
        """Return what has arrived, b"" at the end, be it announced (close_notify) or not.

        Before Python 3.13 a reset looks like an end too: ssl does not tell them apart.

        Nothing stays behind in OpenSSL, where no watcher sees it; so there may be up to 16 KiB (one record)
        more than `size` octets.  After `shutdown` it is ciphertext, good for nothing but lingering.
        Raises BlockingIOError where nothing has arrived, another OSError when the connection is broken.
        """
        try:
            data: bytes = self._read(size)
        except OSError as error:
            if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
                return b""
            if isinstance(error, ssl.SSLWantWriteError):
                # It has asked for key updates and takes no answer: a watcher for reading would spin.
                raise ConnectionAbortedError(errno.ECONNABORTED, "TLS: the peer takes nothing") from None
            raise _plain_error(error) from None
        if self._pending():
            data += self._read(self._pending())
        return data

    def send(self, data: bytes | memoryview) -> int:
        """Encrypt and send as much of `data` as the kernel takes; return how much that was.

        Raises BlockingIOError where it takes nothing: go on with the same octets then, more may follow,
        because OpenSSL has a record of them ready.  Raises another OSError when the connection is broken.
        """
        if len(data) > RECORD_SIZE:
            return self._send_records(memoryview(data))
        sent: int
        try:
            sent = self._write(data)
        except OSError as error:
            raise _plain_error(error) from None
        return sent

    def _send_records(self, data: memoryview) -> int:
        # More than a record at a time would be sent in part and not counted.
        sent = 0
        try:
            while sent < len(data):
                sent += self._write(data[sent : sent + RECORD_SIZE])
        except OSError as error:
            if not sent:
                raise _plain_error(error) from None
        return sent  # where it stopped before the end, the next call says why

    def shutdown(self, how: int) -> None:
        """Announce the end (close_notify) without waiting for the peer's, then shut the socket down."""
        if how != _socket.SHUT_RD:
            try:
                self._opened().shutdown()
            except OSError:
                pass  # sent all the same, or nobody is left to be told
            # What comes now is thrown away: there is no need to decrypt it, and no error in it matters.
            self._read, self._pending = self.transport.recv, _nothing
        self.transport.shutdown(how)

    def close(self) -> None:
        """Close the socket and give OpenSSL's 18 KB back.  Nothing is sent."""
        # OpenSSL knows the descriptor by its number, which may soon be somebody else's.
        self._read = self._write = _closed
        self._pending = _nothing
        self._ssl = None
        self._view.detach()
        self.transport.close()

    def _opened(self) -> Any:
        return self._ssl or _closed()

    def pending(self) -> int:
        """Return how many decrypted octets OpenSSL holds; 0 after each `recv`."""
        count: int = self._pending()
        return count

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed."""
        return self.transport.fileno()

    @property
    def family(self) -> int:
        """The address family, as a plain number."""
        return self.transport.family

    def getsockname(self) -> Any:
        """Return the local address."""
        return self.transport.getsockname()

    def getpeername(self) -> Any:
        """Return the peer's address."""
        return self.transport.getpeername()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option of the socket."""
        self.transport.setsockopt(level, option, value)

    @property
    def context(self) -> ssl.SSLContext:
        """The context; a callback for SNI may set another one (RFC 6066, 3)."""
        return self._context

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        self._opened().context = context
        self._context = context

    def _sslsock(self) -> TlsSocket:
        # gevent's contexts ask the owner for the object that callbacks are given.
        return self

    @property
    def server_hostname(self) -> None:
        """None, as on every server's side."""
        return None

    def version(self) -> str | None:
        """Return ``TLSv1.3`` or the like, None before the handshake."""
        version: str | None = self._opened().version()
        return version

    def cipher(self) -> tuple[str, str, int] | None:
        """Return the cipher suite, its protocol and its secret bits; None before the handshake."""
        cipher: tuple[str, str, int] | None = self._opened().cipher()
        return cipher

    def selected_alpn_protocol(self) -> str | None:
        """Return what ALPN agreed on, None if nothing."""
        protocol: str | None = self._opened().selected_alpn_protocol()
        return protocol

    def getpeercert(self, binary_form: bool = False) -> Any:
        """Return the client's verified certificate as ssl does: a dictionary, or its DER octets; or None."""
        return self._opened().getpeercert(binary_form)


def tls_environ(tls: TlsSocket) -> dict[str, str]:
    """Return what the environ says about a connection after its handshake, by mod_ssl's names.

    HTTPS, SSL_PROTOCOL and SSL_CIPHER; for a client with a certificate, which then is a verified one,
    SSL_CLIENT_VERIFY, _S_DN and _I_DN (RFC 4514), _M_SERIAL (hexadecimal) and _CERT (PEM) too.  The values
    are UTF-8 in the form that PEP 3333 wants: one character an octet.
    """
    cipher = tls.cipher()
    environ = {"HTTPS": "on", "SSL_PROTOCOL": tls.version() or "", "SSL_CIPHER": cipher[0] if cipher else ""}
    if certificate := tls.getpeercert():
        environ["SSL_CLIENT_VERIFY"] = "SUCCESS"
        environ["SSL_CLIENT_S_DN"] = _distinguished_name(certificate["subject"])
        environ["SSL_CLIENT_I_DN"] = _distinguished_name(certificate["issuer"])
        environ["SSL_CLIENT_M_SERIAL"] = certificate["serialNumber"]
        environ["SSL_CLIENT_CERT"] = ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))
    return environ


def _distinguished_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """Return a name as RFC 4514, 2 writes it: the last part first."""
    parts = (
        "+".join(f"{ATTRIBUTE_TYPES.get(key, key)}={_escape(value)}" for key, value in part) for part in name
    )
    return ",".join(reversed(list(parts))).encode("utf-8").decode("latin-1")


def _escape(value: str) -> str:
    escaped = value.translate(ESCAPES)
    if value.startswith((" ", "#")):
        escaped = "\\" + escaped
    if value.endswith(" ") and len(value) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped

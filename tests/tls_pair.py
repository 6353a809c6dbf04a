"""Both ends of a TLS connection in one thread, each of which does one step at a time."""

from __future__ import annotations

import _socket
import select
import socket
import ssl
from typing import Any

from greenserve.net.tls import TlsSocket
from tests.certificates import Authority, Certificate

LIMIT = 10.0  # seconds; nothing here takes a tenth of that


def client_context(authority: Authority, certificate: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certfile)
    if certificate is not None:
        context.load_cert_chain(certificate.certfile, certificate.keyfile)
    return context


class Client:
    """A TLS client whose steps are asked for one by one."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str = "localhost") -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def flush(self) -> None:
        self.sock.sendall(self.outgoing.read())

    def fetch(self) -> bytes:
        """Receive once and return the ciphertext."""
        data = self.sock.recv(1 << 20)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return data

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    def recv(self, size: int = 1 << 20) -> bytes:
        """Return what comes next, b"" at close_notify.  Raises SSLEOFError at an end without one."""
        while (data := self.recv_now(size)) is None:
            self.fetch()
        return data

    def recv_now(self, size: int) -> bytes | None:
        """Return what can be decrypted, None where that is nothing."""
        try:
            return self.tls.read(size)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""


class Pair:
    """A client and the server's end of its connection."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client_sock = socket.create_connection(listener.getsockname(), LIMIT)
            fileno, _ = listener._accept()  # type: ignore[attr-defined]
        self.plain = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, fileno)
        self.plain.setblocking(False)
        self.server = TlsSocket(self.plain, server)
        self.client = Client(self.client_sock, client, name)

    def close(self) -> None:
        self.server.close()
        self.client_sock.close()

    def wait(self) -> None:
        """Wait until the server has something to read."""
        assert select.select([self.server], [], [], LIMIT)[0], "nothing arrived"

    def shake_hands(self) -> None:
        """Let both take their steps in turn.  Raises the ssl.SSLError of the one that fails."""
        waiting: list[Any] = [self.client_sock, self.server]
        while waiting:
            if self.client_sock in waiting and self.step_of_client():
                waiting.remove(self.client_sock)
            if self.server in waiting and self.step_of_server():
                waiting.remove(self.server)
            ready = select.select(waiting, [], [], LIMIT)[0] if waiting else []
            assert ready or not waiting, "the handshake stalls"
            if self.client_sock in ready:
                self.client.fetch()

    def step_of_client(self) -> bool:
        try:
            self.client.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.client.flush()
        return True

    def step_of_server(self) -> bool:
        try:
            self.server.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def recv(self, size: int = 65536) -> bytes:
        self.wait()
        return self.server.recv(size)

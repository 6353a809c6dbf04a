"""WebSocket by flask-sock and simple-websocket, which take the raw socket of an upgrade request."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.process import ServerProcess, start_server

SECONDS = 60
SITE = "tests.interop.flask_site:app"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

HANDSHAKE = (
    b"GET /websocket/%b HTTP/1.1\r\nHost: localhost\r\n"
    b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame (RFC 6455, 5.2), masked by zeros."""
    if len(payload) < 126:
        return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload
    return bytes([0x80 | opcode, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


class WebSocket:
    """The client's end: it sends octets, and reads a head and frames."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file: Any = sock.makefile("rb")

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.file.close()
        self.sock.close()

    def send(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def expect_handshake(self) -> None:
        """Read the answer to the handshake, whose key is that of RFC 6455, 1.3."""
        head = list(iter(self.file.readline, b"\r\n"))
        assert head[0].startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n" in [line.lower() for line in head]

    def read(self) -> tuple[int, bytes]:
        """Return the opcode and the payload of the next frame."""
        first, length = self.file.read(2)
        assert first & 0x80 and length < 127
        if length == 126:
            length = int.from_bytes(self.file.read(2), "big")
        return first & 0x0F, self.file.read(length)

    def expect_end(self) -> None:
        """See that the server writes nothing more, and closes."""
        assert self.file.read() == b""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with start_server(SITE) as server:
        yield server


def connect(server: ServerProcess) -> WebSocket:
    return WebSocket(socket.create_connection(("127.0.0.1", server.port), SECONDS))


def expect_echo(client: WebSocket) -> None:
    """Open, have two texts echoed, close, and see the end."""
    client.send(HANDSHAKE % b"echo")
    client.expect_handshake()
    for text in (b"first", b"x" * 50_000):
        client.send(frame(TEXT, text))
        assert client.read() == (TEXT, text)
    client.send(frame(CLOSE, b"\x03\xe8"))
    assert client.read() == (CLOSE, b"\x03\xe8")
    client.expect_end()


def test_texts_are_echoed_and_nothing_follows_the_close(server):
    with connect(server) as client:
        expect_echo(client)


def test_a_frame_in_the_packet_of_the_handshake_is_not_lost(server):
    with connect(server) as client:
        client.send(HANDSHAKE % b"echo" + frame(TEXT, b"early") + frame(TEXT, b"birds"))
        client.expect_handshake()
        assert [client.read(), client.read()] == [(TEXT, b"early"), (TEXT, b"birds")]


def test_a_part_of_a_frame_in_the_packet_of_the_handshake_is_not_lost(server):
    early = frame(TEXT, b"early")
    with connect(server) as client:
        client.send(HANDSHAKE % b"echo" + early[:3])
        client.expect_handshake()
        client.send(early[3:])
        assert client.read() == (TEXT, b"early")


def test_a_handshake_behind_another_request_is_served(server):
    with connect(server) as client:
        before = b"GET /where HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.send(before + HANDSHAKE % b"echo" + frame(TEXT, b"early"))
        head = list(iter(client.file.readline, b"\r\n"))
        (length,) = (int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-length:"))
        assert b'"url"' in client.file.read(length)
        client.expect_handshake()
        assert client.read() == (TEXT, b"early")


def test_a_ping_is_answered(server):
    with connect(server) as client:
        client.send(HANDSHAKE % b"echo" + frame(PING, b"still there?"))
        client.expect_handshake()
        assert client.read() == (PONG, b"still there?")


def test_many_clients_at_a_time(server):
    clients = [connect(server) for _ in range(20)]
    for client in clients:
        client.send(HANDSHAKE % b"echo")
    for number, client in enumerate(clients):
        client.expect_handshake()
        client.send(frame(TEXT, b"%d" % number))
    for number, client in enumerate(clients):
        with client:
            assert client.read() == (TEXT, b"%d" % number)


def test_a_handler_that_returns_ends_the_session_and_the_server_adds_nothing(server):
    with connect(server) as client:
        client.send(HANDSHAKE % b"leave")
        client.expect_handshake()
        assert client.read() == (TEXT, b"leaving")
        assert client.read()[0] == CLOSE
        client.send(frame(CLOSE, b"\x03\xe8"))
        client.expect_end()


def test_a_handler_that_fails_ends_the_session_and_the_server_adds_nothing(server):
    with connect(server) as client:
        client.send(HANDSHAKE % b"fail")
        client.expect_handshake()
        client.send(frame(TEXT, b"now"))
        server.wait_for_line("RuntimeError: raised by the handler")
        client.sock.shutdown(socket.SHUT_WR)
        rest = client.file.read()
        assert b"HTTP/1.1" not in rest


def test_a_client_that_vanishes_leaves_the_server_in_order(server):
    with connect(server) as client:
        client.send(HANDSHAKE % b"echo" + frame(TEXT, b"early"))
        client.expect_handshake()
        client.read()
    with connect(server) as client:
        expect_echo(client)


def test_a_request_without_an_upgrade_is_an_http_answer(server):
    with connect(server) as client:
        client.send(b"GET /websocket/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert client.file.read().startswith(b"HTTP/1.1 400 ")


def test_a_session_is_one_line_in_the_access_log():
    with start_server(SITE) as server, connect(server) as client:
        expect_echo(client)
        server.wait_for_line(r'"GET /websocket/echo HTTP/1\.1" 101 ')
        assert server.stop() == 0
        assert len([line for line in server.output if "/websocket/" in line]) == 1
        assert [line for line in server.lines if "Traceback" in line] == []


def test_a_session_over_tls(tmp_path: Path):
    authority = Authority(tmp_path)
    certificate = authority.issue("localhost")
    arguments = ["--certfile", certificate.certfile, "--keyfile", certificate.keyfile]
    context = ssl.create_default_context(cafile=authority.certfile)
    with start_server(SITE, *arguments, ready=r"https://127\.0\.0\.1:(\d+)") as server:
        plain = socket.create_connection(("127.0.0.1", server.port), SECONDS)
        with WebSocket(context.wrap_socket(plain, server_hostname="localhost")) as client:
            expect_echo(client)


def test_a_session_over_a_unix_socket(tmp_path: Path):
    path = tmp_path / "socket"
    with start_server(SITE, "--bind", f"unix:{path}", ready="unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(SECONDS)
        sock.connect(str(path))
        with WebSocket(sock) as client:
            expect_echo(client)

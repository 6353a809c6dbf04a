"""Content of requests that arrives as a test says, without a socket."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from greenserve.net.stream import RECEIVE_SIZE
from greenserve.protocol.head import RequestHead
from greenserve.server.body import Body

NEXT = b"GET / HTTP/1.1\r\n"
SETTINGS = {
    "limit_chunk_line": 64,
    "limit_trailers": 64,
    "limit_request_body": 0,
    "limit_drain": 100,
    "body_timeout": 30.0,
    "body_rate": 0,
}


class Connection:
    """Octets arrive as `arriving` says: pieces, None where one has to wait for the next, or an error."""

    def __init__(self, buffer: bytes, arriving: tuple[Any, ...], settings: dict[str, Any]) -> None:
        self.server = SimpleNamespace(settings=SimpleNamespace(**{**SETTINGS, **settings}))
        self.buffer = buffer
        self.arriving = list(arriving)
        self.timeouts: list[float] = []
        self.sent: list[bytes] = []
        self.turns = 0
        self.most: list[int] = []

    def recv_now(self, most: int = RECEIVE_SIZE) -> bytes | None:
        self.most.append(most)
        assert self.arriving, "more is received than there is to be read"
        piece = self.arriving.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece  # type: ignore[no-any-return]

    def recv(self, timeout: float, most: int = RECEIVE_SIZE) -> bytes:
        self.timeouts.append(timeout)
        data = self.recv_now(most)
        assert data is not None
        return data

    def send_all(self, data: bytes) -> None:
        self.sent.append(data)

    def give_turn(self) -> None:
        self.turns += 1


def build_body(
    *arriving: Any, length: int | None = None, expect: bool = False, buffer: bytes = b"", **settings: Any
) -> tuple[Body, Connection]:
    """Return a body of `length`, or in chunks, and its connection."""
    head = RequestHead()
    head.chunked = length is None
    head.content_length = length
    head.expect_continue = expect
    connection = Connection(buffer, arriving, settings)
    return Body(connection, head, SimpleNamespace(begun=False)), connection  # type: ignore[arg-type]


def read(body: Body) -> bytes:
    """Return the whole of the content."""
    pieces = []
    while piece := body.receive():
        pieces.append(piece)
    return b"".join(pieces)

"""A raw HTTP/1.1 client: it sends the octets that it is given and is strict about those that it gets.

`Client` runs in the same gevent process as the server; each of its waits has a deadline.  `get`, `post`
and `post_chunked` build well-formed requests, so that a test shows only what it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent import socket

#: Seconds; nothing here takes a tenth of that.
LIMIT = 10.0

STATUS_LINE = re.compile(r"HTTP/1\.1 ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Truncated(Exception):
    """The connection ended in the middle of a response; `received` is what there was of its content."""

    def __init__(self, received: bytes) -> None:
        super().__init__(received)
        self.received = received


@dataclass(frozen=True)
class Answer:
    """A response.  `framing` is what told the end of its content: none, length, chunked or close."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    content: bytes = b""
    framing: str = "none"
    chunks: list[bytes] = field(default_factory=list)

    def __getitem__(self, name: str) -> str | None:
        """Return the value of the field `name`, which may not be there twice; None if it is not there."""
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} is repeated: {values}"
        return values[0] if values else None

    @property
    def names(self) -> set[str]:
        """The names of the fields, in lower case."""
        return {name.lower() for name, _ in self.fields}

    @property
    def closes(self) -> bool:
        """Whether it says that no other response follows."""
        return "close" in [option.strip().lower() for option in (self["Connection"] or "").split(",")]


class Client:
    """One connection to a port of this machine.

    `receive_buffer` bounds what the kernel takes from the server before anything is read here.
    """

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.sock: Any = socket.socket()
        self.sock.settimeout(LIMIT)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name: tuple[str, int] = self.sock.getsockname()
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, *octets: bytes) -> None:
        """Send everything."""
        self.sock.sendall(b"".join(octets))

    def send_pieces(self, octets: bytes, size: int) -> None:
        """Send `octets` in pieces of `size`, the server taking each of them by itself."""
        for start in range(0, len(octets), size):
            self.sock.sendall(octets[start : start + size])
            gevent.idle()

    def half_close(self) -> None:
        """Tell the server that no more octets will come."""
        self.sock.shutdown(socket.SHUT_WR)

    def ask(self, *octets: bytes, method: str = "GET") -> Answer:
        """Send everything, and return the response."""
        self.send(*octets)
        return self.read(method)

    # What comes back.

    def read(self, method: str = "GET") -> Answer:
        """Return the final response to a request with `method`; an interim one is an error."""
        status, reason, fields = self.read_head()
        assert status >= 200 or status == 101, f"unexpected {status} {reason}"
        answer = Answer(status, reason, fields)
        length, coding = answer["Content-Length"], answer["Transfer-Encoding"]
        assert length is None or re.fullmatch("[0-9]+", length), fields
        assert length is None or coding is None, fields
        assert coding in (None, "chunked"), fields
        if status < 200 or status == 204:
            assert length is None and coding is None, f"{status} must not have {fields}"
        if method == "HEAD" or status in (101, 204, 304):
            return answer
        if coding is not None:
            chunks = list(self._read_chunks())
            return Answer(status, reason, fields, b"".join(chunks), "chunked", chunks)
        if length is not None:
            return Answer(status, reason, fields, self._take(int(length)), "length")
        return Answer(status, reason, fields, self.read_to_end(), "close")

    def read_interim(self) -> Answer:
        """Return a 1xx response."""
        answer = Answer(*self.read_head())
        assert 100 <= answer.status < 200 and answer.status != 101, answer
        assert not answer.names & {"content-length", "transfer-encoding"}, answer
        return answer

    def read_head(self) -> tuple[int, str, list[tuple[str, str]]]:
        """Return status code, reason phrase and fields of a response of any kind."""
        head = self._take_through(b"\r\n\r\n")[:-4].decode("latin-1")
        assert not re.search(r"\r(?!\n)|(?<!\r)\n|\0", head), head
        first, *lines = head.split("\r\n")
        status_line = STATUS_LINE.fullmatch(first)
        assert status_line, f"not a status line: {first!r}"
        fields = []
        for line in lines:
            match = FIELD_LINE.fullmatch(line)
            assert match, f"not a field line: {line!r}"
            fields.append((match[1], match[2]))
        return int(status_line[1]), status_line[2], fields

    def read_chunk(self) -> bytes:
        """Return the next chunk of a response whose head has been read; b"" for the last one."""
        line = self._take_through(b"\r\n")[:-2]
        assert CHUNK_SIZE.fullmatch(line), f"not a chunk-size: {line!r}"
        size = int(line, 16)
        data = self._take(size + 2)
        assert data.endswith(b"\r\n"), f"chunk data not followed by CRLF: {data[-20:]!r}"
        return data[:-2]

    def _read_chunks(self) -> Iterator[bytes]:
        received = b""
        try:
            while chunk := self.read_chunk():
                received += chunk
                yield chunk
        except Truncated as error:
            raise Truncated(received + error.received) from None

    def read_some(self, size: int) -> bytes:
        """Return `size` octets, whatever they are."""
        return self._take(size)

    def read_to_end(self) -> bytes:
        """Return everything up to a clean end of the connection; a reset is an error."""
        pieces = [self.buffer]
        self.buffer = b""
        while piece := self.sock.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    def expect_end(self) -> None:
        """Wait for the clean end of the connection; anything before it is an error."""
        rest = self.read_to_end()
        assert rest == b"", f"unexpected {rest[:200]!r}"

    def expect_no_answer_yet(self) -> None:
        """Look, without waiting, whether nothing has arrived."""
        assert self.buffer == b""
        self.sock.settimeout(0)
        try:
            data = self.sock.recv(200)
        except BlockingIOError:
            return
        finally:
            self.sock.settimeout(LIMIT)
        raise AssertionError(f"unexpected {data!r}")

    def _fill(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise Truncated(self.buffer)
        self.buffer += data

    def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._fill()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def _take_through(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self._fill()
        return self._take(self.buffer.index(mark) + len(mark))


def get(target: str = "/", *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Return a request without content; `lines` are field lines beside Host."""
    head = [f"{method} {target} HTTP/{version}", "Host: test.example", *lines]
    return "".join(line + "\r\n" for line in head).encode("latin-1") + b"\r\n"


def post(content: bytes, *lines: str, target: str = "/", version: str = "1.1") -> bytes:
    """Return a request whose content has a known length."""
    length = f"Content-Length: {len(content)}"
    return get(target, length, *lines, method="POST", version=version) + content


def post_chunked(
    pieces: Iterable[bytes], *lines: str, target: str = "/", trailers: Iterable[str] = ()
) -> bytes:
    """Return a request whose content comes in chunks, one for each of `pieces` that is not empty."""
    head = get(target, "Transfer-Encoding: chunked", *lines, method="POST")
    section = "".join(line + "\r\n" for line in trailers).encode("latin-1")
    return head + b"".join(map(chunk, filter(None, pieces))) + b"0\r\n" + section + b"\r\n"


def chunk(data: bytes) -> bytes:
    """Return `data` as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)

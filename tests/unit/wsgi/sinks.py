"""A response without a socket: the sink that it goes to, and what a client would read there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from greenserve.errors import ClientDisconnected
from greenserve.wsgi.response import DefaultFields, Response
from greenserve.wsgi.run import run_application

Field = tuple[str, str]
FAR_FUTURE = float("inf")


class MemorySink:
    """Keeps what is sent.  `sends` are the blocks as they came, `files` the regions of files.

    `gone_after` is the number of sends that a client takes before it is gone; `behind` tells whether
    another request has arrived behind the content, and `asked_behind` behind which that was asked.
    """

    def __init__(
        self, takes_files: bool = True, behind: bool = False, gone_after: float = FAR_FUTURE
    ) -> None:
        self.takes_files = takes_files
        self.behind = behind
        self.gone_after = gone_after
        self.sends: list[bytes] = []
        self.files: list[tuple[int, int]] = []
        self.turns: list[int] = []
        self.asked_behind: list[Any] = []

    @property
    def octets(self) -> bytes:
        return b"".join(self.sends)

    def send_all(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data, "a call of the kernel for nothing"
        if len(self.sends) >= self.gone_after:
            raise ClientDisconnected("gone")
        self.sends.append(data)

    def send_file(self, fileno: int, offset: int, count: int) -> int:
        if len(self.sends) >= self.gone_after:
            raise ClientDisconnected("gone")
        self.files.append((offset, count))
        data = os.pread(fileno, count, offset)
        self.sends.append(data)
        return len(data)

    def can_send_file(self) -> bool:
        return self.takes_files

    def give_turn(self) -> None:
        self.turns.append(len(self.octets))

    def request_behind(self, content: Any) -> bool:
        self.asked_behind.append(content)
        return self.behind


@dataclass
class Answer:
    """What a client reads: `own` are the application's fields, in order, `added` those of the server."""

    status_line: str
    own: list[Field]
    added: dict[str, str]
    content: bytes

    @property
    def fields(self) -> dict[str, str]:
        return {**dict(self.own), **self.added}


#: Fields that the server adds where it has to; a test that gives one itself finds it among its own.
ADDED = {"Date", "Server", "Content-Length", "Transfer-Encoding", "Connection"}


def parse_answer(octets: bytes, given: Iterable[Field] = ()) -> Answer:
    """Return what is at the beginning of `octets`, which have to be a whole head and anything."""
    head, end, content = octets.partition(b"\r\n\r\n")
    assert end, octets
    status_line, *lines = head.decode("latin-1").split("\r\n")
    own: list[Field] = []
    added: dict[str, str] = {}
    expected = list(given)
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon, line
        if name in ADDED and (name, value) not in expected:
            assert name not in added, f"{name} twice"
            added[name] = value
        else:
            own.append((name, value))
    return Answer(status_line, own, added, content)


def parse_chunks(content: bytes) -> list[bytes]:
    """Return the chunks of a whole chunked content, the last one included, which is empty."""
    chunks: list[bytes] = []
    while content:
        assert b"" not in chunks, "something behind the last chunk"
        size, _, content = content.partition(b"\r\n")
        length = int(size, 16)
        assert size == b"%x" % length
        chunks.append(content[:length])
        assert content[length : length + 2] == b"\r\n", "cut off"
        content = content[length + 2 :]
    assert chunks[-1] == b"", "no last chunk"
    return chunks


@dataclass
class Content:
    """What a response knows of the request's content, as `Body` tells it."""

    closes: bool | str = False  # "last": only once the application will read no more

    def forces_close(self, is_last_chance: bool) -> bool:
        return self.closes is True or (self.closes == "last" and is_last_chance)


def build_response(
    sink: MemorySink | None = None, server: str = "", stopping: bool = False, **asked: Any
) -> Response:
    """Return a response that has not begun; `asked` is what is not plain about the request."""
    defaults = DefaultFields(server)
    if stopping:
        defaults.persistent = False
    response = Response(sink or MemorySink(), defaults)
    if asked:
        response.plain = False
    for name, value in asked.items():
        setattr(response, name, value)
    return response


def sink_of(response: Response) -> MemorySink:
    """Return the sink of a response made by `build_response`."""
    assert isinstance(response.sink, MemorySink)
    return response.sink


def finish(response: Response, iterable: Any) -> Answer:
    """Have a response that was started end with `iterable`; return what a client reads."""
    response.send_iterable(iterable)
    return parse_answer(sink_of(response).octets)


def answer(
    iterable: Any, *fields: Field, status: str = "200 OK", response: Response | None = None, **asked: Any
) -> tuple[Answer, Response]:
    """Have an application answer with `iterable`; return what a client reads, and the response."""
    response = response or build_response(**asked)

    def application(environ: Any, start_response: Any) -> Any:
        start_response(status, list(fields))
        return iterable

    run_application(application, {}, response)
    return parse_answer(sink_of(response).octets, fields), response

"""The server by wsgiref's validator, and close() on whatever an application returns (PEP 3333)."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.functional.client import LIMIT, get, post, post_chunked
from tests.functional.serving import Gate, serving, wait_until

PLAIN = [("Content-Type", "text/plain")]


# -- wsgiref.validate: what it finds is an AssertionError or a warning, and both fail the test


def read_all(environ: Any, start_response: Any) -> list[bytes]:
    stream = environ["wsgi.input"]
    content = stream.readline() + stream.read(3) + stream.readline(4)
    content += b"".join(stream.readlines(8)) + b"".join(stream) + stream.read(100)
    environ["wsgi.errors"].write("read\n")
    environ["wsgi.errors"].flush()
    environ["wsgi.errors"].writelines(["all\n"])
    start_response("200 OK", PLAIN)
    return [content]


def generate(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    return (block for block in (b"one ", b"", b"two"))


def write(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", PLAIN)(b"one ")
    return [b"two"]


def no_content(environ: Any, start_response: Any) -> list[bytes]:
    start_response("204 No Content", [])
    return []


CONTENT = b"first\nsecond line\nthird\n\nlast"


@pytest.mark.parametrize(
    ("application", "request_", "content"),
    [
        (read_all, get("/a%20path/%C3%A9?query=1", "X-Field: a", "Cookie: a=b", "Cookie: c=d"), b""),
        (read_all, get("/", version="1.0"), b""),
        (read_all, get("http://there.example/a?b"), b""),
        (read_all, get("/", method="DELETE"), b""),
        (read_all, post(CONTENT, "Content-Type: text/plain"), CONTENT),
        (read_all, post(b""), b""),
        (read_all, post_chunked([CONTENT[:5], CONTENT[5:7], CONTENT[7:]]), CONTENT),
        (generate, get(), b"one two"),
        (generate, get(version="1.0"), b"one two"),
        (write, get(), b"one two"),
        (no_content, get(), b""),
    ],
)
def test_the_validator_finds_nothing(application: Any, request_: bytes, content: bytes) -> None:
    log = io.StringIO()
    with serving(validator(application), error_log=log) as served:
        assert served.ask(request_).content == content
    assert log.getvalue() in ("read\nall\n", "")


@pytest.mark.parametrize("application", [read_all, generate, write])
def test_the_validator_finds_nothing_with_head(application: Any) -> None:
    def bare(environ: Any, start_response: Any) -> Any:
        # The validator wants no content in an answer to HEAD, as if applications looked at the method.
        return [block for block in application(environ, start_response) if block and False]

    with serving(validator(bare), error_log=io.StringIO()) as served:
        answer = served.ask(get(method="HEAD"), method="HEAD")
        assert (answer.status, answer["Content-Type"]) == (200, "text/plain")


def test_the_validator_finds_nothing_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with serving(validator(application), error_log=io.StringIO()) as served:
        assert served.ask(get()).content == CONTENT


def test_the_validator_finds_nothing_with_buffered_content() -> None:
    with serving(validator(read_all), error_log=io.StringIO(), buffer_chunked=True) as served:
        assert served.ask(post_chunked([CONTENT])).content == CONTENT


# -- close()


class Closing:
    """Counts the calls of close(); to be mixed into iterables."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


class ClosingList(Closing, list[bytes]):
    pass


class ClosingTuple(Closing, tuple[bytes, ...]):
    pass


class ClosingIterable(Closing):
    """close() is the iterable's own: its iterator has none."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.blocks)


class ClosingSequence(Closing):
    """What is iterable by its items only."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> bytes:
        return self.blocks[index]


class ClosingIterator(ClosingIterable):
    def __iter__(self) -> ClosingIterator:
        return self

    def __next__(self) -> bytes:
        if not self.blocks:
            raise StopIteration
        return self.blocks.pop(0)


KINDS = [ClosingList, ClosingTuple, ClosingIterable, ClosingSequence, ClosingIterator]


class Returning:
    """An application that returns `iterable`."""

    def __init__(self, iterable: Any, status: str = "200 OK", *fields: tuple[str, str]) -> None:
        self.iterable = iterable
        self.status = status
        self.fields = list(fields)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        start_response(self.status, self.fields)
        return self.iterable


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocks", [[], [b"content"], [b"", b"con", b"tent"], [b"x" * 300_000]], ids=len)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_close_is_called_once(kind: Any, blocks: list[bytes], method: str) -> None:
    iterable = kind(list(blocks))
    with serving(Returning(iterable)) as served:
        answer = served.ask(get(method=method), method=method)
        assert answer.content == (b"".join(blocks) if method == "GET" else b"")
        wait_until(lambda: iterable.closed, "close()")
    assert iterable.closed == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("204 No Content", []),
        ("304 Not Modified", []),
        ("200 OK", [("Content-Length", "3")]),
        ("200 OK", [("Content-Length", "0")]),
        ("200 OK", [("Content-Length", "70")]),
    ],
)
def test_close_is_called_once_whatever_becomes_of_the_content(kind: Any, status: str, fields: Any) -> None:
    iterable = kind([b"content"])
    with serving(Returning(iterable, status, *fields)) as served:
        client = served.connect()
        client.send(get("/", "Connection: close"))
        client.read_to_end()
        assert iterable.closed == 1


def test_close_is_called_when_start_response_was_not() -> None:
    iterable = ClosingIterator([b"content"])
    with serving(lambda environ, start_response: iterable) as served:
        assert served.ask(get()).status == 500
    assert iterable.closed == 1


def test_a_generator_is_closed_by_its_end_once() -> None:
    closed: list[str] = []

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"content"
        finally:
            closed.append("closed")

    with serving(application) as served:
        assert served.ask(get()).content == b"content"
        assert served.ask(get(method="HEAD"), method="HEAD").status == 200
    assert closed == ["closed"] * 2


@pytest.mark.parametrize("fields", [[], [("Content-Length", str(1 << 40))]], ids=["chunked", "length"])
def test_an_iterable_is_closed_when_its_client_has_gone(fields: Any) -> None:
    class Endless(Closing):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 10_000

    iterable = Endless()
    with serving(Returning(iterable, "200 OK", *fields)) as served:
        with served.connect() as client:
            client.send(get())
            client.read_some(100)
        wait_until(lambda: iterable.closed, "close()")
        wait_until(lambda: not served.server.connections, "the connection being closed")
    assert iterable.closed == 1


def test_a_generator_sees_that_its_client_has_gone() -> None:
    seen: list[type[BaseException]] = []

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 10_000
        except BaseException as error:
            seen.append(type(error))
            raise

    with serving(application) as served:
        with served.connect() as client:
            client.send(get())
            client.read_some(100)
        wait_until(lambda: seen, "the end of the generator")
    assert seen == [GeneratorExit]


def test_an_iterable_without_close_will_do() -> None:
    with serving(Returning(iter([b"con", b"tent"]))) as served:
        assert served.ask(get()).content == b"content"


def test_the_write_callable_says_that_the_client_has_gone() -> None:
    raised: list[BaseException] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        try:
            while True:
                write(b"x" * 10_000)
        except OSError as error:
            raised.append(error)
        return []

    with serving(application) as served:
        with served.connect() as client:
            client.send(get())
            client.read_some(100)
        wait_until(lambda: raised, "the end of the connection")
        wait_until(lambda: not served.server.connections, "the connection being closed")
    assert isinstance(raised[0], ConnectionError)


# -- blocks are sent as they come


def test_a_block_is_sent_before_the_next_one_is_asked_for() -> None:
    gate = Gate()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for number in range(3):
            yield b"%d" % number
            gate({"PATH_INFO": f"/{number}"}, lambda status, fields: None)

    with serving(application) as served:
        client = served.connect()
        client.send(get())
        assert client.read_head()[0] == 200
        for number in range(3):
            assert client.read_chunk() == b"%d" % number
            gate.wait_for(f"/{number}")
            client.expect_no_answer_yet()
            gate.let_go(f"/{number}")
        assert client.read_chunk() == b""


def test_an_answer_leaves_as_one_packet_and_without_delay() -> None:
    with serving(Returning([b"content"])) as served:
        client = served.connect()
        client.ask(get())
        end = served.connection_of(client).sock
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        client.send(get())
        received = client.sock.recv(65536)
        assert received.endswith(b"\r\n\r\ncontent")
        assert client.sock.gettimeout() == LIMIT

"""close() is called once on whatever an application returns, whatever becomes of the answer (PEP 3333)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.client import get
from tests.functional.serving import serving, wait_until


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

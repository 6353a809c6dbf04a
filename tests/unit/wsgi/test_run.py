"""run_application: how the application is called, and that what it returned is closed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenserve.errors import ApplicationError, ClientDisconnected
from greenserve.wsgi.run import application_traceback, run_application
from tests.unit.wsgi.sinks import MemorySink, answer, build_response, sink_of


class Failure(Exception):
    """The application's own."""


class Blocks:
    """An iterable that notes what happens to it; `error` is raised behind its blocks."""

    def __init__(self, *blocks: Any, error: BaseException | None = None) -> None:
        self.blocks = blocks
        self.error = error
        self.events: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        self.events.append("iter")
        yield from self.blocks
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.events.append("close")


class ListWithClose(list):  # type: ignore[type-arg]
    """A list of a kind of its own, with the close() that a list has not."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


class TupleWithClose(tuple):  # type: ignore[type-arg]
    """The same of a tuple."""

    def close(self) -> None:
        self[1].append("closed")


# -- the call


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_the_application_gets_environ_and_start_response(kind: Any) -> None:
    response = build_response()
    environ = {"PATH_INFO": "/"}
    calls: list[Any] = []

    def application(*arguments: Any, **keywords: Any) -> Any:
        calls.append((arguments, keywords))
        arguments[1]("200 OK", [])
        return kind([b"hello"])

    run_application(application, environ, response)
    (((given, start_response), keywords),) = calls
    assert given is environ
    assert start_response == response.start_response
    assert keywords == {}
    assert b"hello" in sink_of(response).octets


def test_start_response_may_be_called_while_iterating() -> None:
    response = build_response()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("201 Created", [])
        yield b"late"

    run_application(application, {}, response)
    assert sink_of(response).octets.startswith(b"HTTP/1.1 201 Created\r\n")


# -- close()


def test_close_is_called_once_when_all_has_been_sent() -> None:
    response = build_response()
    seen: list[tuple[bool, bytes]] = []

    class Closing(Blocks):
        def close(self) -> None:
            seen.append((response.finished, sink_of(response).octets))

    answer(Closing(b"hello"), response=response)
    assert seen == [(True, sink_of(response).octets)]


@pytest.mark.parametrize("asked", [{}, {"method": "HEAD"}, {"status": "204 No Content"}], ids=str)
def test_close_is_called_also_where_nothing_is_sent(asked: dict[str, Any]) -> None:
    blocks = Blocks(b"one", b"two")
    answer(blocks, **asked)
    assert blocks.events == ["iter", "close"]


def test_close_is_called_on_lists_of_a_kind_of_their_own() -> None:
    blocks = ListWithClose([b"one"])
    answer(blocks)
    assert blocks.closed == 1
    events: list[str] = []
    with pytest.raises(ApplicationError):
        answer(TupleWithClose((b"one", events)))
    assert events == ["closed"]


def test_a_generator_is_closed() -> None:
    events: list[str] = []

    def blocks() -> Iterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        except GeneratorExit:
            events.append("closed")
            raise

    answer(blocks(), ("Content-Length", "2"))
    assert events == ["closed"]


@pytest.mark.parametrize(
    "error", [Failure(), OSError(), SystemExit(), KeyboardInterrupt(), GeneratorExit()], ids=repr
)
def test_close_is_called_when_iterating_fails_and_the_error_passes(error: BaseException) -> None:
    blocks = Blocks(b"one", error=error)
    with pytest.raises(type(error)) as raised:
        answer(blocks)
    assert raised.value is error
    assert blocks.events == ["iter", "close"]


def test_close_is_called_when_a_block_is_refused() -> None:
    blocks = Blocks("text")
    with pytest.raises(ApplicationError):
        answer(blocks)
    assert blocks.events == ["iter", "close"]


@pytest.mark.parametrize("gone_after", [0, 1])
def test_close_is_called_when_the_client_has_gone(gone_after: int) -> None:
    blocks = Blocks(b"one", b"two")
    with pytest.raises(ClientDisconnected):
        answer(blocks, sink=MemorySink(gone_after=gone_after))
    assert blocks.events == ["iter", "close"]


def test_close_is_called_where_there_is_no_head() -> None:
    blocks = Blocks(b"one")
    with pytest.raises(ApplicationError):
        run_application(lambda environ, start_response: blocks, {}, build_response())
    assert blocks.events == ["iter", "close"]


def test_close_is_called_on_what_is_no_iterable() -> None:
    events: list[str] = []

    class Closable:
        def close(self) -> None:
            events.append("closed")

    with pytest.raises(ApplicationError):
        answer(Closable())
    assert events == ["closed"]


@pytest.mark.parametrize(
    "blocks", [[b"one"], (b"one",), iter([b"one"]), {b"one": 1}], ids=lambda each: type(each).__name__
)
def test_what_has_no_close_is_not_closed(blocks: Any) -> None:
    _, response = answer(blocks)
    assert response.finished


@pytest.mark.parametrize("error", [None, Failure("first")])
def test_what_close_raises_passes(error: Failure | None) -> None:
    class Failing(Blocks):
        def close(self) -> None:
            raise Failure("close")

    with pytest.raises(Failure, match="close") as raised:
        answer(Failing(b"one", error=error))
    assert raised.value.__context__ is error


@pytest.mark.parametrize("error", [Failure(), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_the_application_raises_passes(error: BaseException) -> None:
    response = build_response()

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        raise error

    with pytest.raises(type(error)) as raised:
        run_application(application, {}, response)
    assert raised.value is error
    assert not response.begun


# -- the application's part of a traceback


def raised_by(application: Any) -> BaseException:
    """Return what running `application` raises, with the traceback that a caller of ours sees."""
    with pytest.raises(BaseException) as raised:
        run_application(application, {}, build_response())
    traceback = raised.value.__traceback__
    while traceback is not None and traceback.tb_frame.f_code is not run_application.__code__:
        traceback = traceback.tb_next
    return raised.value.with_traceback(traceback)


def names_of(error: BaseException) -> list[str]:
    """Return the functions in the application's part of the traceback, the outermost first."""
    traceback = application_traceback(error)
    names = []
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    return names


def fail(*arguments: Any) -> Any:
    raise Failure


def call(environ: Any, start_response: Any) -> Any:
    return fail()


def inject(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X", "a\r\nb")])


def generate(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"one"
    fail()


def test_the_traceback_begins_with_the_application() -> None:
    assert names_of(raised_by(fail)) == ["fail"]
    assert names_of(raised_by(call)) == ["call", "fail"]
    assert names_of(raised_by(generate)) == ["generate", "fail"]


def test_what_we_raise_below_the_application_is_shown_with_it() -> None:
    names = names_of(raised_by(inject))
    assert names[:2] == ["inject", "start_response"]


@pytest.mark.parametrize(
    "application", [lambda environ, start_response: None, lambda environ, start_response: [b"x"]]
)
def test_an_application_that_is_not_running_has_no_part_in_it(application: Any) -> None:
    error = raised_by(application)
    assert error.__traceback__ is not None
    assert application_traceback(error) is None


def test_without_a_traceback_there_is_none() -> None:
    assert application_traceback(Failure()) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("site.views", True),
        ("greenserved.views", True),
        ("greenserve_site", True),
        ("site.greenserve.views", True),
        (None, True),
        ("greenserve.wsgi.more", False),
    ],
)
def test_the_application_is_what_is_not_ours(name: str | None, found: bool) -> None:
    names: dict[str, Any] = {} if name is None else {"__name__": name}
    exec("def application(environ, start_response): raise KeyError", names)
    assert (names_of(raised_by(names["application"])) == ["application"]) is found

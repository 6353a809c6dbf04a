"""start_response and the write callable, by the rules of PEP 3333: when, and how often."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.client import Truncated, get
from tests.functional.serving import serving

FAILED = b"Internal Server Error"


def raise_again() -> Any:
    """Return the exc_info of an exception that is being handled."""
    try:
        raise RuntimeError("the first attempt failed")
    except RuntimeError:
        return sys.exc_info()


# -- how often


def test_a_second_call_without_exc_info_is_an_error() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return [b"never sent"]

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.status, answer.content) == (500, FAILED)
        (error,) = served.take_errors()
        assert issubclass(error, AssertionError)


def test_a_second_call_that_was_refused_leaves_the_first_as_it_was() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Call", "first")])
        with pytest.raises(AssertionError):
            start_response("404 Not Found", [("X-Call", "second")])
        return [b"content"]

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.status, answer["X-Call"], answer.content) == (200, "first", b"content")


def test_a_second_call_with_exc_info_replaces_a_head_that_has_not_been_sent() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Call", "first"), ("Content-Length", "1000")])
        start_response("503 Not Now", [("X-Call", "second")], raise_again())
        return [b"later"]

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.status, answer.reason, answer["X-Call"]) == (503, "Not Now", "second")
        assert (answer["Content-Length"], answer.content) == ("5", b"later")


def test_an_empty_block_does_not_send_the_head() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b""
        start_response("503 Not Now", [], raise_again())
        yield b"later"

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.status, answer.content) == (503, b"later")


def test_a_second_call_with_exc_info_raises_it_once_the_head_is_sent() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"sent"
        start_response("500 Oops", [], raise_again())
        yield b"never sent"

    with serving(application) as served:
        client = served.connect()
        client.send(get())
        with pytest.raises(Truncated) as cut:
            client.read()
        assert cut.value.received == b"sent"
        assert served.take_errors() == [RuntimeError]


def test_exc_info_is_the_traceback_of_where_it_happened() -> None:
    found: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"sent")
        info = raise_again()
        try:
            start_response("500 Oops", [], info)
        except RuntimeError as error:
            traceback = error.__traceback__
            while traceback is not None:
                found.append(traceback.tb_frame.f_code.co_name)
                traceback = traceback.tb_next
        return []

    with serving(application) as served:
        served.ask(get())
    assert found[-1] == "raise_again"


def test_a_first_call_may_have_exc_info() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [], raise_again())
        return [b"no"]

    with serving(application) as served:
        assert served.ask(get()).status == 404


# -- when


def test_a_generator_calls_it_when_it_is_first_asked() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("201 Created", [("X-Late", "yes")])
        yield b"content"

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.status, answer["X-Late"], answer.content) == (201, "yes", b"content")


def test_a_generator_without_content_may_call_it_at_its_end() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield from ()
        start_response("201 Created", [])

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.status, answer.content) == (201, b"")


@pytest.mark.parametrize("blocks", [[], [b"content"], [b"", b"content"], iter([b"content"])])
def test_content_without_a_head_is_an_error(blocks: Any) -> None:
    with serving(lambda environ, start_response: blocks) as served:
        answer = served.ask(get())
        assert (answer.status, answer.content) == (500, FAILED)
        assert served.log.matching("GET '/': .*start_response")


def test_a_call_after_the_answer_changes_nothing() -> None:
    late: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if not late:
            late.append(start_response)
        start_response("200 OK", [])
        return [b"content"]

    with serving(application) as served:
        client = served.connect()
        assert client.ask(get()).content == b"content"
        with pytest.raises(AssertionError):
            late[0]("500 Late", [])
        client.expect_no_answer_yet()
        assert client.ask(get()).status == 200


# -- write


def test_what_is_written_comes_before_what_is_returned() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        write(b"")
        write(b"two ")
        return [b"three ", b"four"]

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.content, answer.framing) == (b"one two three four", "chunked")


def test_what_is_written_keeps_to_the_content_length() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "7")])
        write(b"con")
        return [b"tent and more"]

    with serving(application) as served:
        assert served.ask(get()).content == b"content"
        assert served.log.matching("longer than its Content-Length")


@pytest.mark.parametrize("block", ["text", None, 5, ["list"]])
def test_only_bytes_can_be_written(block: Any) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(block)
        return []

    with serving(application) as served:
        assert served.ask(get()).status == 500
        (error,) = served.take_errors()
        assert issubclass(error, (TypeError, AssertionError))


def test_nothing_can_be_written_after_the_answer() -> None:
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(start_response("200 OK", []))
        return [b"content"]

    with serving(application) as served:
        client = served.connect()
        assert client.ask(get()).content == b"content"
        with pytest.raises(AssertionError):
            kept[0](b"late")
        client.expect_no_answer_yet()
        assert client.ask(get()).content == b"content"

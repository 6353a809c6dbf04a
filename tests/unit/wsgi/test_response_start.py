"""start_response, write and early hints on a sink of memory, by the rules of PEP 3333."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from greenserve.errors import ApplicationError, ClientDisconnected
from tests.unit.wsgi.sinks import MemorySink, build_response, finish, parse_answer, parse_chunks, sink_of


class Failure(Exception):
    """What the application was doing has failed."""


def failure() -> Any:
    """Return the exc_info of an exception that was raised."""
    try:
        raise Failure
    except Failure:
        return sys.exc_info()


KINDS = [list, tuple, iter]
every_kind = pytest.mark.parametrize("kind", KINDS)

# -- start_response


def test_nothing_is_sent_before_there_is_content() -> None:
    sink = MemorySink()
    response = build_response(sink)
    response.start_response("200 OK", [("X", "y")])
    assert (sink.sends, response.begun, response.finished, response.sent) == ([], False, False, 0)
    assert (response.status, response.fields) == ("200 OK", [("X", "y")])


@every_kind
@pytest.mark.parametrize("blocks", [[], [b""], [b"hello"]], ids=len)
def test_content_without_a_head_is_refused(blocks: list[bytes], kind: Any) -> None:
    sink = MemorySink()
    response = build_response(sink)
    with pytest.raises(ApplicationError, match="start_response"):
        response.send_iterable(kind(blocks))
    assert sink.sends == []


def test_a_second_call_without_exc_info_is_refused_and_changes_nothing() -> None:
    response = build_response()
    response.start_response("200 OK", [("X-Call", "first")])
    with pytest.raises(ApplicationError, match="twice without exc_info"):
        response.start_response("404 Not Found", [("X-Call", "second")])
    found = finish(response, [b"hello"])
    assert (found.status_line, found.own) == ("HTTP/1.1 200 OK", [("X-Call", "first")])
    assert (response.status, response.fields) == ("200 OK", [("X-Call", "first")])


def test_a_second_call_with_exc_info_replaces_a_head_that_was_not_sent() -> None:
    response = build_response()
    response.start_response(
        "200 OK", [("X-Call", "first"), ("Content-Length", "1000"), ("Connection", "close")]
    )
    response.start_response("503 Not Now", [("X-Call", "second")], failure())
    found = finish(response, [b"later"])
    assert (found.status_line, found.own, found.content) == (
        "HTTP/1.1 503 Not Now",
        [("X-Call", "second")],
        b"later",
    )
    assert (found.added["Content-Length"], response.persistent, response.complaint) == ("5", True, "")
    assert response.status == "503 Not Now"


def test_a_first_call_may_have_exc_info() -> None:
    response = build_response()
    response.start_response("503 Not Now", [], failure())
    found = finish(response, [b"x"])
    assert found.status_line == "HTTP/1.1 503 Not Now"


def test_a_call_that_is_refused_leaves_the_head_before_it() -> None:
    response = build_response()
    response.start_response("200 OK", [("X-Call", "first")])
    with pytest.raises(ValueError):
        response.start_response("500 Oops", [("X-Call", "a\r\nb")], failure())
    found = finish(response, [b"x"])
    assert (found.status_line, found.own) == ("HTTP/1.1 200 OK", [("X-Call", "first")])


def test_a_first_call_that_is_refused_may_be_mended() -> None:
    response = build_response()
    with pytest.raises(ValueError):
        response.start_response("200 OK", [("X", "a\r\nb")])
    response.start_response("200 OK", [("X", "ab")])
    found = finish(response, [b"x"])
    assert found.own == [("X", "ab")]


def test_once_the_head_has_left_exc_info_is_raised_with_its_own_traceback() -> None:
    response = build_response()
    response.start_response("200 OK", [])(b"sent")
    sent = sink_of(response).octets
    info = failure()
    with pytest.raises(Failure) as raised:
        response.start_response("500 Oops", [], info)
    assert raised.value is info[1]
    assert raised.traceback[-1].name == "failure"
    assert sink_of(response).octets == sent
    assert response.status == "200 OK"


def test_an_exc_info_that_was_raised_again_is_not_kept_by_a_cycle() -> None:
    response = build_response()
    response.start_response("200 OK", [])(b"sent")

    def fail() -> Any:
        try:
            info = failure()
            try:
                response.start_response("500 Oops", [], info)
            finally:
                info = None  # as PEP 3333 has it, on the application's side
        except Failure as error:
            return weakref.ref(error)

    gc.disable()  # what only the collector would find is what is looked for
    try:
        assert fail()() is None
    finally:
        gc.enable()


def test_a_small_answer_with_its_length_does_not_end_with_the_connection() -> None:
    response = build_response()
    response.start_response("200 OK", [("Content-Length", "5")])
    response.send_iterable([b"hello"])
    assert (response.settled, response.ends_by_close) == (True, False)


def test_once_the_head_has_left_a_call_without_exc_info_is_refused() -> None:
    response = build_response()
    response.start_response("200 OK", [])(b"sent")
    with pytest.raises(ApplicationError, match="twice"):
        response.start_response("500 Oops", [])


@pytest.mark.parametrize(
    "end", [lambda response: response.send_iterable([b"x"]), lambda response: response.abandon()]
)
def test_behind_the_end_there_is_no_answer_to_start(end: Any) -> None:
    response = build_response()
    response.start_response("200 OK", [])
    end(response)
    sent = sink_of(response).octets
    with pytest.raises(ApplicationError):
        response.start_response("500 Late", [])
    with pytest.raises(Failure):
        response.start_response("500 Late", [], failure())
    assert sink_of(response).octets == sent


def test_a_response_that_was_given_up_before_it_was_started_cannot_be() -> None:
    response = build_response()
    response.abandon()
    with pytest.raises(ApplicationError):
        response.start_response("200 OK", [])
    assert response.head is None


def test_the_application_may_change_its_list_afterwards() -> None:
    response = build_response()
    fields = [("X", "y")]
    response.start_response("200 OK", fields)
    fields.append(("X-Late", "never sent"))
    found = finish(response, [b"x"])
    assert found.own == [("X", "y")]


# -- write


def test_what_is_written_has_left_on_return() -> None:
    sink = MemorySink()
    response = build_response(sink)
    write = response.start_response("200 OK", [("X", "y")])
    write(b"one")
    assert sink.octets.endswith(b"\r\n\r\n3\r\none\r\n")
    write(b"")
    write(bytearray(b"two"))
    response.send_iterable([b"three", b"", b"four"])
    assert parse_chunks(parse_answer(sink.octets).content) == [b"one", b"two", b"three", b"four", b""]
    assert (response.sent, response.finished, response.persistent) == (15, True, True)


@every_kind
def test_what_is_written_and_returned_keeps_to_one_content_length(kind: Any) -> None:
    for blocks, complaint in (
        ([b"tent"], ""),
        ([b"tent and", b"more"], "longer"),
        ([b"te"], "2 bytes shorter"),
    ):
        response = build_response()
        response.start_response("200 OK", [("Content-Length", "7")])(b"con")
        found = finish(response, kind(blocks))
        assert found.content == b"content"[: 3 + len(blocks[0])]
        assert complaint in response.complaint and bool(complaint) is bool(response.complaint)


@every_kind
@pytest.mark.parametrize("written", [b"", b"hello"])
def test_the_head_is_sent_once(written: bytes, kind: Any) -> None:
    response = build_response()
    response.start_response("200 OK", [("Content-Length", "5")])(written)
    assert finish(response, kind([b"hello"])).content == b"hello"
    assert bool(response.complaint) is bool(written)


def test_an_empty_write_sends_the_head() -> None:
    sink = MemorySink()
    response = build_response(sink)
    response.start_response("200 OK", [("X", "y")])(b"")
    assert parse_answer(sink.octets).own == [("X", "y")]
    assert response.begun


def test_an_empty_block_does_not() -> None:
    response = build_response()

    def blocks() -> Iterator[bytes]:
        yield b""
        response.start_response("503 Not Now", [])
        yield b"later"

    found = finish(response, blocks())
    assert found.status_line == "HTTP/1.1 503 Not Now"


@pytest.mark.parametrize("wrong", ["text", None, 5, [b"list"]], ids=repr)
def test_only_bytes_can_be_written(wrong: Any) -> None:
    sink = MemorySink()
    response = build_response(sink)
    write = response.start_response("200 OK", [])
    with pytest.raises(ApplicationError, match="bytes are wanted"):
        write(wrong)
    assert sink.sends == []


@pytest.mark.parametrize(
    "end", [lambda response: response.send_iterable([b"x"]), lambda response: response.abandon()]
)
def test_nothing_is_written_behind_the_end(end: Any) -> None:
    response = build_response()
    write = response.start_response("200 OK", [])
    end(response)
    sent = sink_of(response).octets
    with pytest.raises(ApplicationError, match="ended"):
        write(b"late")
    with pytest.raises(ApplicationError, match="ended"):
        response.send_iterable(iter([b"late"]))
    assert sink_of(response).octets == sent


@every_kind
@pytest.mark.parametrize("gone_after", [0, 1])
def test_a_client_that_has_gone_is_an_os_error_for_the_application(gone_after: int, kind: Any) -> None:
    response = build_response(MemorySink(gone_after=gone_after))
    write = response.start_response("200 OK", [])
    with pytest.raises(OSError) as raised:
        write(b"one")
        response.send_iterable(kind([b"two"]))
    assert isinstance(raised.value, ClientDisconnected)
    assert response.begun, "there is nobody for another answer"


# -- early hints

HINTS = [("Link", "</style.css>; rel=preload")]


def test_early_hints_are_sent_at_once_and_are_no_answer() -> None:
    sink = MemorySink()
    response = build_response(sink)
    response.early_hints(HINTS)
    response.start_response("200 OK", [])
    response.early_hints(HINTS)
    assert sink.octets == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n" * 2
    assert (response.begun, response.sent) == (False, 0)
    response.send_iterable([b"x"])
    assert parse_answer(sink.octets.split(b"\r\n\r\n", 2)[2]).status_line == "HTTP/1.1 200 OK"


def test_a_client_of_http_1_0_gets_none() -> None:
    sink = MemorySink()
    build_response(sink, http_minor=0).early_hints(HINTS)
    assert sink.sends == []


@pytest.mark.parametrize(
    "begin",
    [
        lambda response: response.start_response("200 OK", [])(b"x"),
        lambda response: response.start_response("200 OK", [])(b""),
        lambda response: response.abandon(),
    ],
)
def test_hints_that_come_too_late_are_not_sent(begin: Any) -> None:
    response = build_response()
    begin(response)
    sent = sink_of(response).octets
    response.early_hints(HINTS)
    assert sink_of(response).octets == sent


def test_nothing_can_be_injected_by_hints() -> None:
    sink = MemorySink()
    with pytest.raises(ValueError):
        build_response(sink).early_hints([("Link", "a\r\nX-Injected: yes")])
    assert sink.sends == []

"""start_response and the write callable, by the rules of PEP 3333: when, how often, and with what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.client import Truncated, get
from tests.functional.serving import answering, serving

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


# -- with what


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (b"200 OK", []),
        (200, []),
        (None, []),
        ("200 \u20ac", []),
        ("200 OK", [(b"X-Name", "value")]),
        ("200 OK", [("X-Name", b"value")]),
        ("200 OK", [("X-Name", 5)]),
        ("200 OK", [("X-Name", None)]),
        ("200 OK", [("X-Name", "\u20ac")]),
        ("200 OK", [("X-\u20ac", "value")]),
        ("200 OK", [("X-Name", "value", "more")]),
        ("200 OK", [("X-Name",)]),
        ("200 OK", None),
    ],
)
def test_what_is_not_a_native_string_is_refused(status: Any, fields: Any) -> None:
    refused: list[Exception] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        try:
            start_response(status, fields)
        except Exception as error:
            refused.append(error)
            raise
        return [b"never sent"]

    with serving(application) as served:
        assert served.ask(get()).status == 500
        assert served.take_errors() == [type(error) for error in refused] != []


@pytest.mark.parametrize("place", ["status", "name", "value", "start of the value", "end of the value"])
@pytest.mark.parametrize("octets", ["\r\n", "\n", "\r", "\0", "\x0b", "\x1b", "\x7f"])
def test_nothing_can_be_injected_by_a_control_character(octets: str, place: str) -> None:
    injected = f"{octets}X-Injected: yes"
    status = f"200 OK{injected}" if place == "status" else "200 OK"
    name = f"X-Name: value{injected}" if place == "name" else "X-Name"
    value = {
        "value": f"value{injected}",
        "start of the value": f"{injected}",
        "end of the value": f"value{octets}",
    }.get(place, "value")
    with serving(answering(b"never sent", status, (name, value))) as served:
        client = served.connect()
        client.send(get("/", "Connection: close"))
        received = client.read_to_end()
        assert received.startswith(b"HTTP/1.1 500 ")
        assert b"Injected" not in received
        assert b"never sent" not in received
        assert len(served.take_errors()) == 1


def test_nothing_can_be_injected_through_early_hints() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</style.css>\r\nX-Injected: yes")])
        return []

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.status, "x-injected" in answer.names) == (500, False)
        assert served.take_errors() == [ValueError]


@pytest.mark.parametrize("name", ["", " ", "X Name", "X-Name ", "X:Name", "X-N\xe4me", "(X)", "X-Name\t"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with serving(answering(b"never sent", "200 OK", (name, "value"))) as served:
        assert served.ask(get()).status == 500
        assert served.take_errors() == [ValueError]


@pytest.mark.parametrize(
    "status",
    [
        "",
        "OK",
        "20 OK",
        "2000 OK",
        "200OK",
        " 200 OK",
        "000 Nothing",
        "099 Low",
        "2x0 OK",
        "+20 OK",
        "\u0662\u0660\u0660 OK",
    ],
)
def test_what_is_no_status_is_refused(status: str) -> None:
    with serving(answering(b"never sent", status)) as served:
        assert served.ask(get()).status == 500
        (error,) = served.take_errors()
        assert issubclass(error, ValueError)


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints", "199 Odd"])
def test_an_interim_status_is_no_answer(status: str) -> None:
    with serving(answering(b"never sent", status)) as served:
        assert served.ask(get()).status == 500
        assert served.take_errors() == [ValueError]


@pytest.mark.parametrize(
    "lengths", [["abc"], ["-1"], ["+7"], ["7, 7"], [""], ["7.0"], ["0x7"], ["7_0"], ["7", "8"], ["\xb2"]]
)
def test_a_content_length_that_is_none_is_refused(lengths: list[str]) -> None:
    fields = [("Content-Length", length) for length in lengths]
    with serving(answering(b"content", "200 OK", *fields)) as served:
        assert served.ask(get()).status == 500
        assert served.take_errors() == [ValueError]


def test_a_content_length_given_twice_is_sent_once() -> None:
    with serving(answering(b"content", "200 OK", ("Content-Length", "7"), ("content-length", "7"))) as served:
        assert served.ask(get()).content == b"content"  # the client refuses a repeated field


def test_fields_are_sent_as_they_are_and_in_their_order() -> None:
    fields = [
        ("Set-Cookie", "a=b"),
        ("x-lower", "yes"),
        ("Set-Cookie", "c=d, e; f"),
        ("X-Latin", "caf\xe9"),
        ("X-Empty", ""),
        ("X-Tab", "a\tb"),
        ("Content-Type", "text/plain"),
    ]
    with serving(answering(b"content", "299 Caf\xe9", *fields)) as served:
        answer = served.ask(get())
    assert (answer.status, answer.reason) == (299, "Caf\xe9")
    assert answer.fields[: len(fields)] == fields


def test_any_sequence_of_fields_will_do_and_may_change_afterwards() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        fields = [("X-Name", "value")]
        start_response("200 OK", fields)
        fields.append(("X-Late", "never sent"))
        return [b"content"]

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer["X-Name"], "x-late" in answer.names) == ("value", False)
    with serving(
        lambda environ, start_response: (start_response("200 OK", (("X", "y"),)), [b""])[1]
    ) as served:
        assert served.ask(get())["X"] == "y"


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
        assert served.take_errors() == [TypeError]


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

"""What an application may say in status and fields (PEP 3333): nothing can be injected."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional.client import get
from tests.functional.serving import answering, serving


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

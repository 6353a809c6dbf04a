"""Statuses as applications give them: what is let in, the status line, and how much is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from greenserve.protocol.response import serialize_head
from greenserve.protocol.status import BODYLESS, known_statuses, parse_status

FINAL = [status for status in HTTPStatus if status >= 200]
INTERIM = [status for status in HTTPStatus if status < 200 and status != 101]


@pytest.fixture(autouse=True)
def _table() -> Iterator[None]:
    """Leave what is remembered as it was found."""
    before = dict(known_statuses)
    yield
    known_statuses.clear()
    known_statuses.update(before)


def read(status: str) -> tuple[int, bytes, bool]:
    """Return code, status line and whether there may be content, as it comes out of a head."""
    head = serialize_head(status, [])
    return head.code, head.octets, head.plain


@pytest.mark.parametrize("status", [*FINAL, HTTPStatus.SWITCHING_PROTOCOLS])
def test_a_status_of_the_registry_gives_the_same_from_the_table_and_parsed(status: HTTPStatus) -> None:
    text = f"{status.value} {status.phrase}"
    expected = (status.value, f"HTTP/1.1 {text}\r\n".encode(), status.value not in (101, 204, 304))
    in_table = known_statuses.pop(text)
    assert parse_status(text) == in_table == known_statuses[text]
    assert read(text) == expected
    assert (in_table[0], in_table[2]) == (expected[0], expected[2])


@pytest.mark.parametrize(
    ("status", "code", "line"),
    [
        ("200", 200, b"HTTP/1.1 200 \r\n"),
        ("200 ", 200, b"HTTP/1.1 200 \r\n"),
        ("200  two", 200, b"HTTP/1.1 200  two\r\n"),
        ("200 a\tb", 200, b"HTTP/1.1 200 a\tb\r\n"),
        ("299 Caf\xe9", 299, b"HTTP/1.1 299 Caf\xe9\r\n"),
        ("299 \x80\xff ~", 299, b"HTTP/1.1 299 \x80\xff ~\r\n"),
        ("204 Gone Fishing", 204, b"HTTP/1.1 204 Gone Fishing\r\n"),
        ("101 Other Tongue", 101, b"HTTP/1.1 101 Other Tongue\r\n"),
        ("600 Odd", 600, b"HTTP/1.1 600 Odd\r\n"),
        ("999 Last", 999, b"HTTP/1.1 999 Last\r\n"),
    ],
    ids=repr,
)
def test_any_reason_phrase_will_do(status: str, code: int, line: str) -> None:
    expected = (code, line, code not in (101, 204, 304))
    assert read(status) == read(status) == expected
    found = parse_status(status)
    assert (found[0], found[2]) == (expected[0], expected[2])


@pytest.mark.parametrize("status", [b"200 OK", bytearray(b"200 OK"), 200, 200.0, None, ("200 OK",)], ids=repr)
def test_what_is_no_native_string_is_refused(status: Any) -> None:
    with pytest.raises(UnicodeError, match=type(status).__name__):
        parse_status(status)


@pytest.mark.parametrize("octet", ["\r", "\n", "\r\n"], ids=repr)
@pytest.mark.parametrize("form", ["{}200 OK", "200{}OK", "200 OK{}", "200 O{}X-Injected: yes"])
def test_no_line_can_be_injected(form: str, octet: str) -> None:
    with pytest.raises(ValueError, match="carriage return or newline"):
        parse_status(form.format(octet))


@pytest.mark.parametrize(
    "octet", [chr(code) for code in (*range(32), 127) if chr(code) not in "\t\r\n"], ids=repr
)
def test_no_control_character_gets_into_a_reason_phrase(octet: str) -> None:
    with pytest.raises(ValueError, match="invalid status"):
        parse_status(f"200 O{octet}K")


@pytest.mark.parametrize(
    "status",
    [
        "",
        " ",
        "OK",
        "20 OK",
        "20",
        "2000",
        "2000 OK",
        "200OK",
        "200\tOK",
        " 200 OK",
        "000 Nothing",
        "099 Low",
        "2x0 OK",
        "+20 OK",
        "-20 OK",
        "2e2 OK",
        "\u0662\u0660\u0660 OK",
        "\xb200 OK",
        "200 \u20ac",
        "200 \ud800",
    ],
    ids=ascii,
)
def test_what_is_no_status_is_refused(status: str) -> None:
    with pytest.raises(ValueError, match="invalid status"):
        parse_status(status)
    assert status not in known_statuses


@pytest.mark.parametrize(
    "status", [*(f"{status.value} {status.phrase}" for status in INTERIM), "199 Odd", "100"]
)
def test_an_interim_status_is_no_response_s(status: str) -> None:
    assert status not in known_statuses
    with pytest.raises(ValueError, match="interim"):
        parse_status(status)
    assert status not in known_statuses


def test_which_responses_have_no_content() -> None:
    assert BODYLESS == {101, 204, 304}


def test_a_status_is_remembered() -> None:
    known_statuses.clear()
    found = parse_status("299 Odd")
    assert known_statuses == {"299 Odd": found}


def test_a_long_status_is_not_remembered() -> None:
    known_statuses.clear()
    longest = "299 " + "x" * 60
    assert parse_status(longest)[0] == parse_status(longest + "x")[0] == 299
    assert list(known_statuses) == [longest]


def test_an_application_can_neither_grow_the_table_nor_fill_it_for_good() -> None:
    sizes = []
    for number in range(1000):
        assert read(f"200 Odd {number}") == (200, b"HTTP/1.1 200 Odd %d\r\n" % number, True)
        assert f"200 Odd {number}" in known_statuses, "a full table is cleared"
        sizes.append(len(known_statuses))
    assert max(sizes) == 256
    for status in FINAL:
        assert read(f"{status.value} {status.phrase}")[0] == status.value


def test_a_table_that_is_not_full_is_kept() -> None:
    known_statuses.clear()
    for number in range(100):
        parse_status(f"200 Odd {number}")
    assert len(known_statuses) == 100

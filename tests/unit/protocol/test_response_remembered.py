"""What is remembered of response fields: little, no secret, and nothing that changes what is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenserve.protocol import response
from greenserve.protocol.response import known_fields, known_lengths, serialize_head

#: Applications send these with each response, and what they say is known to everybody.
HARMLESS = [
    "Accept-Ranges",
    "Access-Control-Allow-Origin",
    "Allow",
    "Cache-Control",
    "Content-Encoding",
    "Content-Language",
    "Content-Type",
    "Cross-Origin-Opener-Policy",
    "Expires",
    "Permissions-Policy",
    "Pragma",
    "Referrer-Policy",
    "Strict-Transport-Security",
    "Vary",
    "X-Content-Type-Options",
    "X-Frame-Options",
]
OTHERS = [
    "Authentication-Info",
    "Content-Disposition",
    "Content-Location",
    "Content-Security-Policy",  # it may have a nonce
    "Date",
    "ETag",
    "Link",
    "Location",
    "Server",
    "Set-Cookie",
    "Upgrade",
    "WWW-Authenticate",
    "X-Api-Key",
    "X-CSRF-Token",
    "X-Request-Id",
]


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    """Begin with nothing remembered, and leave what was found."""
    before = dict(known_fields), dict(known_lengths)
    known_fields.clear()
    known_lengths.clear()
    yield
    known_fields.clear()
    known_lengths.clear()
    known_fields.update(before[0])
    known_lengths.update(before[1])


def serialize(*fields: tuple[str, str]) -> list[bytes]:
    """Return the field lines; they are the same each time."""
    found = [serialize_head("200 OK", list(fields)).octets for _ in range(3)]
    assert found[0] == found[1] == found[2]
    return found[0].splitlines(keepends=True)[1:]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_remembered_with_its_line(name: str) -> None:
    for spelling in (name, name.lower()):
        line = f"{spelling}: value\r\n".encode()
        assert serialize((spelling, "value")) == [line]
        assert known_fields[spelling, "value"] == line


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_may_be_a_secret(name: str) -> None:
    assert serialize((name, "hush-hush")) == [f"{name}: hush-hush\r\n".encode()]
    assert known_fields == {}


@pytest.mark.parametrize("value", ["a\r\nX: y", "\0", "\u20ac"], ids=ascii)
def test_what_is_refused_is_not_remembered(value: str) -> None:
    serialize(("Content-Type", "text/plain"))
    for _ in range(3):
        with pytest.raises(ValueError):
            serialize_head("200 OK", [("Content-Type", value)])
    assert list(known_fields) == [("Content-Type", "text/plain")]


def test_a_long_field_is_not_remembered() -> None:
    longest = "v" * (256 - len("Vary: \r\n"))
    for value in (longest, longest + "v"):
        assert serialize(("Vary", value)) == [f"Vary: {value}\r\n".encode()]
    assert list(known_fields) == [("Vary", longest)]


def test_an_application_can_neither_grow_the_fields_nor_fill_them_for_good() -> None:
    sizes = []
    for number in range(2000):
        assert serialize(("Vary", str(number))) == [b"Vary: %d\r\n" % number]
        assert ("Vary", str(number)) in known_fields
        sizes.append(len(known_fields))
    assert max(sizes) == 512 and min(sizes) == 1


def test_an_application_can_neither_grow_the_lengths_nor_fill_them_for_good() -> None:
    sizes = []
    for number in range(5000):
        head = serialize_head("200 OK", [("Content-Length", str(number))])
        assert (head.content_length, head.octets[17:]) == (number, b"Content-Length: %d\r\n" % number)
        sizes.append(len(known_lengths))
    assert 100 < max(sizes) <= 1024


@pytest.mark.parametrize("value", ["7", "007", "0"])
def test_a_length_is_sent_as_it_was_spelled(value: str) -> None:
    for spelling in ("content-length", "Content-Length", "CONTENT-LENGTH"):
        assert serialize((spelling, value)) == [f"{spelling}: {value}\r\n".encode()]


@pytest.mark.parametrize("number", [600, 3000])
def test_no_name_that_concerns_the_server_becomes_ordinary(number: int) -> None:
    for each in range(number):
        assert serialize((f"X-{each}", "v")) == [b"X-%d: v\r\n" % each]
    for _ in range(2):
        head = serialize_head("200 OK", [("Keep-Alive", "5"), ("Content-Length", "7"), ("Date", "now")])
        assert (head.dropped, head.content_length, head.has_date) == (("Keep-Alive",), 7, True)
        with pytest.raises(ValueError, match="invalid header name"):
            serialize_head("200 OK", [("X 1", "v")])


def test_the_names_are_bounded_too() -> None:
    """They are in no public table: what is kept of them is looked for in the module."""
    serialize(("X-Marker", "v"))
    tables = [
        each for each in vars(response).values() if isinstance(each, (dict, set)) and "X-Marker" in each
    ]
    assert tables
    for number in range(2000):
        serialize((f"X-{number}", "v"), ("X-" + "n" * 62, "v"), ("X-" + "n" * 63, "v"))
        for table in tables:
            assert f"X-{number}" in table
            assert len(table) <= 512
            assert max(map(len, table)) <= 64
    serialize(*((f"Y-{number}", "v") for number in range(100)), ("X-" + "n" * 62, "v"))
    assert all(len(table) > 50 and "X-" + "n" * 62 in table for table in tables)

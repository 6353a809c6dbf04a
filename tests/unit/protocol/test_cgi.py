"""Field names as environ keys, and what is remembered of fields: little, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenserve.errors import ProtocolError
from greenserve.protocol import cgi
from greenserve.protocol.cgi import environ_key, known_lines, names, prefixed, remember_line
from greenserve.protocol.head import Limits, RequestHead, parse_head
from greenserve.wsgi.environ import with_places

#: DECISIONS allow these lines to be kept; every other name may be that of a secret.
HARMLESS = [
    "Accept",
    "Accept-Charset",
    "Accept-Encoding",
    "Accept-Language",
    "Cache-Control",
    "Pragma",
    "Sec-CH-UA",
    "Sec-CH-UA-Platform",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Upgrade-Insecure-Requests",
    "User-Agent",
]
OTHERS = [
    "Authorization",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "If-None-Match",
    "Origin",
    "Proxy-Authorization",
    "Referer",
    "Sec-CH",
    "Sec-Chance",
    "Sec-Fetch",
    "Sec-Fetches",
    "Sec-Purpose",
    "Sec-WebSocket-Key",
    "User-Agents",
    "X-Accept",
    "X-Api-Key",
    "X-CSRF-Token",
    "X-Forwarded-For",
    "X-Sec-Fetch-Mode",
    "X-User-Agent",
]
ALPHABET = "!#$%&'*+-.^`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    """Begin with nothing learned, whatever ran before, and leave nothing behind."""
    forget()
    yield
    forget()


def forget() -> None:
    names.clear()
    cgi.remarkable.intersection_update(cgi._SPECIAL)
    known_lines.clear()
    known_lines.update(cgi._USUAL)


@pytest.fixture
def no_names() -> None:
    names.clear()


def parse_field(line: str) -> tuple[RequestHead, dict[str, Any]]:
    """Parse a head with the field `line`, three times: what recurs may be remembered then."""
    octets = f"POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n".encode("latin-1")
    for _ in range(3):
        environ = with_places({"SCRIPT_NAME": ""})
        head = parse_head(octets, 0, Limits(), environ)
        assert head is not None
    return head, environ


# -- keys


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Host", "HTTP_HOST"),
        ("hOSt", "HTTP_HOST"),
        ("X-Real-Ip", "HTTP_X_REAL_IP"),
        ("--", "HTTP___"),
        ("Content-Type", "CONTENT_TYPE"),
        ("CONTENT-type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
        ("Content-Lengths", "HTTP_CONTENT_LENGTHS"),
        ("Content-Encoding", "HTTP_CONTENT_ENCODING"),
        ("X-Content-Type", "HTTP_X_CONTENT_TYPE"),
        ("Proxy-Authorization", "HTTP_PROXY_AUTHORIZATION"),
        ("Proxy-", "HTTP_PROXY_"),
        ("X-Proxy", "HTTP_X_PROXY"),
        ("1", "HTTP_1"),
        (ALPHABET, "HTTP_" + ALPHABET.upper().replace("-", "_")),
    ],
)
def test_the_key_of_a_name(name: str, key: str) -> None:
    assert environ_key(name) == key
    assert environ_key(name) == key, "asked for a second time"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("X_Real_Ip", "-X_REAL_IP"),
        ("X-Real_Ip", "-X_REAL_IP"),
        ("_", "-_"),
        ("Content_Length", "-CONTENT_LENGTH"),
        ("Content_type", "-CONTENT_TYPE"),
        ("User_Agent", "-USER_AGENT"),
        ("Proxy", "-PROXY"),
        ("pROXY", "-PROXY"),
    ],
)
def test_a_name_that_could_pass_for_another_is_left_to_the_caller_each_time(name: str, key: str) -> None:
    for _ in range(2):
        assert environ_key(name) == key
        assert name not in names


@pytest.mark.parametrize("form", ["{}", "{}Host", "Host{}", "Ho{}st"])
def test_a_name_that_is_no_token_has_no_key(form: str) -> None:
    for octet in map(chr, range(256)):
        name = form.format(octet)
        assert (environ_key(name) != "") is (octet in ALPHABET + "_"), ascii(name)
        assert octet in ALPHABET or name not in names


@pytest.mark.parametrize("name", ["", "\u20ac", "\u0660", "\u017f", "Host\u2028"], ids=ascii)
def test_what_is_not_even_octets_has_no_key(name: str) -> None:
    assert environ_key(name) == ""


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("CONTENT_TYPE", "CONTENT_TYPE"),
        ("CONTENT_LENGTH", "CONTENT_LENGTH"),
        ("CONTENT", "HTTP_CONTENT"),
        ("HOST", "HTTP_HOST"),
        ("HTTP_HOST", "HTTP_HTTP_HOST"),
    ],
)
def test_two_keys_have_no_prefix(name: str, key: str) -> None:
    assert prefixed(name) == key


# -- what is remembered of names


@pytest.mark.usefixtures("no_names")
def test_a_name_is_remembered_as_it_was_sent() -> None:
    environ_key("hOSt")
    environ_key("Host")
    environ_key("Content-Type")
    assert names == {"hOSt": "HTTP_HOST", "Host": "HTTP_HOST", "Content-Type": "CONTENT_TYPE"}


@pytest.mark.usefixtures("no_names")
def test_a_long_name_is_not_remembered() -> None:
    assert environ_key("N" * 64) == "HTTP_" + "N" * 64
    assert environ_key("N" * 65) == "HTTP_" + "N" * 65
    assert list(names) == ["N" * 64]


@pytest.mark.usefixtures("no_names")
def test_a_client_can_neither_grow_the_names_nor_keep_junk_in_them() -> None:
    for number in range(cgi.NAMES_LIMIT):
        environ_key(f"X-{number}")
    assert len(names) == cgi.NAMES_LIMIT, "a table that is not full is kept"
    environ_key("Accept")
    assert names == {"Accept": "HTTP_ACCEPT"}


# -- the allow-list of lines


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper], ids=["as-is", "lower", "upper"])
def test_what_is_harmless_is_remembered(name: str, spell: type[str]) -> None:
    line = f"{spell(name)}:  some-thing\t"
    parse_field(line)
    assert known_lines[line] == ("HTTP_" + name.upper().replace("-", "_"), "some-thing")


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_may_be_a_secret(name: str) -> None:
    for value in ("17", " 17 "):
        parse_field(f"{name}:{value}")
    assert [line for line in known_lines if name in line or "17" in line] == []


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("Connection: close", "persistent", False),
        ("Connection: Keep-Alive, close", "persistent", False),
        ("Expect: 100-continue", "expect_continue", True),
        ("Transfer-Encoding: chunked", "chunked", True),
        ("Content-Length: 7", "content_length", 7),
    ],
)
def test_what_the_parser_has_to_look_at_is_looked_at_each_time(line: str, name: str, value: Any) -> None:
    for _ in range(2):
        head, environ = parse_field(line)
        assert getattr(head, name) == value
        assert line not in known_lines
        for number in range(cgi.NAMES_LIMIT):
            environ_key(f"X-{number}")


def test_a_host_that_is_malformed_is_so_each_time() -> None:
    for _ in range(3):
        with pytest.raises(ProtocolError):
            parse_head(b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 0, Limits(), with_places({"SCRIPT_NAME": ""}))


@pytest.mark.parametrize("value", ["keep-alive", "Keep-Alive"])
def test_the_usual_connection_option_says_what_holds_anyway(value: str) -> None:
    line = f"Connection: {value}"
    for number in range(2):
        head, environ = parse_field(line)
        assert (head.persistent, head.plain, environ["HTTP_CONNECTION"]) == (True, True, value)
        assert known_lines[line] == ("HTTP_CONNECTION", value)
        for other in range(cgi.LINES_LIMIT):
            parse_field(f"Accept: {number}-{other}")


def test_a_long_name_that_begins_like_a_harmless_one_is_not_remembered() -> None:
    line = "Sec-CH-" + "n" * 58 + ": value"
    parse_field(line)
    assert line not in known_lines


def test_what_is_harmless_is_still_so_when_the_names_have_been_forgotten() -> None:
    for round in range(2):
        for number in range(cgi.NAMES_LIMIT):
            environ_key(f"X-{number}")
        parse_field(f"Accept: {round}")
        parse_field("X-Api-Key: hush-hush")
        assert f"Accept: {round}" in known_lines
        assert "X-Api-Key: hush-hush" not in known_lines


def test_a_client_cannot_grow_any_table() -> None:
    tables = [table for table in vars(cgi).values() if isinstance(table, (dict, set))]
    assert names in tables and known_lines in tables
    for number in range(3 * cgi.NAMES_LIMIT):
        parse_field(f"Sec-CH-{number}: value")
        assert f"Sec-CH-{number}: value" in known_lines
    assert max(map(len, tables)) <= cgi.LINES_LIMIT


# -- what is remembered of lines


def test_a_line_is_remembered_as_it_was_sent() -> None:
    assert remember_line("Accept:  */* ", "HTTP_ACCEPT", "*/*") is True
    assert known_lines["Accept:  */* "] == ("HTTP_ACCEPT", "*/*")


@pytest.mark.parametrize("name", ["Host", "Connection", "Content-Length", "Transfer-Encoding", "Expect"])
def test_a_line_that_has_to_be_looked_at_is_not_remembered(name: str) -> None:
    assert remember_line(f"{name}: 17", environ_key(name), "17") is False
    assert f"{name}: 17" not in known_lines


def test_a_long_line_is_not_remembered() -> None:
    for size in (cgi.LINE_SIZE_LIMIT, cgi.LINE_SIZE_LIMIT + 1):
        line = "Accept: ".ljust(size, "v")
        remember_line(line, "HTTP_ACCEPT", line[8:])
        assert (line in known_lines) is (size == cgi.LINE_SIZE_LIMIT)


def test_a_client_can_neither_grow_the_lines_nor_keep_junk_in_them() -> None:
    sizes = []
    for number in range(2 * cgi.LINES_LIMIT):
        remember_line(f"Accept: {number}", "HTTP_ACCEPT", str(number))
        assert f"Accept: {number}" in known_lines
        sizes.append(len(known_lines))
    assert max(sizes) == cgi.LINES_LIMIT, "a table that is not full is kept"
    assert min(sizes) < 10, "a full one is cleared"


def test_the_tables_are_small() -> None:
    """What clients can have kept in all, at the worst: each text twice."""
    assert cgi.NAMES_LIMIT * 2 * 64 + cgi.LINES_LIMIT * 2 * cgi.LINE_SIZE_LIMIT < 2 << 20

"""serialize_head and serialize_interim: what is sent, what is noted, what is dropped, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenserve.protocol.response import ResponseHead, serialize_head, serialize_interim

TCHARS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CONTROLS = [chr(code) for code in (*range(32), 127) if chr(code) != "\t"]
HOP_BY_HOP = ["Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding"]


# Python's option -bb makes an error of comparing bytes and str.
bytes_for_str = pytest.mark.filterwarnings("ignore::BytesWarning")


def spellings(name: str) -> list[str]:
    return [name, name.lower(), name.upper(), name.swapcase()]


def notes(head: ResponseHead) -> dict[str, Any]:
    """Return what a head says to the server, without what is as usual."""
    usual = {"content_length": None, "plain": True, "dropped": ()}
    names = ("content_length", "plain", "has_date", "has_server", "close", "upgrade", "dropped")
    return {name: getattr(head, name) for name in names if getattr(head, name) != usual.get(name, False)}


def serialize(*fields: Any, status: str = "200 OK") -> ResponseHead:
    """Serialize twice: what is remembered of the first time must not change the second."""
    first, head = serialize_head(status, [*fields]), serialize_head(status, [*fields])
    assert (first.code, first.octets, notes(first)) == (head.code, head.octets, notes(head))
    return head


def lines(head: ResponseHead) -> list[bytes]:
    """Return the field lines."""
    status_line, *found, end = head.octets.split(b"\r\n")
    assert status_line.startswith(b"HTTP/1.1 ")
    assert end == b""
    return found


def refuse(*fields: Any) -> ValueError:
    """Return the error that refuses the fields, the second time as well as the first."""
    for _ in range(2):
        with pytest.raises(ValueError) as error:
            serialize_head("200 OK", [*fields])
    return error.value


# -- what is sent


def test_the_octets_are_status_line_and_field_lines() -> None:
    head = serialize(("Content-Type", "text/plain"), ("X-Empty", ""), status="404 Not Found")
    assert head.octets == b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nX-Empty: \r\n"
    assert head.code == 404


def test_no_fields_are_as_good() -> None:
    assert serialize().octets == b"HTTP/1.1 200 OK\r\n"


def test_an_unusual_reason_is_sent_in_latin_1() -> None:
    assert serialize(status="299 Caf\xe9").octets == b"HTTP/1.1 299 Caf\xe9\r\n"


def test_fields_are_sent_as_they_are_and_in_their_order() -> None:
    head = serialize(("Set-Cookie", "a=b"), ("x-LOWER", "c, d; e"), ("Set-Cookie", "f"), ("ETag", '"g"'))
    assert lines(head) == [b"Set-Cookie: a=b", b"x-LOWER: c, d; e", b"Set-Cookie: f", b'ETag: "g"']


@pytest.mark.parametrize(
    "fields", [(("A", "b"),), iter([("A", "b")]), [["A", "b"]]], ids=["tuple", "iterator", "lists"]
)
def test_any_iterable_of_pairs_will_do(fields: Any) -> None:
    assert serialize_head("200 OK", fields).octets == b"HTTP/1.1 200 OK\r\nA: b\r\n"


@pytest.mark.parametrize(
    "name", ["X", TCHARS, "x" * 64, "x" * 65, "x" * 5000], ids=lambda name: str(len(name))
)
def test_any_token_is_a_name(name: str) -> None:
    assert lines(serialize((name, "value"))) == [name.encode() + b": value"]


@pytest.mark.parametrize("name", ["X-Name", "Content-Type", "Date"])
def test_any_octet_of_a_field_may_be_in_a_value(name: str) -> None:
    for code in (9, *range(32, 127), *range(128, 256)):
        value = f"a{chr(code)}b{chr(code)}"
        assert lines(serialize((name, value))) == [f"{name}: {value}".encode("latin-1")]


def test_a_head_is_as_long_as_the_application_likes() -> None:
    fields = [(f"X-{number}", "v" * number) for number in range(2000)]
    assert lines(serialize(*fields)) == [f"{name}: {value}".encode() for name, value in fields]


# -- what is refused: nothing that is let in can begin a second field


@pytest.mark.parametrize("octet", CONTROLS, ids=repr)
@pytest.mark.parametrize("form", ["{}value", "val{}ue", "value{}", "value{}X-Injected: yes", "{0}{0}"])
def test_a_control_character_in_a_value_is_refused(form: str, octet: str) -> None:
    for name in ("X-Name", "Content-Type", "Date", "Upgrade"):
        error = refuse(("X-First", "ok"), (name, form.format(octet)), ("X-Last", "ok"))
        assert not isinstance(error, UnicodeError)
        word = "carriage return or newline" if octet in "\r\n" else "control character"
        assert word in error.args[0] and "value" in error.args[0]


@pytest.mark.parametrize("value", ["a\r\nX-Injected: yes", "a\r\n\r\n<html>", "\r\n", "a\r\n b"], ids=repr)
@pytest.mark.parametrize("others", [0, 1, 7])
def test_crlf_in_a_value_does_not_pass_for_a_line_end_of_ours(value: str, others: int) -> None:
    assert "newline" in refuse(*[("X-Other", "ok")] * others, ("X-Name", value)).args[0]


@pytest.mark.parametrize("octet", [*CONTROLS, *'\t "(),/:;<=>?@[\\]{}\x80\xe9\xff'], ids=ascii)
@pytest.mark.parametrize("form", ["{}Name", "Na{}me", "Name{}", "{}"])
def test_a_name_that_is_no_token_is_refused(form: str, octet: str) -> None:
    error = refuse((form.format(octet), "value"))
    assert "header name" in error.args[0]
    assert ("newline" in error.args[0]) is (octet in "\r\n")


@pytest.mark.parametrize("name", ["", "\u20ac", "X-\u20ac", "X-\ud800"], ids=ascii)
def test_a_name_that_is_none_at_all_is_refused(name: str) -> None:
    refuse((name, "value"))


@pytest.mark.parametrize("value", ["\u20ac", "a\u0100", "\ud800", "\u010d\u010a"], ids=ascii)
def test_a_value_that_is_not_latin_1_is_refused(value: str) -> None:
    error = refuse(("X-Name", value))
    assert isinstance(error, UnicodeError)
    assert "non-latin1" in error.args[0]


@bytes_for_str
@pytest.mark.parametrize("wrong", [b"bytes", 5, None, ["list"], bytearray(b"x")], ids=repr)
def test_a_name_that_is_no_native_string_is_refused(wrong: Any) -> None:
    error = refuse(("X-First", "ok"), (wrong, "value"))
    assert isinstance(error, UnicodeError)
    assert "name must be a native string" in error.args[0]


@bytes_for_str
@pytest.mark.parametrize("wrong", [b"7", 7, None, ["list"], bytearray(b"x")], ids=repr)
@pytest.mark.parametrize("name", ["X-Name", "Content-Length", "CONTENT-LENGTH", "Date", "Server", "Upgrade"])
def test_a_value_that_is_no_native_string_is_refused(name: str, wrong: Any) -> None:
    error = refuse(("X-First", "ok"), (name, wrong))
    assert isinstance(error, UnicodeError)
    assert "value must be a native string" in error.args[0]


@pytest.mark.parametrize("field", [(), ("X-Name",), ("X-Name", "value", "more"), "X-Name: value"], ids=repr)
def test_what_is_no_pair_is_refused(field: Any) -> None:
    refuse(field)


def test_what_is_wrong_is_refused_also_where_it_cannot_be_seen_twice() -> None:
    with pytest.raises(ValueError, match="pairs of native strings"):
        serialize_head("200 OK", iter([("X-Name", 5)]))  # type: ignore[list-item]


@pytest.mark.parametrize("status", ["200 OK\r\nX-Injected: yes", "103 Early Hints", "OK", ""], ids=repr)
def test_a_bad_status_is_refused(status: str) -> None:
    with pytest.raises(ValueError):
        serialize_head(status, [])


@bytes_for_str
@pytest.mark.parametrize("status", [b"200 OK", 200, None], ids=repr)
def test_a_status_that_is_no_native_string_is_refused(status: Any) -> None:
    with pytest.raises(UnicodeError):
        serialize_head(status, [])


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4))
@example([("A", "b\r\nC: d")])
@example([("Content-Length", "1\n")])
def test_a_head_has_the_lines_that_were_asked_for_or_is_refused(fields: list[tuple[str, str]]) -> None:
    try:
        head = serialize_head("200 OK", fields)
    except ValueError:
        return
    sent = [tuple(line.decode("latin-1").split(": ", 1)) for line in lines(head)]
    assert all(field in fields for field in sent)
    assert not set(head.octets.replace(b"\r\n", b"")) & {ord(octet) for octet in CONTROLS}


# -- Content-Length


@pytest.mark.parametrize("name", spellings("Content-Length"))
@pytest.mark.parametrize(("value", "length"), [("0", 0), ("7", 7), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_a_content_length_is_noted_and_sent(name: str, value: str, length: int) -> None:
    head = serialize((name, value))
    assert head.content_length == length
    assert lines(head) == [f"{name}: {value}".encode()]


def test_without_content_length_there_is_none() -> None:
    assert serialize(("X-Content-Length", "7")).content_length is None


@pytest.mark.parametrize("name", spellings("Content-Length"))
@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+7",
        " 7",
        "7 ",
        "7, 7",
        "7.0",
        "7_0",
        "0x7",
        "abc",
        "\xb2",
        "\u0667",
        "7\n",
        "7\r\nX: y",
        "9" * 19,
    ],
    ids=ascii,
)
def test_a_content_length_that_is_none_is_refused(name: str, value: str) -> None:
    refuse((name, value))


@pytest.mark.parametrize("name", spellings("Content-Length"))
def test_the_same_content_length_again_is_left_out(name: str) -> None:
    head = serialize(("Content-Length", "7"), ("X", "y"), (name, "07"), (name, "7"))
    assert head.content_length == 7
    assert lines(head) == [b"Content-Length: 7", b"X: y"]


@pytest.mark.parametrize("name", spellings("Content-Length"))
@pytest.mark.parametrize("first", ["7", "0"])
def test_another_content_length_is_refused(name: str, first: str) -> None:
    assert "two Content-Length" in refuse(("Content-Length", first), (name, "8")).args[0]


@pytest.mark.parametrize("name", spellings("Content-Length"))
@pytest.mark.parametrize(
    ("code", "sent"), [(101, False), (204, False), (304, True), (205, True), (200, True)]
)
def test_a_content_length_is_never_sent_with_1xx_and_204(code: int, sent: bool, name: str) -> None:
    for status in (f"{code} Whatever", f"{code} Whatever"):
        head = serialize((name, "7"), ("X", "y"), status=status)
        assert lines(head) == [f"{name}: 7".encode()] * sent + [b"X: y"]
        assert head.content_length == 7


# -- what concerns the server


def test_a_head_that_concerns_nobody() -> None:
    head = serialize(
        ("Content-Type", "a/b"), ("content-length", "7"), ("X-Date", "now"), ("Connections", "x")
    )
    assert notes(head) == {"content_length": 7}


@pytest.mark.parametrize("status", ["204 No Content", "204 X", "304 Not Modified", "101 Switching Protocols"])
def test_a_head_without_content_is_not_plain(status: str) -> None:
    assert not serialize(status=status).plain


@pytest.mark.parametrize("name", spellings("Date"))
def test_a_date_of_the_application_is_sent_and_noted(name: str) -> None:
    head = serialize((name, "today"))
    assert notes(head) == {"has_date": True, "plain": False}
    assert lines(head) == [name.encode() + b": today"]


@pytest.mark.parametrize("name", spellings("Server"))
def test_a_server_field_of_the_application_is_sent_and_noted(name: str) -> None:
    head = serialize((name, "mine"))
    assert notes(head) == {"has_server": True, "plain": False}
    assert lines(head) == [name.encode() + b": mine"]


@pytest.mark.parametrize("name", spellings("Connection"))
@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, CLOSE", "close,x"])
def test_close_is_obeyed_and_left_to_the_server_to_say(name: str, value: str) -> None:
    head = serialize((name, value), ("X", "y"))
    assert notes(head) == {"close": True, "plain": False}
    assert lines(head) == [b"X: y"]


@pytest.mark.parametrize("name", spellings("Connection"))
@pytest.mark.parametrize("value", ["keep-alive", "", "x", "closed", "not close", "upgrade, x", "close-not"])
def test_any_other_connection_option_is_dropped(name: str, value: str) -> None:
    head = serialize((name, value), ("X", "y"))
    assert notes(head) == {"dropped": (name,), "plain": False}
    assert lines(head) == [b"X: y"]


@pytest.mark.parametrize("name", [spelling for name in HOP_BY_HOP for spelling in spellings(name)])
@pytest.mark.parametrize("status", ["200 OK", "101 Switching Protocols", "304 Not Modified"])
@pytest.mark.parametrize("value", ["close", "upgrade"])
def test_hop_by_hop_fields_are_dropped(value: str, status: str, name: str) -> None:
    head = serialize((name, value), ("X", "y"), status=status)
    assert notes(head) == {"dropped": (name,), "plain": False}
    assert lines(head) == [b"X: y"]


def test_all_names_that_were_dropped_are_told() -> None:
    head = serialize(("TE", "x"), ("X", "y"), ("Connection", "keep-alive"), ("keep-alive", "5"))
    assert head.dropped == ("TE", "Connection", "keep-alive")


@pytest.mark.parametrize("value", ["a\r\nX-Injected: yes", "\n"], ids=repr)
@pytest.mark.parametrize("name", ["Connection", *HOP_BY_HOP])
def test_nothing_is_injected_by_what_is_dropped(name: str, value: str) -> None:
    assert lines(serialize((name, value))) == []


@pytest.mark.parametrize("name", spellings("Upgrade"))
def test_an_upgrade_that_is_offered_is_sent(name: str) -> None:
    head = serialize((name, "h2c"), ("Connection", "Upgrade"), status="426 Upgrade Required")
    assert notes(head) == {"upgrade": True, "plain": False}
    assert lines(head) == [name.encode() + b": h2c"]


@pytest.mark.parametrize(
    "names", [("Connection", "Upgrade"), ("connection", "upgrade"), ("Connection",), ("UPGRADE",)]
)
@pytest.mark.parametrize("status", ["101 Switching Protocols", "101 Other"])
def test_switching_protocols_passes_and_ends_http(status: str, names: tuple[str, ...]) -> None:
    head = serialize(*((name, "websocket") for name in names), status=status)
    assert notes(head) == {"close": True, "plain": False}
    assert lines(head) == [name.encode() + b": websocket" for name in names]


# -- one after another


def test_one_head_says_nothing_about_the_next() -> None:
    names = ("Date", "Server", "Upgrade", "Connection", "TE")
    serialize(("Content-Length", "1"), *((name, "close") for name in names))
    assert notes(serialize()) == {}


# -- interim responses


def test_an_interim_response_is_whole() -> None:
    fields = [("Link", "</style.css>; rel=preload"), ("link", "</x>"), ("X", "caf\xe9")]
    assert serialize_interim("103 Early Hints", fields) == (
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nlink: </x>\r\nX: caf\xe9\r\n\r\n"
    )


def test_an_interim_response_may_be_empty() -> None:
    assert serialize_interim("103 Early Hints", []) == b"HTTP/1.1 103 Early Hints\r\n\r\n"


@pytest.mark.parametrize("name", ["Connection", "Content-Length", "Date", "Server", "Upgrade", *HOP_BY_HOP])
@pytest.mark.parametrize("value", ["5", "close", "a\r\nX-Injected: yes"])
def test_an_interim_response_says_nothing_about_the_final_one(name: str, value: str) -> None:
    for spelling in spellings(name):
        assert (
            serialize_interim("103 X", [(spelling, value), ("A", "b")]) == b"HTTP/1.1 103 X\r\nA: b\r\n\r\n"
        )


@bytes_for_str
@pytest.mark.parametrize(
    ("field", "error"),
    [
        (("Link", "a\r\nX-Injected: yes"), ValueError),
        (("Link", "\0"), ValueError),
        (("Li nk", "a"), ValueError),
        (("", "a"), ValueError),
        (("Link", "\u20ac"), UnicodeError),
        (("Link", 5), UnicodeError),
        ((b"Link", "a"), UnicodeError),
        ((5, "a"), UnicodeError),
    ],
    ids=ascii,
)
def test_an_interim_response_is_checked_like_any_other(field: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        serialize_interim("103 Early Hints", [("A", "b"), field])

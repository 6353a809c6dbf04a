"""parse_head and explain_head, called directly: offsets, the environ, partial heads, what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from greenserve import errors
from greenserve.errors import ProtocolError
from greenserve.protocol import cgi
from greenserve.protocol.head import ENVIRON_PLACES, Limits, RequestHead, explain_head, parse_head

HEAD = b"GET /path?query HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n"
LIMITS = Limits()


def parse(
    octets: bytes, start: int = 0, limits: Limits = LIMITS, **base: Any
) -> tuple[RequestHead, dict[str, Any]]:
    """Return the head at `start` and the environ that it filled; it has to be complete."""
    environ = {**ENVIRON_PLACES, **base}
    head = parse_head(octets, start, limits, environ)
    assert head is not None
    return head, environ


def parse_fields(*lines: bytes, limits: Limits = LIMITS) -> dict[str, Any]:
    """Return the environ of a GET with the field `lines` behind its Host."""
    return parse(b"\r\n".join([b"GET / HTTP/1.1", b"Host: a.example", *lines, b"", b""]), limits=limits)[1]


def refuse(octets: bytes, limits: Limits = LIMITS) -> ProtocolError:
    """Return the error that refuses `octets`."""
    with pytest.raises(ProtocolError) as error:
        parse_head(octets, 0, limits, dict(ENVIRON_PLACES))
    return error.value


def test_the_environ_holds_the_request_and_its_fields_and_nothing_else() -> None:
    head, environ = parse(HEAD)
    assert environ == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/path",
        "QUERY_STRING": "query",
        "RAW_URI": "/path?query",
        "REQUEST_URI": "/path?query",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "a.example",
        "HTTP_ACCEPT": "*/*",
    }
    assert all(type(value) is str for value in environ.values())
    assert head.http_minor == 1
    assert (head.content_length, head.chunked) == (None, False)
    assert (head.persistent, head.expect_continue, head.upgrade) == (True, False, False)


def test_the_end_is_an_offset_in_the_buffer() -> None:
    assert parse(HEAD)[0].end == len(HEAD)
    assert parse(HEAD + b"body")[0].end == len(HEAD)
    assert parse(b"xx" + HEAD + b"body", 2)[0].end == 2 + len(HEAD)


def test_what_is_before_the_start_does_not_matter() -> None:
    assert parse(b"\0\r\n\r\n\n" + HEAD, 6)[1] == parse(HEAD)[1]


def test_what_the_environ_held_before_stays() -> None:
    _, environ = parse(HEAD, REMOTE_ADDR="192.0.2.1", SERVER_PORT="80")
    assert (environ["REMOTE_ADDR"], environ["SERVER_PORT"]) == ("192.0.2.1", "80")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/app/page", "/page"),
        (b"/app/", "/"),
        (b"/app", ""),
        (b"/app?q", ""),
        (b"/%61pp/a%2Fb", "/a/b"),
        (b"/application/page", "/application/page"),
        (b"/page", "/page"),
        (b"/", "/"),
    ],
)
def test_the_root_path_is_taken_off_where_it_is_there(target: bytes, path: str) -> None:
    _, environ = parse(HEAD.replace(b"/path?query", target), SCRIPT_NAME="/app")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", path)


def test_every_beginning_of_a_good_head_asks_for_more() -> None:
    octets = b"\r\n" + HEAD
    for length in range(len(octets)):
        assert parse_head(octets[:length], 0, LIMITS, dict(ENVIRON_PLACES)) is None, octets[:length]
    assert parse(octets)[0].end == len(octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"\n",
        b"\0",
        b"\r\r",
        b"\r\n\n",
        b"\x16\x03\x01\x02",
        b"GET /\n",
        b"GET /\r\n",
        b"GET / http/1.1\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n x\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nbad\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x07",
        b"GET / HTTP/1.1\r\nHost: a\rb",
    ],
    ids=repr,
)
def test_a_partial_head_that_is_wrong_already_is_refused_at_once(octets: bytes) -> None:
    assert refuse(octets).status == 400


def test_a_partial_head_in_another_major_version_is_refused_at_once() -> None:
    assert refuse(b"GET / HTTP/2.0\r\n").status == 505


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"G" * 8191, 414),
        (b"GET /" + b"a" * 8200, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"v" * 16382, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 101, 431),
        (b"GET / HTTP/1.1\r\n" + (b"X: " + b"v" * 16000 + b"\r\n") * 5, 431),
    ],
    ids=["request-line", "target", "field", "fields", "head"],
)
def test_a_partial_head_that_is_too_large_already_is_refused_at_once(octets: bytes, status: int) -> None:
    assert refuse(octets).status == status


def test_a_head_of_the_default_limits_exactly() -> None:
    lines = [b"X-%d: " % number + b"v" * (16384 - 5) for number in range(4)]
    lines[3] = lines[3][: 65536 - 4 - len(b"GET / HTTP/1.1\r\nHost: a.example\r\n") - 3 * (16384 + 2) + 4]
    octets = b"\r\n".join([b"GET / HTTP/1.1", b"Host: a.example", *lines])
    assert len(octets) == 65536 and max(map(len, lines)) == 16384
    whole = parse(octets + b"\r\n\r\n")[1]
    for missing in range(1, 5):
        assert parse_head((octets + b"\r\n\r\n")[:-missing], 0, LIMITS, dict(ENVIRON_PLACES)) is None
    assert len(whole["HTTP_X_0"]) == 16379
    assert refuse(octets + b"v\r\n\r\n").status == 431


def test_the_defaults_of_the_limits() -> None:
    assert LIMITS == Limits(request_line=8190, fields=100, field_size=16384, head=65536, underscore="drop")


def test_a_hundred_fields_and_one_more() -> None:
    lines = [b"X-%d: v" % number for number in range(99)]
    assert parse_fields(*lines)["HTTP_X_98"] == "v"
    assert refuse(b"\r\n".join([b"GET / HTTP/1.1", b"Host: a", b"Y: 1", *lines, b"", b""])).status == 431


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", errors.ProtocolError),
        (b"GET /" + b"a" * 8190 + b" HTTP/1.1\r\n\r\n", errors.TargetTooLong),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"v" * 16384 + b"\r\n\r\n", errors.HeadTooLarge),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", errors.VersionNotSupported),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", errors.MethodNotImplemented),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br, chunked\r\n\r\n", errors.NotImplementedCoding),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", errors.ExpectationFailed),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", errors.ContentTooLarge),
    ],
    ids=["malformed", "target", "field", "version", "connect", "coding", "expectation", "length"],
)
def test_an_error_has_its_own_type(octets: bytes, error: type[ProtocolError]) -> None:
    assert type(refuse(octets)) is error


def test_the_largest_content_length() -> None:
    head, environ = parse(HEAD.replace(b"Accept: */*", b"Content-Length: 9223372036854775807"))
    assert head.content_length == 2**63 - 1
    assert environ["CONTENT_LENGTH"] == "9223372036854775807"


@pytest.mark.parametrize(
    ("octets", "word"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nb", "LF"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb", "CR"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b", r"\x00"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b", "folding"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nnonsense", "colon"),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\nnonsense", "colon"),
        (b"GET / HTTP/1.1\r\nHost : a", "field name"),
        (b"GET /", "request line"),
        (b"G@T / HTTP/1.1\r\nHost: a", "method"),
        (b"GET /# HTTP/1.1\r\nHost: a", "target"),
        (b"GET / HTTP/11\r\nHost: a", "version"),
        (b"GET / HTTP/3.0\r\nHost: a", "HTTP/3.0"),
    ],
    ids=repr,
)
def test_an_explanation_names_what_is_wrong(octets: bytes, word: str) -> None:
    explanation = explain_head(octets)
    assert word in explanation.detail
    assert refuse(octets + b"\r\n\r\n").status == explanation.status
    assert word in refuse(octets + b"\r\n\r\n").detail


@pytest.mark.parametrize(
    "octets",
    [
        b"x" * 8000 + b"\r\n\r\n",
        b"GET " + b"<" * 8000 + b" HTTP/1.1\r\n\r\n",
        b"GET / " + b"v" * 8000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"@" * 8000 + b": 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"@" * 8000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"@" * 8000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: " + b"\xff" * 8000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + b"@" * 8000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 8000 + b"\r\nHost: " + b"b" * 8000 + b"\r\n\r\n",
    ],
    ids=["line", "target", "version", "name", "host", "length", "expect", "coding", "repeated"],
)
def test_an_error_quotes_at_most_64_octets(octets: bytes) -> None:
    assert len(refuse(octets).detail) < 4 * 64 + 100


def test_a_field_line_that_recurs_gives_the_same() -> None:
    lines = (
        b"Accept: a",
        b"ACCEPT:\tb ",
        b"User-Agent: x",
        b"Sec-Fetch-Site: none",
        b"Cookie: c",
        b"Cookie: c",
    )
    first = parse_fields(*lines)
    assert first["HTTP_ACCEPT"] == "a, b"
    assert first["HTTP_COOKIE"] == "c; c"
    for _ in range(3):
        assert parse_fields(*lines) == first


def test_no_secret_is_remembered() -> None:
    names = [
        b"Authorization",
        b"Cookie",
        b"X-Api-Key",
        b"X-CSRF-Token",
        b"Proxy-Authorization",
        b"Referer",
        b"Host",
    ]
    for _ in range(3):
        parse_fields(*(b"%b: hush-hush" % name for name in names if name != b"Host"))
        parse(HEAD.replace(b"a.example", b"hush-hush"))
    assert [line for line in cgi.known_lines if "hush" in line] == []


def test_a_client_cannot_grow_what_is_remembered() -> None:
    for number in range(3000):
        environ = parse_fields(b"Accept: %d" % number, b"X-%d: 1" % number, b"Sec-CH-%d: 1" % number)
        assert environ["HTTP_ACCEPT"] == str(number)
        assert environ[f"HTTP_X_{number}"] == environ[f"HTTP_SEC_CH_{number}"] == "1"
    parse_fields(b"Accept: " + b"v" * 5000, b"N" * 5000 + b": 1")
    assert len(cgi.known_lines) <= cgi.LINES_LIMIT
    assert len(cgi.names) <= cgi.NAMES_LIMIT
    assert len(cgi.remarkable) <= cgi.NAMES_LIMIT
    assert max(map(len, cgi.known_lines)) <= cgi.LINE_SIZE_LIMIT
    assert max(map(len, cgi.names)) <= 64


def test_hosts_are_checked_again_after_many() -> None:
    for number in range(1000):
        assert (
            parse(HEAD.replace(b"a.example", b"h%d.example" % number))[1]["HTTP_HOST"] == f"h{number}.example"
        )
    for _ in range(2):
        assert refuse(HEAD.replace(b"a.example", b"a b")).status == 400


@pytest.mark.parametrize(
    ("underscore", "value"), [("drop", None), ("allow", "1")], ids=["dropped", "allowed"]
)
def test_names_remembered_under_one_setting_do_not_pass_under_another(
    underscore: str, value: str | None
) -> None:
    parse_fields(b"X_Custom: 1", limits=Limits(underscore="allow"))
    environ = parse_fields(b"X_Custom: 1", limits=Limits(underscore=underscore))
    assert environ.get("HTTP_X_CUSTOM") == value
    refused = HEAD.replace(b"Accept", b"X_Custom")
    assert refuse(refused, Limits(underscore="refuse")).status == 400

"""Properties of the parser that hold for any octets, however they arrive (hypothesis)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from greenserve.errors import ProtocolError
from greenserve.protocol.head import ENVIRON_PLACES, Limits, explain_head, parse_head
from tests.corpus import ParsedRequest, Refusal, cut, load_cases, read_requests

STATUSES = {400, 413, 414, 417, 431, 501, 505}

#: How `explain_head` begins when it finds nothing wrong.
UNEXPLAINED = "malformed head"

#: Limits so narrow that generated octets reach them.
NARROW = {
    "request_line": 24,
    "fields": 3,
    "field_size": 32,
    "head": 96,
    "chunk_line": 8,
    "trailers": 24,
    "body": 16,
}

FRAGMENTS = [
    *(bytes([octet]) for octet in b'\r\n\t :;,=/?%#*"\\@[]_-+019afGx\0\x0b\x7f\x80\xff'),
    b"\r\n",
    b"\r\n\r\n",
    b"GET ",
    b"POST / HTTP/1.1\r\n",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" HTTP/2.0\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"http://a.example",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"X_Y: z\r\n",
    b"Cookie: a\r\n",
    b"chunked",
    b"0\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b';e="v"\r\n',
]

SHORT_CASES = [case.raw for kind in ("valid", "refused") for case in load_cases(kind) if len(case.raw) < 600]

assembled = st.lists(st.sampled_from(FRAGMENTS), max_size=24).map(b"".join)


@st.composite
def damaged_cases(draw: st.DrawFn) -> bytes:
    """Draw a raw request of the corpus, with a few octets replaced, inserted or taken out."""
    octets = draw(st.sampled_from(SHORT_CASES))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(octets)))
        end = min(len(octets), start + draw(st.integers(0, 2)))
        octets = octets[:start] + draw(st.sampled_from([b"", *FRAGMENTS])) + octets[end:]
    return octets


any_octets = st.one_of(st.binary(max_size=200), assembled, damaged_cases())
any_settings = st.sampled_from([{}, {"underscore": "allow"}, {"underscore": "refuse"}])


def cut_at(octets: bytes, offsets: set[int]) -> list[bytes]:
    places = [0, *sorted(offset % (len(octets) + 1) for offset in offsets), len(octets)]
    return [octets[start:end] for start, end in zip(places, places[1:], strict=False)]


cuts = st.sets(st.integers(0, 2000), max_size=6)


def is_native(text: str) -> bool:
    """Whether PEP 3333 takes `text`: one character an octet."""
    return all(ord(character) < 256 for character in text)


def check_request(request: ParsedRequest) -> None:
    assert request.protocol in ("HTTP/1.0", "HTTP/1.1")
    assert request.method and " " not in request.target
    assert "HTTP_PROXY" not in request.fields
    for key, value in request.fields.items():
        assert key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
        assert is_native(key) and is_native(value)
        assert not set(value) & set("\r\n\0") and value == value.strip(" \t")
    assert is_native(request.path) and is_native(request.query)
    if request.protocol == "HTTP/1.1":
        assert "HTTP_HOST" in request.fields
    assert not ("CONTENT_LENGTH" in request.fields and "HTTP_TRANSFER_ENCODING" in request.fields)


@given(any_octets, any_settings)
def test_any_octets_give_requests_or_a_protocol_error(octets: bytes, settings: dict[str, Any]) -> None:
    """Whatever else is raised comes through `read_requests` and fails the test."""
    for result in read_requests([octets], settings):
        if isinstance(result, Refusal):
            assert result.status in STATUSES
            assert result.where in ("head", "body")
        else:
            check_request(result)


def outcome(pieces: Iterable[bytes], settings: dict[str, Any]) -> list[ParsedRequest | str]:
    """Return the requests, and where the peer was refused.

    Not the status: of several faults in one head, octets that come in pieces may show another one
    first.  Where there is one fault, the corpus shows that the status does not depend on the cut.
    """
    results = read_requests(pieces, settings)
    return [result.where if isinstance(result, Refusal) else result for result in results]


@given(any_octets, cuts, st.one_of(any_settings, st.just(NARROW)))
def test_cutting_never_changes_the_result(octets: bytes, offsets: set[int], settings: dict[str, Any]) -> None:
    assert outcome(cut_at(octets, offsets), settings) == outcome([octets], settings)


@given(any_octets, st.one_of(any_settings, st.just(NARROW)))
def test_octet_by_octet_gives_the_same_result(octets: bytes, settings: dict[str, Any]) -> None:
    assert outcome(cut(octets, 1), settings) == outcome([octets], settings)


@given(any_octets)
def test_what_is_refused_stays_refused(octets: bytes) -> None:
    """No octets that follow can mend a broken request, nor take back a complete one."""
    before = list(read_requests([octets]))
    after = list(read_requests([octets + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]))
    assert after[: len(before)] == before


@given(any_octets)
def test_parse_head_accepts_only_what_explain_head_finds_nothing_in(octets: bytes) -> None:
    head, empty_line, _ = (octets + b"\r\n\r\n").partition(b"\r\n\r\n")
    found = explain_head(head)
    try:
        parse_head(head + empty_line, 0, Limits(), dict(ENVIRON_PLACES))
    except ProtocolError as error:
        assert not error.detail.startswith(UNEXPLAINED)
        if not found.detail.startswith(UNEXPLAINED):
            assert error.status == found.status
    else:
        assert found.detail.startswith(UNEXPLAINED)


TCHARS = "!#$%&'*+-.^`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
tokens = st.text(TCHARS, min_size=1, max_size=12)
values = st.text(
    st.characters(
        min_codepoint=9, max_codepoint=255, exclude_characters=[chr(n) for n in [*range(10, 32), 127]]
    ),
    max_size=20,
).map(lambda value: value.strip(" \t"))
paths = st.text("abz09-._~!$&'()*+,;=:@/[]|^`{}\\", max_size=20).map(lambda path: "/" + path)
queries = st.text("abz09-._~!$&'()*+,;=:@/?%[]|^`{}\\", max_size=20)
whitespace = st.text(" \t", max_size=3)
special = {
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "expect",
    "connection",
    "upgrade",
    "proxy",
    "cookie",
}


@st.composite
def chunked_bodies(draw: st.DrawFn) -> tuple[bytes, bytes, list[list[str]]]:
    """Draw the octets of a body in chunks, its content and its trailers."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
    sizes = draw(
        st.lists(st.sampled_from(["%x", "%X", "%04x", "%x;e", '%x;e="a;b"']), min_size=5, max_size=5)
    )
    lines = [
        b"%b\r\n%b\r\n" % (size.encode() % len(chunk), chunk)
        for size, chunk in zip(sizes, chunks, strict=False)
    ]
    trailers = draw(st.lists(st.tuples(tokens, values), max_size=3))
    section = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    octets = b"".join(lines) + b"0\r\n" + section.encode("latin-1") + b"\r\n"
    return octets, b"".join(chunks), [[name, value] for name, value in trailers]


@st.composite
def valid_requests(draw: st.DrawFn) -> tuple[bytes, ParsedRequest]:
    """Draw a request's octets, and what is to be read from them."""
    method = draw(tokens.filter(lambda token: token != "CONNECT"))
    path, query = draw(paths), draw(queries)
    target = f"{path}?{query}" if query else path
    fields = draw(
        st.dictionaries(tokens.filter(lambda name: name.lower() not in special), values, max_size=5)
    )
    expected = {"HTTP_HOST": "a.example"}
    for name, value in fields.items():
        key = "HTTP_" + name.upper().replace("-", "_")
        expected[key] = f"{expected[key]}, {value}" if key in expected else value
    octets, content, trailers = b"", b"", list[list[str]]()
    framing = draw(st.sampled_from(["", "length", "chunked"]))
    if framing == "length":
        octets = content = draw(st.binary(max_size=60))
        fields["Content-Length"] = expected["CONTENT_LENGTH"] = str(len(content))
    elif framing == "chunked":
        octets, content, trailers = draw(chunked_bodies())
        fields["Transfer-Encoding"] = expected["HTTP_TRANSFER_ENCODING"] = "chunked"
    lines = [f"{name}:{draw(whitespace)}{value}{draw(whitespace)}" for name, value in fields.items()]
    lines.insert(draw(st.integers(0, len(lines))), "Host: a.example")
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])
    return head.encode("latin-1") + octets, ParsedRequest(
        method=method,
        target=target,
        path=path,
        query=query,
        protocol="HTTP/1.1",
        fields=expected,
        body=content.decode("latin-1"),
        trailers=trailers,
        persistent=True,
        expect_continue=False,
        upgrade=False,
    )


@given(st.lists(valid_requests(), min_size=1, max_size=3), cuts)
def test_generated_requests_come_out_as_they_went_in(
    requests: list[tuple[bytes, ParsedRequest]], offsets: set[int]
) -> None:
    octets = b"".join(raw for raw, _ in requests)
    assume(len(octets) < 4000)
    expected = [request for _, request in requests]
    assert list(read_requests([octets])) == expected
    assert list(read_requests(cut_at(octets, offsets))) == expected


@given(valid_requests(), cuts)
def test_limits_that_are_exactly_met_change_nothing(
    generated: tuple[bytes, ParsedRequest], offsets: set[int]
) -> None:
    octets, request = generated
    head = octets.partition(b"\r\n\r\n")[0]
    request_line, *lines = head.split(b"\r\n")
    settings = {
        "request_line": len(request_line),
        "fields": len(lines),
        "field_size": max(map(len, lines)),
        "head": len(head),
        "body": len(request.body),
        "trailers": max(0, sum(len(f"{name}: {value}\r\n") for name, value in request.trailers) - 2),
    }
    assert list(read_requests(cut_at(octets, offsets), settings)) == [request]
    assert list(read_requests(cut(octets, 1), settings)) == [request]


@given(valid_requests(), cuts, st.sampled_from(["request_line", "fields", "field_size", "head"]))
def test_limits_that_are_passed_by_one_refuse(
    generated: tuple[bytes, ParsedRequest], offsets: set[int], limit: str
) -> None:
    octets, _ = generated
    head = octets.partition(b"\r\n\r\n")[0]
    request_line, *lines = head.split(b"\r\n")
    sizes = {
        "request_line": len(request_line),
        "fields": len(lines),
        "field_size": max(map(len, lines)),
        "head": len(head),
    }
    settings = {limit: sizes[limit] - 1}
    status = 414 if limit == "request_line" else 431
    expected = [Refusal(status, "head", "")]
    assert list(read_requests([octets], settings)) == expected
    assert list(read_requests(cut_at(octets, offsets), settings)) == expected

"""Limits and refusals: each from both sides, with its status, unseen by the application, and readable."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from tests.functional.client import LIMIT, Client, chunk, get, post, post_chunked
from tests.functional.serving import Recorder, serving, wait_until

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


def line_of(size: int) -> bytes:
    """Return a request whose request line has `size` octets."""
    return b"GET /" + b"p" * (size - 14) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def fields(count: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * (count - 1) + b"\r\n"


def field_of(size: int) -> bytes:
    return HEAD + b"Name: " + b"v" * (size - 6) + b"\r\n\r\n"


def head_of(size: int) -> bytes:
    """Return a request whose head, without its last two CRLF, has `size` octets."""
    filled = HEAD + b"A: " + b"a" * 20 + b"\r\nB: "
    return filled + b"b" * (size - len(filled)) + b"\r\n\r\n"


def chunk_line_of(size: int) -> bytes:
    head = get("/", "Transfer-Encoding: chunked", method="POST")
    return head + b"3;" + b"x" * (size - 2) + b"\r\nabc\r\n0\r\n\r\n"


def last_chunk_line_of(size: int) -> bytes:
    head = get("/", "Transfer-Encoding: chunked", method="POST")
    return head + b"3\r\nabc\r\n0;" + b"x" * (size - 2) + b"\r\n\r\n"


def trailers_of(size: int) -> bytes:
    return post_chunked([b"abc"], trailers=["A: " + "x" * 10, "B: " + "y" * (size - 18)])


def chunked_content_of(size: int) -> bytes:
    return post_chunked([b"x" * (size // 2), b"y" * (size - size // 2)])


#: Setting, its value, the status past it, and a request of a given size or number.
LIMITS: list[Any] = [
    ("limit_request_line", 50, 414, line_of),
    ("limit_request_fields", 5, 431, fields),
    ("limit_request_field_size", 50, 431, field_of),
    ("limit_request_head", 80, 431, head_of),
    ("limit_chunk_line", 50, 400, chunk_line_of),
    ("limit_chunk_line", 50, 400, last_chunk_line_of),
    ("limit_trailers", 50, 431, trailers_of),
    ("limit_request_body", 50, 413, lambda size: post(b"x" * size)),
    ("limit_request_body", 50, 413, chunked_content_of),
    ("limit_request_body", 50, 413, lambda size: post_chunked([b"x" * size])),
]
IDS = [f"{setting} {number}" for number, (setting, _, _, _) in enumerate(LIMITS)]
each_limit = pytest.mark.parametrize(("setting", "value", "status", "build"), LIMITS, ids=IDS)
pieces = pytest.mark.parametrize("size", [1, 1 << 20], ids=["octet by octet", "at once"])


@each_limit
@pieces
def test_up_to_the_limit_everything_passes(
    setting: str, value: int, status: int, build: Any, size: int
) -> None:
    with serving(Recorder(), **{setting: value}) as served:
        client = served.connect()
        for request in (build(value), build(value - 1), build(value)):
            client.send_pieces(request, size)
            answer = client.read()
            assert (answer.status, answer.closes) == (200, False)


@each_limit
@pieces
def test_past_the_limit_the_client_is_told_and_the_connection_ends(
    setting: str, value: int, status: int, build: Any, size: int
) -> None:
    recorder = Recorder()
    with serving(recorder, **{setting: value}) as served:
        client = served.connect()
        client.send_pieces(get("/good") + build(value + 1), size)
        client.send(get("/never"))
        assert client.read().content == b"seen"
        answer = client.read()
        assert (answer.status, answer.closes) == (status, True)
        assert answer["Content-Type"] == "text/plain" and answer.content == answer.reason.encode()
        client.expect_end()
        assert len(served.log.matching(rf" {status} .* from 127\.0\.0\.1:{client.name[1]}: ")) == 1
    # What is wrong with chunks is found while the application reads: it gets an error, and no content.
    assert recorder.paths == ["/good", "/"] if b"chunked" in build(value) else ["/good"]
    assert recorder.contents == [b""]


@each_limit
def test_the_application_never_sees_what_is_past_a_limit_where_bodies_are_buffered(
    setting: str, value: int, status: int, build: Any
) -> None:
    recorder = Recorder()
    with serving(recorder, buffer_chunked=True, **{setting: value}) as served:
        client = served.connect()
        assert client.ask(build(value)).status == 200
        client.send(build(value + 1), get("/never"))
        assert client.read().status == status
        client.expect_end()
    assert len(recorder.environs) == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (post(b"abc", "Transfer-Encoding: chunked"), 400),
        (get("/", "Content-Length: 99999999999999999999", method="POST"), 413),
        (get("/", "Expect: the-unexpected"), 417),
        (get("/", "Transfer-Encoding: gzip, chunked", method="POST"), 501),
        (get("a.example:443", method="CONNECT"), 501),
        (get("/", version="2.0"), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
@pieces
def test_what_cannot_be_served_is_refused_unseen(request_: bytes, status: int, size: int) -> None:
    recorder = Recorder()
    with serving(recorder) as served:
        client = served.connect()
        client.send_pieces(request_, size)
        client.send(get("/never"))
        answer = client.read()
        assert (answer.status, answer.closes) == (status, True)
        client.expect_end()
        assert len(served.log.matching(f" {status} .* from 127.0.0.1")) == 1
        assert not served.log.matching("Traceback")
    assert not recorder.environs


# A client that goes on sending.

ENDLESS = {
    "request line": (b"GET /", b"p" * 1000, 414),
    "field": (HEAD + b"A: ", b"a" * 1000, 431),
    "fields": (HEAD, b"A: b\r\n" * 100, 431),
    "head": (HEAD, b"A: " + b"a" * 995 + b"\r\n", 431),
    "nonsense": (b"\0", b"\0" * 1000, 400),
    "content": (get("/", "Content-Length: 1000000000", method="POST"), b"x" * 1000, 413),
    "chunks": (get("/", "Transfer-Encoding: chunked", method="POST"), chunk(b"x" * 900), 413),
    "chunk line": (get("/", "Transfer-Encoding: chunked", method="POST") + b"1;", b"x" * 1000, 400),
    "trailers": (get("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\n", b"A: b\r\n" * 100, 431),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_a_client_that_sends_all_before_it_reads_gets_its_answer(what: str) -> None:
    begin, more, status = ENDLESS[what]
    with serving(Recorder(), limit_request_body=2000) as served:
        client = served.connect()
        client.send(begin)
        client.send(more * 800)  # fails if the server resets the connection
        answer = client.read()
        assert (answer.status, answer.closes) == (status, True)
        client.expect_end()
        client.send(more)
        client.close()
        wait_until(lambda: not served.server.connections)


def test_a_client_that_sends_a_large_upload_before_it_reads_gets_its_answer() -> None:
    with serving(Recorder(), limit_request_body=1 << 20) as served:
        client = served.connect()
        client.send(post(b"x" * (8 << 20)))
        assert client.read().status == 413
        client.expect_end()


@pytest.mark.parametrize("what", ENDLESS)
def test_a_client_that_never_stops_sending_gets_its_answer_and_is_let_go(what: str) -> None:
    begin, more, status = ENDLESS[what]

    def send_for_ever(client: Client) -> None:
        client.send(begin)
        with pytest.raises(ConnectionError):
            while True:
                client.send(more * 50)

    with serving(Recorder(), limit_request_body=2000, linger_timeout=0.2) as served:
        client = served.connect()
        sender = gevent.spawn(send_for_ever, client)
        answer = client.read()
        assert (answer.status, answer.closes) == (status, True)
        sender.get(timeout=LIMIT)
        wait_until(lambda: not served.server.connections)


def test_a_refused_client_holds_no_slot_while_it_lingers() -> None:
    with serving(Recorder(), worker_connections=1) as served:
        refused = served.connect()
        assert refused.ask(b"nonsense\r\n\r\n").status == 400
        assert served.knows(refused) and served.busy == 0
        assert served.ask(get()).content == b"seen"
        refused.expect_end()


def test_a_lingering_connection_ends_with_its_client() -> None:
    with serving(Recorder(), linger_timeout=0) as served:
        client = served.connect()
        assert client.ask(b"nonsense\r\n\r\n").status == 400
        wait_until(lambda: not served.server.connections, "closing at once without a linger_timeout")
    with serving(Recorder(), linger_timeout=0.1) as served:
        client = served.connect()
        assert client.ask(b"nonsense\r\n\r\n").status == 400
        wait_until(lambda: not served.server.connections, "the end of linger_timeout")
    with serving(Recorder(), linger_timeout=1000) as served:
        client = served.connect()
        assert client.ask(b"nonsense\r\n\r\n").status == 400
        client.half_close()
        wait_until(lambda: not served.server.connections, "closing when the client has closed")

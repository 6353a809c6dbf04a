"""The content of requests: wsgi.input over both framings, however it arrives, and what breaks it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from tests.functional.client import chunk, get, post, post_chunked
from tests.functional.serving import Recorder, echo, serving, wait_until

CONTENT = b"first line\nsecond\n\n\nfifth, " + b"long " * 50 + b"\nlast, without an end"

Input = Any


def read_in_pieces(file: Input) -> list[bytes]:
    return list(iter(lambda: file.read(7), b""))


def read_lines_of_a_size(file: Input) -> list[bytes]:
    return [file.readline(size) for size in (0, 1, 6, 100, 3, 4, 2, -1, 5, 10_000, 1)]


def mix(file: Input) -> list[Any]:
    return [
        file.read(3),
        file.readline(),
        file.read(0),
        next(file, b""),
        file.readlines(1),
        file.read(10),
        file.readline(4),
        list(file),
        file.read(),
    ]


#: What an application may do with a file, by its name.
WAYS: dict[str, Callable[[Input], Any]] = {
    "read()": lambda file: [file.read(), file.read(), file.read(1), file.readline(), file.readlines()],
    "read(-1)": lambda file: file.read(-1),
    "read(None)": lambda file: file.read(None),
    "read(size)": read_in_pieces,
    "read(more)": lambda file: [file.read(100_000), file.read(100_000)],
    "readline()": lambda file: list(iter(file.readline, b"")),
    "readline(size)": read_lines_of_a_size,
    "readlines()": lambda file: file.readlines(),
    "readlines(hint)": lambda file: [file.readlines(1), file.readlines(20), file.readlines(0)],
    "iteration": lambda file: list(file),
    "mixed": mix,
}


def in_chunks_of(size: int) -> Callable[[bytes], bytes]:
    return lambda body: post_chunked(body[start : start + size] for start in range(0, len(body), size))


#: How the content may be framed.
FRAMINGS = {
    "length": post,
    "chunks of 1": in_chunks_of(1),
    "chunks of 10": in_chunks_of(10),
    "one chunk": in_chunks_of(9999),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1, 13, 1 << 20])
def test_wsgi_input_reads_like_a_file(way: str, framing: str, size: int) -> None:
    results: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        results.append(WAYS[way](environ["wsgi.input"]))
        start_response("200 OK", [])
        return []

    with serving(application) as served:
        client = served.connect()
        client.send_pieces(FRAMINGS[framing](CONTENT) + get(), size)
        assert [client.read().status, client.read().status] == [200, 200]
    assert results == [WAYS[way](io.BytesIO(CONTENT)), WAYS[way](io.BytesIO())]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_input_of_a_request_without_content_is_at_its_end(framing: str) -> None:
    with serving(echo) as served:
        client = served.connect()
        client.send(FRAMINGS[framing](b""), get(), get(method="DELETE"))
        assert [client.read().content for _ in range(3)] == [b"", b"", b""]


def test_large_content_arrives_whole() -> None:
    content = bytes(range(256)) * 8192
    with serving(echo) as served:
        client = served.connect()
        for request in (post(content), in_chunks_of(70_000)(content), in_chunks_of(500)(content)):
            sender = gevent.spawn(client.send, request)
            assert client.read().content == content
            sender.get()


def test_the_environ_says_how_content_is_framed() -> None:
    recorder = Recorder()
    with serving(recorder) as served:
        client = served.connect()
        client.send(post(b"abc", "Content-Type: a/b"), post_chunked([b"abc"]), get())
        assert [client.read().content for _ in range(3)] == [b"seen"] * 3
    known, unknown, none = recorder.environs
    assert (known["CONTENT_LENGTH"], known["CONTENT_TYPE"]) == ("3", "a/b")
    assert "HTTP_CONTENT_LENGTH" not in known and "HTTP_TRANSFER_ENCODING" not in known
    assert "CONTENT_LENGTH" not in unknown and unknown["HTTP_TRANSFER_ENCODING"] == "chunked"
    assert "CONTENT_LENGTH" not in none and "CONTENT_TYPE" not in none
    assert all(environ["wsgi.input_terminated"] is True for environ in recorder.environs)


# Chunked requests.


def test_chunk_extensions_are_ignored_and_sizes_may_be_written_in_any_way() -> None:
    head = get("/", "Transfer-Encoding: Chunked", method="POST")
    body = b'3;a\r\nabc\r\n0003 ; b=c ;d="e;\\"\r\nf"\r\n'.replace(b"\r\nf", b"f") + b"def\r\n"
    body += b"A\r\n0123456789\r\na\t;x\r\n9876543210\r\n000;last\r\n\r\n"
    with serving(echo) as served:
        client = served.connect()
        assert client.ask(head, body).content == b"abcdef01234567899876543210"
        client.send_pieces(head + body + get(), 1)
        assert client.read().content == b"abcdef01234567899876543210"
        assert client.read().content == b""


def test_trailers_are_handed_over_once_the_content_has_been_read() -> None:
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        trailers = environ["greenserve.trailers"]
        seen.append(trailers())
        environ["wsgi.input"].read(3)
        seen.append(trailers())
        environ["wsgi.input"].read()
        seen.append(trailers())
        seen.append([key for key in environ if "DIGEST" in key or environ[key] == "smuggled"])
        start_response("200 OK", [])
        return []

    trailers = ["Digest: abc=", "Host: smuggled", "digest:  def \t", "X-Empty:"]
    with serving(application) as served:
        client = served.connect()
        client.send_pieces(post_chunked([b"12345", b"67890"], "Trailer: Digest", trailers=trailers), 1)
        assert client.read().status == 200
        assert not client.ask(post_chunked([b"123"])).closes
    both = [("Digest", "abc="), ("Host", "smuggled"), ("digest", "def"), ("X-Empty", "")]
    assert seen == [[], [], both, [], [], [], [], []]


BROKEN = {
    "size": b"x\r\n",
    "negative size": b"-1\r\n",
    "prefixed size": b"0x3\r\nabc\r\n",
    "signed size": b"+3\r\nabc\r\n",
    "empty size": b"\r\n",
    "huge size": b"10000000000000000\r\n",
    "space before the size": b" 3\r\nabc\r\n",
    "bare LF behind the size": b"3\nabc\r\n0\r\n\r\n",
    "bare CR in the extension": b"3;a\rb\r\nabc\r\n",
    "broken extension": b"3;=b\r\nabc\r\n",
    "no CRLF behind the data": b"3\r\nabcd\r\n",
    "bare LF behind the data": b"3\r\nabc\n0\r\n\r\n",
    "trailer without a colon": b"0\r\nabc\r\n\r\n",
    "trailer with a space before the colon": b"0\r\na : b\r\n\r\n",
    "folded trailer": b"0\r\na: b\r\n c\r\n\r\n",
    "control in a trailer": b"0\r\na: b\0\r\n\r\n",
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("before", [b"", chunk(b"good")], ids=["at once", "later"])
def test_broken_chunks_are_answered_with_400(before: bytes, broken: str) -> None:
    recorder = Recorder()
    with serving(recorder) as served:
        client = served.connect()
        client.send(get("/1", "Transfer-Encoding: chunked", method="POST"), before, BROKEN[broken], get("/2"))
        answer = client.read()
        assert (answer.status, answer.closes) == (400, True)
        client.expect_end()
        assert len(served.log.matching("400 Bad Request from 127.0.0.1")) == 1
    assert recorder.paths == ["/1"] and recorder.contents == []


def test_good_content_in_front_of_a_broken_chunk_is_given_out_first() -> None:
    seen: list[bytes] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["wsgi.input"].read(4))
        with pytest.raises(OSError):
            environ["wsgi.input"].read(1)
        with pytest.raises(OSError):
            environ["wsgi.input"].readline()
        start_response("200 OK", [])
        return []

    with serving(application) as served:
        head = get("/", "Transfer-Encoding: chunked", method="POST")
        assert served.ask(head, chunk(b"good"), b"bad\n").status == 200
    assert seen == [b"good"]


def test_broken_chunks_behind_the_head_of_the_response_cut_it() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"begun"
        yield environ["wsgi.input"].read()

    with serving(application) as served:
        client = served.connect()
        client.send(get("/", "Transfer-Encoding: chunked", method="POST"))
        assert client.read_head()[0] == 200
        assert client.read_chunk() == b"begun"
        client.send(b"broken\r\n")
        client.expect_end()


# The client goes away.


@pytest.mark.parametrize(
    "part",
    [
        get("/", "Content-Length: 10", method="POST"),
        get("/", "Content-Length: 10", method="POST") + b"12345",
        get("/", "Transfer-Encoding: chunked", method="POST"),
        get("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\n123",
        get("/", "Transfer-Encoding: chunked", method="POST") + chunk(b"12345"),
        get("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\na: b\r\n",
    ],
)
@pytest.mark.parametrize("way", ["read()", "readline()", "readlines()", "iteration", "read(size)"])
def test_content_that_the_client_cuts_is_an_oserror_in_the_application(way: str, part: bytes) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        with pytest.raises(OSError):
            WAYS[way](environ["wsgi.input"])
        with pytest.raises(OSError):
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"it was cut"]

    with serving(application) as served:
        client = served.connect()
        client.send(part)
        client.half_close()
        answer = client.read()
        assert (answer.content, answer.closes) == (b"it was cut", True)
        client.expect_end()


def test_a_client_that_goes_away_is_no_error_of_the_server() -> None:
    recorder = Recorder()
    with serving(recorder) as served:
        client = served.connect()
        client.send(get("/", "Content-Length: 10", method="POST"), b"12345")
        wait_until(lambda: recorder.environs)
        client.close()
        wait_until(lambda: not served.server.connections)
        assert not served.log.lines and served.busy == 0


# After the request.


@pytest.mark.parametrize("framing", ["length", "one chunk"])
@pytest.mark.parametrize("read", [0, 3, 11], ids=["unread", "read in part", "read"])
def test_an_input_that_was_kept_raises_oserror_once_its_request_has_ended(read: int, framing: str) -> None:
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/":
            kept.append(environ["wsgi.input"])
            environ["wsgi.input"].read(read)
        start_response("200 OK", [])
        return []

    with serving(application) as served:
        client = served.connect()
        head, empty_line, content = FRAMINGS[framing](b"12345\n67890").partition(b"\r\n\r\n")
        client.send(head, empty_line)
        wait_until(lambda: kept)
        assert client.ask(content).status == 200
        assert client.ask(get("/next")).status == 200
        client.send(b"GET /next HTTP/1.1\r\n")
        for late in (kept[0].read, kept[0].readlines, lambda: kept[0].read(100), lambda: list(kept[0])):
            with pytest.raises(OSError):
                late()
        assert client.ask(b"Host: a\r\n\r\n").status == 200


@pytest.mark.parametrize("read", [0, 3, 11], ids=["unread", "read in part", "read"])
def test_an_input_whose_content_came_with_the_head_never_gives_more_than_that(read: int) -> None:
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(environ["wsgi.input"])
        content = environ["wsgi.input"].read(read)
        start_response("200 OK", [])
        return [content]

    with serving(application) as served:
        client = served.connect()
        requests = post(b"12345\n67890") + post(b"another's")
        client.send(requests, requests, b"GET /next HTTP/1.1\r\n")
        answers = [client.read().content for _ in range(4)]
        assert answers == [b"12345\n67890"[:read], b"another's"[:read]] * 2
        assert [file.read() for file in kept] == [b"12345\n67890"[read:], b"another's"[read:]] * 2
        assert [file.read() for file in kept] == [b""] * 4
        assert client.ask(b"Host: a\r\n\r\n").content == b""

"""buffer_chunked: chunked bodies are read before the application is called, and have a length then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional.client import chunk, get, post, post_chunked
from tests.functional.serving import Recorder, serving


def describe_input(environ: Any, start_response: Any) -> list[bytes]:
    """Answer with the length, whether it is in a file, and the content."""
    file = environ["wsgi.input"]
    length = environ["CONTENT_LENGTH"]
    start_response("200 OK", [("X-Length", length), ("X-In-File", str(getattr(file, "_rolled", None)))])
    return [file.read(int(length)), file.read()]


@pytest.mark.parametrize(
    ("size", "in_file"), [(0, "False"), (100, "False"), (101, "True"), (300_000, "True")]
)
def test_chunked_content_gets_a_length_in_memory_or_in_a_file(size: int, in_file: str) -> None:
    content = (b"0123456789" * (size // 10 + 1))[:size]
    with serving(describe_input, buffer_chunked=True, buffer_memory=100) as served:
        client = served.connect()
        for _ in range(2):
            answer = client.ask(post_chunked(content[start : start + 7000] for start in range(0, size, 7000)))
            assert (answer["X-Length"], answer["X-In-File"]) == (str(size), str(in_file))
            assert answer.content == content


def test_the_environ_does_not_speak_of_chunks_any_more() -> None:
    recorder = Recorder()
    with serving(recorder, buffer_chunked=True) as served:
        client = served.connect()
        client.send(post_chunked([b"abc"]), post(b"abcd"), get())
        assert [client.read().status for _ in range(3)] == [200] * 3
    assert [environ.get("CONTENT_LENGTH") for environ in recorder.environs] == ["3", "4", None]
    assert not any("HTTP_TRANSFER_ENCODING" in environ for environ in recorder.environs)
    assert recorder.contents == [b"abc", b"abcd", b""]


def test_the_application_is_called_once_all_of_the_content_is_there() -> None:
    recorder = Recorder()
    with serving(recorder, buffer_chunked=True) as served:
        client = served.connect()
        client.send(get("/", "Transfer-Encoding: chunked", method="POST"))
        client.send_pieces(chunk(b"first") + chunk(b"second") + b"0\r\n", 1)
        assert not recorder.environs
        client.send(b"\r\n")
        assert client.read().content == b"seen"
    assert recorder.contents == [b"firstsecond"]


def test_lines_can_be_read_from_what_was_buffered() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        file = environ["wsgi.input"]
        lines = [file.readline(), file.readline(2), *file.readlines(3), *file]
        start_response("200 OK", [])
        return [b"|".join(lines)]

    with serving(application, buffer_chunked=True) as served:
        answer = served.ask(post_chunked([b"one\ntw", b"o\nthree\nfour", b"\nfive"]))
        assert answer.content == b"one\n|tw|o\n|three\n|four\n|five"


def test_trailers_are_there_from_the_start() -> None:
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["greenserve.trailers"]())
        start_response("200 OK", [])
        return []

    with serving(application, buffer_chunked=True) as served:
        assert served.ask(post_chunked([b"abc"], trailers=["X-Sum: 3"])).status == 200
    assert seen == [[("X-Sum", "3")]]


def test_what_was_buffered_and_is_unread_leaves_the_connection_in_step() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with serving(application, buffer_chunked=True, limit_drain=10) as served:
        client = served.connect()
        client.send(post_chunked([b"x" * 5000], target="/1"), get("/2"))
        assert [client.read().content, client.read().content] == [b"/1", b"/2"]


def test_the_content_is_asked_for_without_the_application() -> None:
    recorder = Recorder()
    with serving(recorder, buffer_chunked=True) as served:
        client = served.connect()
        client.send(get("/", "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST"))
        assert client.read_interim().status == 100
        assert not recorder.environs
        assert client.ask(chunk(b"abc"), b"0\r\n\r\n").content == b"seen"
    assert recorder.contents == [b"abc"]


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (chunk(b"x" * 60) + chunk(b"x" * 41), 413),
        (chunk(b"abc") + b"nonsense\r\n", 400),
        (b"3;" + b"x" * 100 + b"\r\nabc\r\n0\r\n\r\n", 400),
        (b"0\r\nA: " + b"x" * 100 + b"\r\n\r\n", 431),
    ],
    ids=["too large", "broken", "long line", "trailers"],
)
def test_the_application_never_sees_content_that_is_refused(broken: bytes, status: int) -> None:
    recorder = Recorder()
    limits: dict[str, Any] = {"limit_request_body": 100, "limit_chunk_line": 50, "limit_trailers": 50}
    with serving(recorder, buffer_chunked=True, **limits) as served:
        client = served.connect()
        client.send(get("/", "Transfer-Encoding: chunked", method="POST"), broken, get("/next"))
        answer = client.read()
        assert (answer.status, answer.closes) == (status, True)
        client.expect_end()
    assert not recorder.environs


def test_a_client_that_goes_away_meanwhile_is_not_answered_and_no_error() -> None:
    recorder = Recorder()
    with serving(recorder, buffer_chunked=True) as served:
        client = served.connect()
        client.send(get("/", "Transfer-Encoding: chunked", method="POST"), chunk(b"abc"))
        client.half_close()
        client.expect_end()
        assert not served.log.lines
    assert not recorder.environs

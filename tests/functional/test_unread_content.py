"""Content that the application did not read, or could not: drained, or the end of the connection.

An end is one that the client can see and whose last response it can read, even while it goes on sending.
"""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.functional.client import LIMIT, chunk, get, post, post_chunked
from tests.functional.serving import ErrorLog, Gate, Recorder, serving, show_path, turn_hub, wait_until


@pytest.mark.parametrize(("size", "persists"), [(1, True), (100, True), (101, False), (5000, False)])
@pytest.mark.parametrize("build", [post, lambda body: post_chunked([body[:60], body[60:]])])
def test_unread_content_is_drained_up_to_the_limit(build: Any, size: int, persists: bool) -> None:
    recorder = Recorder()

    def application(environ: Any, start_response: Any) -> Any:
        recorder.environs.append(environ)
        return show_path(environ, start_response)

    with serving(application, limit_drain=100) as served:
        client = served.connect()
        client.send(build(b"x" * size), get("/2"))
        assert client.read().content == b"/"
        if persists:
            assert client.read().content == b"/2"
        else:
            client.expect_end()
    assert recorder.paths == (["/", "/2"] if persists else ["/"])


def test_a_known_length_above_the_limit_is_announced_as_the_end() -> None:
    with serving(show_path, limit_drain=100) as served:
        client = served.connect()
        assert not client.ask(post(b"x" * 100)).closes
        assert client.ask(post(b"x" * 101)).closes
        client.expect_end()


def test_content_that_was_read_in_part_is_drained_too() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read(5)]

    with serving(application) as served:
        client = served.connect()
        client.send(post(b"abcdefgh"), post_chunked([b"ABC", b"DEFGH"]), post(b"0123456789"))
        assert [client.read().content for _ in range(3)] == [b"abcde", b"ABCDE", b"01234"]


def test_unread_content_may_come_after_the_response() -> None:
    with serving(show_path) as served:
        client = served.connect()
        head = get("/1", "Content-Length: 10", method="POST")
        assert client.ask(head, b"12345").content == b"/1"
        client.send_pieces(b"67890" + get("/2"), 1)
        assert client.read().content == b"/2"
        head = get("/3", "Transfer-Encoding: chunked", method="POST")
        assert client.ask(head, chunk(b"12345")).content == b"/3"
        client.send_pieces(chunk(b"67890") + b"0\r\nTrailer: x\r\n\r\n" + get("/4"), 1)
        assert client.read().content == b"/4"


def test_the_end_of_the_client_within_unread_content_ends_the_connection() -> None:
    with serving(show_path) as served:
        client = served.connect()
        assert client.ask(get("/1", "Content-Length: 10", method="POST"), b"12345").content == b"/1"
        client.half_close()
        client.expect_end()
        wait_until(lambda: not served.server.connections)


def refuse_content(environ: Any, start_response: Any) -> list[bytes]:
    start_response("413 Content Too Large", [("Content-Type", "text/plain")])
    return [b"too much of it"]


@pytest.mark.parametrize("build", [post, lambda body: post_chunked([body])], ids=["length", "chunked"])
def test_a_client_that_sends_all_of_its_content_first_can_read_why_it_was_refused(build: Any) -> None:
    with serving(refuse_content, limit_drain=1000) as served:
        client = served.connect()
        client.send(build(b"x" * 700_000), get("/never"))
        answer = client.read()
        assert (answer.status, answer.content) == (413, b"too much of it")
        client.expect_end()


def test_a_client_that_goes_on_sending_for_ever_is_let_go() -> None:
    with serving(refuse_content, limit_drain=1000, linger_timeout=0.2) as served:
        client = served.connect()
        client.send(get("/", "Content-Length: 1000000000000", method="POST"), b"x" * 10_000)
        answer = client.read()
        assert (answer.status, answer.content, answer.closes) == (413, b"too much of it", True)

        def send_more() -> bool:
            try:
                client.send(b"x" * 65536)
            except ConnectionError:
                return True
            return False

        wait_until(send_more, "the connection being closed")
        assert not served.server.connections


def test_octets_behind_the_last_request_do_not_reset_the_connection() -> None:
    gate = Gate()
    with serving(gate) as served:
        client = served.connect()
        client.send(get("/1", "Connection: close"))
        gate.wait_for("/1")
        client.send(b"leftover" * 1000)
        gate.let_go("/1")
        assert client.read().content == b"/1"
        client.expect_end()
        for _ in range(3):  # to a closed connection, the second one would fail
            client.send(b"and more")
            turn_hub()
        client.close()
        wait_until(lambda: not served.server.connections)


# Content that cannot be read to its end.


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(get("/1", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabcd\r\n", id="coding"),
        pytest.param(post_chunked([b"x" * 101], target="/1"), id="too large"),
        pytest.param(post_chunked([b"x"], target="/1", trailers=["a: " + "b" * 200]), id="trailers"),
    ],
)
def test_a_body_error_ends_the_connection_even_if_the_application_swallowed_it(broken: bytes) -> None:
    seen: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        seen.append(environ["PATH_INFO"])
        with pytest.raises(OSError):
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"swallowed"]

    with serving(application, limit_request_body=100, limit_trailers=100) as served:
        client = served.connect()
        client.send(broken, get("/2"))
        answer = client.read()
        assert (answer.content, answer.closes) == (b"swallowed", True)
        client.expect_end()
    assert seen == ["/1"]


def test_a_body_error_behind_the_head_of_the_response_ends_the_connection() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"begun, "
        with pytest.raises(OSError):
            environ["wsgi.input"].read()
        yield b"swallowed"

    with serving(application) as served:
        client = served.connect()
        client.send(get("/1", "Transfer-Encoding: chunked", method="POST"), b"zz\r\n", get("/2"))
        assert client.read().content == b"begun, swallowed"
        client.expect_end()


def test_broken_unread_content_ends_the_connection() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get("/1", "Transfer-Encoding: chunked", method="POST"), b"zz\r\n", get("/2"))
        assert client.read().content == b"/1"
        client.expect_end()


def test_an_exception_ends_its_own_connection_only() -> None:
    release = Event()

    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/wrong":
            raise RuntimeError("on purpose")
        assert release.wait(LIMIT)
        return show_path(environ, start_response)

    with serving(application) as served:
        other, client = served.connect(), served.connect()
        other.send(get("/right"))
        answer = client.ask(get("/wrong"), get("/never"))
        assert (answer.status, answer.closes) == (500, True)
        client.expect_end()
        assert served.take_errors() == [RuntimeError]
        release.set()
        assert other.read().content == b"/right"


def test_a_timeout_that_hits_the_wait_for_unread_content_is_logged_once() -> None:
    """One that an application forgot to cancel; its request has been answered and logged by then."""
    greenlets, access = [], ErrorLog()

    def application(environ: Any, start_response: Any) -> Any:
        greenlets.append(gevent.getcurrent())
        return show_path(environ, start_response)

    with serving(application, log=access) as served:
        client = served.connect()
        client.send(get("/1", "Content-Length: 10", method="POST"), b"12345")
        assert client.read().content == b"/1"
        (connection,) = served.server.connections
        wait_until(lambda: connection.slotless and connection.reader)
        gevent.get_hub().loop.run_callback(greenlets[0].throw, gevent.Timeout(1))
        client.expect_end()
        assert served.take_errors() == [gevent.Timeout]
    assert len(access.lines) == len(access.matching(r'"POST /1 HTTP/1.1" 200')) == 1

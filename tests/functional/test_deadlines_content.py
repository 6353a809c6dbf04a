"""Time limits of a request's content and of a client that does not take its response."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from gevent.event import Event

from tests.functional.client import LIMIT, chunk, get, post
from tests.functional.deadlines import SHORT, drip, expire, for_ever, only
from tests.functional.serving import Gate, echo, serving, show_path, turn_hub, wait_until

BODY = get("/body", "Content-Length: 10", method="POST")
CHUNKED_BODY = get("/body", "Transfer-Encoding: chunked", method="POST")


@pytest.mark.parametrize("head", [BODY, CHUNKED_BODY], ids=["length", "chunked"])
@pytest.mark.parametrize("part", [b"", b"1"])
def test_a_stalled_body_is_answered_with_408(part: bytes, head: bytes) -> None:
    with serving(echo, **only(body_timeout=SHORT, linger_timeout=1)) as served:
        client = served.connect()
        answer = client.ask(head, part)
        assert (answer.status, answer.closes) == (408, True)
        client.expect_end()
        assert len(served.log.matching("408 Request Timeout from")) == 1 and not served.errors


@pytest.mark.parametrize("head", [BODY, CHUNKED_BODY], ids=["length", "chunked"])
def test_a_stalled_body_is_an_oserror_in_the_application(head: bytes) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        with pytest.raises(OSError):
            environ["wsgi.input"].read()
        with pytest.raises(OSError):
            environ["wsgi.input"].read()
        start_response("503 Service Unavailable", [])
        return [b"too slow"]

    with serving(application, **only(body_timeout=SHORT, linger_timeout=1)) as served:
        client = served.connect()
        answer = client.ask(head)
        assert (answer.status, answer.content, answer.closes) == (503, b"too slow", True)
        client.expect_end()


def test_a_stalled_body_behind_the_head_of_the_response_cuts_it() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        yield environ["wsgi.input"].read()

    with serving(application, **only(body_timeout=SHORT)) as served:
        client = served.connect()
        client.send(BODY)
        assert client.read_head()[0] == 200
        assert client.read_chunk() == b"begun"
        client.expect_end()


def test_a_body_that_nobody_sends_ends_the_drain_and_the_connection() -> None:
    with serving(show_path, **only(body_timeout=SHORT)) as served:
        client = served.connect()
        assert client.ask(BODY, b"123").content == b"/body"
        client.expect_end()
        wait_until(lambda: not served.server.connections)


def test_a_body_that_keeps_coming_may_take_longer_than_the_limit_for_a_pause() -> None:
    content: list[bytes] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        content.extend(iter(lambda: environ["wsgi.input"].read(1), b""))
        start_response("200 OK", [])
        return [b"all of it"]

    with serving(application, **only(body_timeout=3 * SHORT)) as served:
        client = served.connect()
        client.send(CHUNKED_BODY)
        enough = time.monotonic() + 9 * SHORT
        while time.monotonic() < enough:
            content.clear()
            client.send(chunk(b"x"))
            wait_until(lambda: content)
        assert client.ask(b"0\r\n\r\n").content == b"all of it"


def test_a_body_below_the_minimum_rate_is_answered_with_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenserve.server.body.RATE_GRACE", SHORT)
    with serving(echo, **only(body_rate=1 << 40, linger_timeout=1)) as served:
        client = served.connect()
        client.send(CHUNKED_BODY)
        wait_until(lambda: served.busy)
        drip(served, client, for_ever(chunk(b"x")))
        answer = client.read()
        assert (answer.status, answer.closes) == (408, True)
        assert served.log.matching("more slowly than")


def test_a_body_above_the_minimum_rate_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenserve.server.body.RATE_GRACE", SHORT / 10)
    with serving(echo, **only(body_rate=1)) as served:
        client = served.connect()
        client.send(get("/", "Content-Length: 3000", method="POST"))
        client.send_pieces(b"x" * 3000, 2)
        assert client.read().content == b"x" * 3000


def test_the_clock_of_the_body_stands_still_while_the_application_does_not_read() -> None:
    gate = Gate()

    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/stalled":
            return echo(environ, start_response)
        first = environ["wsgi.input"].read(1)
        gate(environ, lambda status, fields: None)
        start_response("200 OK", [])
        return [first + environ["wsgi.input"].read()]

    with serving(application, **only(body_timeout=SHORT)) as served:
        client = served.connect()
        client.send(BODY, b"1")
        gate.wait_for("/body")
        assert served.ask(BODY.replace(b"/body", b"/stalled")).status == 408
        client.send(b"234567890")
        gate.let_go("/body")
        assert client.read().content == b"1234567890"


def test_a_body_that_arrives_at_the_last_moment_is_read() -> None:
    with serving(echo) as served:
        client = served.connect()
        client.send(BODY, b"123")
        wait_until(lambda: served.busy)
        turn_hub()
        client.send(b"4567890")
        expire(served, client)
        assert client.read().content == b"1234567890"


# A client that does not read.


def endless(closed: Event, block: bytes = b"x" * 10_000) -> Any:
    """Return an application that sends on and on at /endless, and tells when its iterable is closed."""

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] != "/endless":
            yield b"short"
            return
        try:
            while True:
                yield block
        finally:
            closed.set()

    return application


def test_a_client_that_does_not_read_is_cut_and_its_slot_is_free() -> None:
    closed = Event()
    with serving(endless(closed), worker_connections=1, **only(write_timeout=SHORT)) as served:
        client = served.connect(receive_buffer=4096)
        client.send(get("/endless"))
        wait_until(lambda: served.busy)
        other = served.connect()
        other.send(get("/"))
        assert closed.wait(LIMIT)
        assert other.read().content == b"short"
        wait_until(lambda: not served.knows(client))
        assert served.busy == 0 and not served.errors


@pytest.mark.parametrize("how", ["file", "block", "write"])
def test_a_client_that_does_not_read_is_cut_however_content_is_given(how: str, tmp_path: Any) -> None:
    closed = Event()
    opened: list[Any] = []
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 26)

    class Closing(list):  # type: ignore[type-arg]
        def close(self) -> None:
            closed.set()

    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        if how == "file":
            opened.append(large.open("rb"))
            return environ["wsgi.file_wrapper"](opened[0])
        if how == "write":
            try:
                write(bytes(1 << 26))
            finally:
                closed.set()
        return Closing([bytes(1 << 26)])

    with serving(application, **only(write_timeout=SHORT)) as served:
        client = served.connect(receive_buffer=4096)
        client.send(get())
        wait_until(lambda: opened[0].closed if opened else closed.is_set())
        wait_until(lambda: not served.server.connections)
        assert served.busy == 0


def test_a_client_that_reads_slowly_is_not_cut() -> None:
    closed = Event()
    with serving(endless(closed), **only(write_timeout=3 * SHORT)) as served:
        client = served.connect(receive_buffer=4096)
        client.send(get("/endless"))
        enough = time.monotonic() + 9 * SHORT
        while time.monotonic() < enough:
            assert len(client.read_some(2000)) == 2000
        assert not closed.is_set()
        client.close()
        assert closed.wait(LIMIT)


def test_a_write_limit_ends_nothing_but_writing() -> None:
    closed = Event()

    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/endless":
            return endless(closed)(environ, start_response)
        return echo(environ, start_response)

    with serving(application, **only(write_timeout=SHORT)) as served:
        new, idle, body, partial, stalled = (served.connect(receive_buffer=4096) for _ in range(5))
        assert idle.ask(get()).status == 200
        body.send(BODY, b"123")
        partial.send(b"GET / HTTP/1.1\r\n")
        stalled.send(get("/endless"))
        assert closed.wait(LIMIT)
        assert new.ask(post(b"first")).content == b"first"
        assert idle.ask(post(b"again")).content == b"again"
        assert body.ask(b"4567890").content == b"1234567890"
        assert partial.ask(b"Host: a\r\n\r\n").status == 200

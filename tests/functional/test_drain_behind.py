"""stop() and requests that have arrived behind another one's content: they are served, not dropped.

What the application has left unread, or what is still in the kernel, changes nothing about that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.client import Client, chunk, get, post, post_chunked
from tests.functional.draining import expect_stopped, start_stopping
from tests.functional.serving import Gate, Serving, serving, turn_hub

HEAD = get("/1", "Content-Length: 10", method="POST")
CHUNKED_HEAD = get("/1", "Transfer-Encoding: chunked", method="POST")
LAST = b"0\r\nTrailer: x\r\n\r\n"


def stop_with(served: Serving, gate: Gate, first: bytes, later: bytes) -> tuple[Any, Client]:
    """Have a request held whose octets are `first`, let `later` arrive behind them, and begin to stop."""
    client = served.connect()
    client.send(first)
    gate.wait_for("/1")
    if later:
        client.send(later)
        turn_hub()
    stopping = start_stopping(served)
    turn_hub()
    return stopping, client


@pytest.mark.parametrize(
    ("first", "later"),
    [
        pytest.param(post(b"0123456789", target="/1") + get("/2"), b"", id="all at once"),
        pytest.param(post_chunked([b"01234", b"5"], target="/1") + get("/2"), b"", id="chunked"),
        pytest.param(HEAD + b"01234", b"56789" + get("/2"), id="the rest later"),
        pytest.param(HEAD, b"0123456789" + get("/2"), id="content later"),
        pytest.param(
            CHUNKED_HEAD + chunk(b"01")[:4],
            chunk(b"01")[4:] + LAST + get("/2"),
            id="chunks later",
        ),
        pytest.param(get("/1"), get("/2"), id="without content"),
        pytest.param(post(b"0123456789", target="/1"), get("/2"), id="next one later"),
    ],
)
def test_a_request_that_has_arrived_behind_unread_content_is_served(first: bytes, later: bytes) -> None:
    gate = Gate()
    with serving(gate) as served:
        stopping, client = stop_with(served, gate, first, later)
        gate.let_go("/1")
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/1", False)
        gate.wait_for("/2")
        gate.let_go("/2")
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/2", True)
        expect_stopped(stopping, client)


@pytest.mark.parametrize("size", [1000, 65_536])
def test_content_that_could_be_drained_is_no_reason_to_drop_what_follows_it(size: int) -> None:
    gate = Gate()
    with serving(gate) as served:
        request = post(b"x" * size, target="/1")
        stopping, client = stop_with(served, gate, request[:-size], request[-size:] + get("/2"))
        gate.let_go("/1")
        assert not client.read().closes
        gate.wait_for("/2")
        gate.let_go("/2")
        assert client.read().closes
        expect_stopped(stopping, client)


@pytest.mark.parametrize("read", [True, False])
def test_content_may_still_be_read_once_the_answer_has_begun(read: bool) -> None:
    gate = Gate()

    def application(environ: Any, start_response: Any) -> Any:
        held = gate(environ, start_response)
        return begin(environ) if environ["PATH_INFO"] == "/1" else held

    def begin(environ: Any) -> Iterator[bytes]:
        yield b"begun, "
        if read:
            yield environ["wsgi.input"].read()

    with serving(application) as served:
        stopping, client = stop_with(served, gate, HEAD, b"0123456789" + get("/2"))
        gate.let_go("/1")
        answer = client.read()
        assert (answer.content, answer.closes) == (b"begun, 0123456789" if read else b"begun, ", False)
        gate.wait_for("/2")
        gate.let_go("/2")
        assert client.read().closes
        expect_stopped(stopping, client)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        pytest.param(HEAD, b"0123456789", id="nothing behind"),
        pytest.param(post_chunked([b"0123456789"], target="/1"), b"", id="nothing behind chunks"),
        pytest.param(HEAD, b"012345678", id="not all of it"),
        pytest.param(CHUNKED_HEAD, chunk(b"0123456789") + b"0\r\n", id="not the end of the chunks"),
        pytest.param(CHUNKED_HEAD, b"zz\r\n" + get("/2"), id="broken chunks"),
        pytest.param(
            get("/1", "Content-Length: 101", method="POST"), b"x" * 101 + get("/2"), id="more than is drained"
        ),
        pytest.param(CHUNKED_HEAD, chunk(b"x" * 101) + LAST + get("/2"), id="more in chunks than is drained"),
        pytest.param(
            get("/1", "Content-Length: 1", "Expect: 100-continue", method="POST"),
            b"x" + get("/2"),
            id="expected",
        ),
    ],
)
def test_nothing_is_waited_for_and_nothing_guessed(first: bytes, later: bytes) -> None:
    gate = Gate()
    with serving(gate, limit_drain=100) as served:
        stopping, client = stop_with(served, gate, first, later)
        gate.let_go("/1")
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/1", True)
        expect_stopped(stopping, client)
    assert gate.order == ["/1"]

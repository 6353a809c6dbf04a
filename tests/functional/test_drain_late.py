"""An answer that was begun before a drain and ends after its grace: the connection was not said to close."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.functional.client import LIMIT, Client, get
from tests.functional.draining import LONG, expect_stopped, start_stopping
from tests.functional.serving import Gate, Serving, serving, turn_hub, wait_until


def begin_late_answer(served: Serving, gate: Gate) -> tuple[Client, Any]:
    """Return a client in the middle of an answer, and the stop, whose grace for the others is over."""
    client = served.connect()
    client.send(get("/1"))
    client.read_head()
    assert client.read_chunk() == b"one "
    stopping = start_stopping(served)
    wait_until(lambda: not served.server.draining._in_grace, "the end of the grace")
    return client, stopping


def streaming(gate: Gate) -> Any:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one "
        gate(environ, lambda status, fields: None)
        yield b"two"

    return application


def test_the_next_request_gets_a_grace_of_its_own() -> None:
    gate = Gate()
    with serving(streaming(gate), drain_grace=0.01) as served:
        client, stopping = begin_late_answer(served, gate)
        served.server.draining.grace = LONG
        gate.let_go("/1")
        assert [client.read_chunk(), client.read_chunk()] == [b"two", b""]
        turn_hub()
        served.server.sweeper.sweep()
        client.send(get("/2"))
        gate.wait_for("/2")
        gate.let_go("/2")
        answer = client.read()
        assert (answer.content, answer.closes) == (b"one two", True)
        expect_stopped(stopping, client)


def test_that_grace_ends_by_itself() -> None:
    gate = Gate()
    with serving(streaming(gate), drain_grace=0.01) as served:
        client, stopping = begin_late_answer(served, gate)
        gate.let_go("/1")
        assert [client.read_chunk(), client.read_chunk()] == [b"two", b""]
        client.expect_end()
        client.close()
        assert stopping.get(timeout=LIMIT) is True


def test_that_grace_is_not_over_with_the_others_grace() -> None:
    gate = Gate()
    with serving(streaming(gate), drain_grace=LONG) as served:
        client = served.connect()
        client.send(get("/1"))
        client.read_head()
        assert client.read_chunk() == b"one "
        stopping = start_stopping(served)
        gate.let_go("/1")
        assert [client.read_chunk(), client.read_chunk()] == [b"two", b""]
        turn_hub()
        drain = served.server.draining
        drain._in_hub(drain._end_grace)
        client.send(get("/2"))
        gate.wait_for("/2")
        gate.let_go("/2")
        answer = client.read()
        assert (answer.content, answer.closes) == (b"one two", True)
        expect_stopped(stopping, client)

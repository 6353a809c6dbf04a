"""Greenlets are lent to requests: whose they are, how many are kept, and that all get their turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import gevent.local
import gevent.util
import pytest
from gevent.event import Event

from greenserve.server.lending import LentGreenlet
from tests.functional.acting import Site, expect_answers
from tests.functional.client import LIMIT, Client, get
from tests.functional.serving import Gate, Serving, serving, turn_hub, wait_until


def test_greenlets_are_gevent_s_and_are_used_again() -> None:
    site = Site()
    with serving(site) as served:
        client = served.connect()
        for path in ("/1", "/2", "/3"):
            assert client.ask(get(path)).content == path.encode()
        greenlet = site.greenlets[0]
        assert isinstance(greenlet, gevent.Greenlet)
        assert isinstance(greenlet, LentGreenlet)
        assert isinstance(greenlet.minimal_ident, int)
        assert "waiting" in repr(greenlet)
        assert set(site.greenlets) == {greenlet}
        assert any(repr(greenlet)[1:-1].split(" at ")[0] in line for line in gevent.util.format_run_info())


def test_fresh_greenlets_are_new_for_each_request() -> None:
    local = gevent.local.local()
    found: list[Any] = []

    def action(greenlet: Any) -> None:
        found.append(getattr(local, "left", "nothing"))
        local.left = "something"

    site = Site(action)
    with serving(site, fresh_greenlets=True) as served:
        client = served.connect()
        for _ in range(3):
            assert client.ask(get("/act")).content == b"/act"
        assert served.ask(get("/act")).content == b"/act"
        assert len(set(site.greenlets)) == 4
        wait_until(lambda: all(greenlet.dead for greenlet in site.greenlets), "the end of all of them")
    assert found == ["nothing"] * 4


def fill(served: Serving, gate: Gate, count: int) -> None:
    """Have `count` requests served at the same time, and then none."""
    clients = [served.connect() for _ in range(count)]
    paths = [f"/{number}" for number in range(count)]
    for client, path in zip(clients, paths, strict=True):
        client.send(get(path))
    gate.wait_for(*paths)
    for client, path in zip(clients, paths, strict=True):
        gate.let_go(path)
        client.read()
        client.close()


def test_no_more_greenlets_are_kept_than_allowed() -> None:
    gate = Gate()
    with serving(gate, spare_greenlets=2) as served:
        fill(served, gate, 5)
        wait_until(lambda: len(served.server.lender.greenlets) == 2, "two greenlets being left")
        assert len(served.server.lender.spare) == 2


def test_greenlets_that_are_not_needed_end() -> None:
    gate = Gate()
    with serving(gate) as served:
        fill(served, gate, 5)
        lender = served.server.lender
        greenlets = list(lender.greenlets)
        assert len(lender.spare) == len(greenlets) == 5
        for _ in range(10):
            served.server.sweeper.sweep()
        assert lender.spare == []
        wait_until(lambda: all(greenlet.dead for greenlet in greenlets), "the end of all of them")
        fill(served, gate, 1)


def test_a_stopped_server_leaves_no_greenlet_behind() -> None:
    gate = Gate()
    with serving(gate) as served:
        fill(served, gate, 3)
        greenlets = list(served.server.lender.greenlets)
    wait_until(lambda: all(greenlet.dead for greenlet in greenlets), "the end of all of them")


# -- links


@pytest.mark.parametrize("name", ["link", "rawlink", "link_value"])
def test_a_link_to_a_request_s_greenlet_fires_when_the_request_is_over(name: str) -> None:
    fired: list[Any] = []
    site = Site(lambda greenlet: getattr(greenlet, name)(fired.append))
    with serving(site) as served:
        client = served.connect()
        client.ask(get("/act"))
        wait_until(lambda: fired == [site.greenlets[0]], "the link")
        expect_answers(served, client)
    assert len(fired) == 1


def test_who_joins_a_request_s_greenlet_waits_for_the_request_only() -> None:
    gate = Gate()
    with serving(gate) as served:
        client = served.connect()
        client.send(get("/"))
        gate.wait_for("/")
        (greenlet,) = served.server.lender.greenlets
        joining = gevent.spawn(greenlet.join)
        turn_hub()
        assert not joining.dead
        gate.let_go("/")
        client.read()
        joining.get(timeout=LIMIT)


# -- fairness


def test_a_long_stream_to_a_fast_client_leaves_others_their_turn() -> None:
    ends: list[str] = []
    other: list[Client] = []

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/long":
            other[0].send(get("/short"))
            # All of it fits into the kernel's buffers: nothing but fairness makes it wait.
            for _ in range(100_000):
                yield b"x"
                if ends:
                    break
        ends.append(environ["PATH_INFO"])

    with serving(application) as served:
        other.append(served.connect())
        client = served.connect()
        client.send(get("/long"))
        assert other[0].read().status == 200
        assert client.read().content.strip(b"x") == b""
    assert ends == ["/short", "/long"]


def test_much_written_to_a_fast_client_leaves_others_their_turn() -> None:
    ends: list[str] = []
    other: list[Client] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/long":
            other[0].send(get("/short"))
            for _ in range(100_000):
                write(b"x")
                if ends:
                    break
        ends.append(environ["PATH_INFO"])
        return []

    with serving(application) as served:
        other.append(served.connect())
        client = served.connect()
        client.send(get("/long"))
        assert other[0].read().status == 200
        assert client.read().content.strip(b"x") == b""
    assert ends == ["/short", "/long"]


def test_an_application_that_waits_holds_up_nobody() -> None:
    go_on = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/wait":
            assert go_on.wait(LIMIT)
        start_response("200 OK", [])
        return [b"answer"]

    with serving(application) as served:
        waiting = served.connect()
        waiting.send(get("/wait"))
        assert served.ask(get("/")).content == b"answer"
        waiting.expect_no_answer_yet()
        go_on.set()
        assert waiting.read().content == b"answer"

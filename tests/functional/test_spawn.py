"""The `spawn` argument: default, a number, a pool, a callable, None, as gevent's servers have it."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool

from tests.functional.client import LIMIT, get, post
from tests.functional.serving import Gate, echo, serving, show_path, turn_hub, wait_until


def test_spawn_may_be_a_number_of_requests() -> None:
    gate = Gate()
    with serving(gate, spawn=2) as served:
        clients = served.connect_and_ask(6)
        wait_until(lambda: len(gate.held) == 2)
        turn_hub()
        assert len(gate.order) == served.busy == 2
        gate.answer_all(clients, 2)


def test_spawn_may_be_a_pool_that_tells_how_busy_it_is() -> None:
    pool = Pool(2)
    gate = Gate()
    with serving(gate, spawn=pool) as served:
        idle = served.connect()
        idle.send(b"GET /idle HTTP/1.1\r\n")
        clients = served.connect_and_ask(6)
        wait_until(lambda: len(gate.held) == 2)
        turn_hub()
        assert len(gate.order) == 2 and len(pool) == 2 and pool.full()
        gate.answer_all(clients, 2)
        wait_until(lambda: len(pool) == 0, "the pool being empty while all connections are idle")
        assert len(served.server.connections) == 7
        clients["/0"].send(get("/again"))
        gate.wait_for("/again")
        assert len(pool) == 1 and not pool.full()
        gate.let_go("/again")
        assert clients["/0"].read().content == b"/again"


def test_a_pool_that_others_have_filled_is_waited_for() -> None:
    pool = Pool(1)
    release = Event()
    with serving(show_path, spawn=pool) as served:
        accepted = served.connect()
        assert accepted.ask(get()).content == b"/"
        wait_until(lambda: not pool.full())
        other = pool.spawn(release.wait, LIMIT)
        accepted.send(get("/1"))
        newcomer = served.connect()
        newcomer.send(get("/2"))
        turn_hub()
        accepted.expect_no_answer_yet()
        newcomer.expect_no_answer_yet()
        release.set()
        assert accepted.read().content == b"/1"
        assert newcomer.read().content == b"/2"
        other.get()


def test_spawn_may_be_a_callable() -> None:
    spawned: list[Any] = []

    def spawn(function: Any, *arguments: Any) -> Any:
        spawned.append(gevent.spawn(function, *arguments))
        return spawned[-1]

    def application(environ: Any, start_response: Any) -> Any:
        assert gevent.getcurrent() is spawned[-1]
        gevent.sleep(0)
        return show_path(environ, start_response)

    with serving(application, spawn=spawn) as served:
        client = served.connect()
        for path in ("/1", "/2"):
            assert client.ask(get(path)).content == path.encode()
        assert len(spawned) == 2
        assert served.ask(b"nonsense\r\n\r\n").status == 400


def test_spawn_none_serves_in_the_hub() -> None:
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        seen.append(gevent.getcurrent())
        return echo(environ, start_response)

    with serving(application, spawn=None) as served:
        client = served.connect()
        for _ in range(2):
            assert client.ask(post(b"content")).content == b"content"
        assert served.ask(b"nonsense\r\n\r\n").status == 400
        assert seen == [gevent.get_hub()] * 2


def test_the_default_has_a_bound_only_if_one_is_given() -> None:
    gate = Gate()
    with serving(gate, spawn="default", worker_connections=1) as served:
        gate.answer_all(served.connect_and_ask(3), 1)
    with serving(show_path, spawn="default") as served:
        assert served.server.cap == float("inf")

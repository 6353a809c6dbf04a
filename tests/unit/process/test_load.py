"""The load that a worker tells the others."""

from __future__ import annotations

import gevent

from greenserve.process.load import Load, at_the_end_of_rounds, at_the_start_of_rounds
from tests.functional.acting import Site
from tests.functional.client import get
from tests.functional.serving import Gate, serving, wait_until


def test_what_is_answered_in_a_round_of_the_event_loop_is_no_load_at_its_end() -> None:
    loads: list[int] = []
    with serving(Site()) as served:
        load = Load(served.server)
        watcher = at_the_end_of_rounds(gevent.get_hub().loop, lambda: loads.append(load.now() >> 16))
        try:
            clients = [served.connect() for _ in range(3)]
            for _ in range(3):
                for client in clients:
                    client.send(get("/"))
                for client in clients:
                    assert client.read().content == b"/"
        finally:
            watcher.stop()
            watcher.close()
    assert set(loads) == {0}


def test_what_waits_for_something_is_a_load() -> None:
    gate = Gate()
    loads: list[int] = []
    with serving(gate) as served:
        load = Load(served.server)
        watcher = at_the_end_of_rounds(gevent.get_hub().loop, lambda: loads.append(load.now() >> 16))
        try:
            client = served.connect()
            client.send(get("/"))
            gate.wait_for("/")
            wait_until(lambda: loads[-1:] == [1], "the load")
            gate.let_go("/")
            client.read()
            wait_until(lambda: loads[-1] == 0, "the end of the load")
        finally:
            watcher.stop()
            watcher.close()


def test_newcomers_count_until_something_arrives_from_them() -> None:
    with serving(Site()) as served:
        load = Load(served.server)
        clients = [served.connect() for _ in range(3)]
        wait_until(lambda: len(served.server.connections) == 3, "three connections")
        load.newcomers.extend(served.server.connections)
        assert load.now() >> 16 == 3
        for left, client in zip((2, 1, 0), clients, strict=True):
            client.send(get("/"))
            client.read()
            assert load.now() >> 16 == left
        assert load.newcomers == []


def test_while_a_worker_is_doing_something_nobody_leaves_newcomers_to_it() -> None:
    events: list[str] = []
    loop = gevent.get_hub().loop
    watchers = [
        at_the_end_of_rounds(loop, lambda: events.append("waiting")),
        at_the_start_of_rounds(loop, lambda: events.append("away")),
    ]
    try:
        with serving(Site()) as served:
            client = served.connect()
            served.server.application = lambda environ, start_response: (
                events.append("serving"),
                Site()(environ, start_response),
            )[1]
            client.send(get("/"))
            client.read()
    finally:
        for watcher in watchers:
            watcher.stop()
            watcher.close()
    before = events[: events.index("serving")]
    assert before[-1] == "away", "what is served is served in a round that has begun, and has not ended"
    assert "waiting" in events[len(before) :]

"""The load that a worker tells the others."""

from __future__ import annotations

import gevent

from greenserve.process.load import Load, at_the_end_of_rounds
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

"""What does not get a request served costs nothing: no slot, no greenlet, no turn of the hub."""

from __future__ import annotations

import gc
from typing import Any

import gevent
import pytest

from greenserve.server.connection import Connection
from greenserve.server.lending import LentGreenlet
from tests.functional.client import get, post
from tests.functional.serving import Gate, echo, idle_clients, serving, show_path, turn_hub, wait_until


def lent() -> list[Any]:
    """Return all greenlets of servers that serve somebody, wherever they are kept."""
    return [each for each in gc.get_objects() if type(each) is LentGreenlet and each.assignment is not None]


def test_idle_and_partial_connections_hold_neither_slot_nor_greenlet() -> None:
    with serving(echo, worker_connections=1) as served:
        idle = idle_clients(served, 30)
        partial = [served.connect() for _ in range(20)]
        for client in partial:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnec")
        silent = [served.connect() for _ in range(10)]
        wait_until(lambda: len(served.server.connections) == 60)
        turn_hub()
        assert served.busy == 0 and not served.server.lender.serving() and not lent()
        assert len(served.server.lender.greenlets) == 1  # one was enough for all of them

        assert served.ask(post(b"new")).content == b"new"
        assert silent[0].ask(post(b"silent")).content == b"silent"
        assert idle[0].ask(post(b"idle")).content == b"idle"
        assert partial[0].ask(b"tion: close\r\n\r\nabc").content == b"abc"


def test_a_connection_that_waits_for_a_slot_has_no_greenlet() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        clients = [served.connect() for _ in range(5)]
        wait_until(lambda: len(served.server.connections) == 5)
        for number, client in enumerate(clients):
            client.send(get(f"/{number}"))
            turn_hub(3)
        assert len(served.server.slots.line) == 4
        assert len(lent()) == 1
        for number, client in enumerate(clients):
            gate.wait_for(f"/{number}")
            gate.let_go(f"/{number}")
            assert client.read().status == 200


def test_greenlets_are_lent_again() -> None:
    seen: set[int] = set()

    def application(environ: Any, start_response: Any) -> Any:
        seen.add(id(gevent.getcurrent()))
        return show_path(environ, start_response)

    with serving(application) as served:
        for client in idle_clients(served, 5) * 5:
            assert client.ask(get()).status == 200
        assert len(seen) == 1
        assert len(served.server.lender.greenlets) == len(served.server.lender.spare) == 1


def test_neither_a_waiting_nor_a_busy_connection_spins(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Connection] = []
    on_readable = Connection.on_readable

    def counted(connection: Connection) -> bool:
        calls.append(connection)
        return on_readable(connection)

    monkeypatch.setattr(Connection, "on_readable", counted)
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        busy, waiting = served.connect(), served.connect()
        wait_until(lambda: len(served.server.connections) == 2)
        busy.send(get("/1"))
        gate.wait_for("/1")
        waiting.send(get("/2"))
        wait_until(lambda: served.server.slots.line)
        busy.send(get("/3"))  # both are readable from now on, and nobody reads
        waiting.send(get("/4"))
        turn_hub()
        calls.clear()
        turn_hub(200)
        assert not calls
        gate.run_through({"/1": busy, "/2": waiting, "/3": busy, "/4": waiting}, ["/1", "/2", "/3", "/4"])


def test_a_full_server_does_not_spin_on_its_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        [acceptor] = served.server.acceptors
        busy, newcomer = served.connect(), served.connect()
        busy.send(get("/1"))
        gate.wait_for("/1")
        newcomer.send(get("/2"))
        served.connect()
        turn_hub()
        calls: list[int] = []
        monkeypatch.setattr(type(acceptor), "on_acceptable", lambda self: calls.append(1))
        turn_hub(200)
        monkeypatch.undo()
        assert not calls
        gate.run_through({"/1": busy, "/2": newcomer}, ["/1", "/2"])

"""Bounds on requests and connections: who waits, in which order, and what those who wait cost."""

from __future__ import annotations

import gc
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Pool

from greenserve.server.connection import Connection
from greenserve.server.lending import LentGreenlet
from tests.functional.client import LIMIT, Client, get, post, post_chunked
from tests.functional.serving import Gate, Serving, echo, serving, show_path, turn_hub, wait_until


def lent() -> list[Any]:
    """Return all greenlets of servers that serve somebody, wherever they are kept."""
    return [each for each in gc.get_objects() if type(each) is LentGreenlet and each.assignment is not None]


def idle_clients(served: Serving, count: int) -> list[Client]:
    clients = [served.connect() for _ in range(count)]
    for client in clients:
        assert client.ask(get("/idle")).status == 200
    return clients


def run_through(gate: Gate, clients: dict[str, Client], order: list[str]) -> None:
    """Let the requests go in `order`; each is held by itself, and its client is answered."""
    for path in order:
        gate.wait_for(path)
        turn_hub()
        assert gate.order[-1] == path
        gate.let_go(path)
        assert clients[path].read().content == path.encode()


def answer_all(gate: Gate, clients: dict[str, Client], at_once: int) -> None:
    """Have all requests answered, in whatever order they come, as many of them held as may be."""
    left = dict(clients)
    while left:
        wait_until(lambda: len(gate.held) == min(at_once, len(left)), "all slots being taken")  # noqa: B023
        turn_hub(3)
        assert len(gate.held) <= at_once
        path = gate.held[0]
        gate.let_go(path)
        assert left.pop(path).read().content == path.encode()


def connect_and_ask(served: Serving, count: int, *lines: str) -> dict[str, Client]:
    clients = {f"/{number}": served.connect() for number in range(count)}
    for path, client in clients.items():
        client.send(get(path, *lines))
    return clients


# Slots.


def test_as_many_requests_are_served_at_once_as_there_are_slots() -> None:
    gate = Gate()
    with serving(gate, worker_connections=3) as served:
        clients = connect_and_ask(served, 8)
        wait_until(lambda: len(gate.held) == 3)
        turn_hub()
        assert len(gate.order) == served.busy == 3
        answer_all(gate, clients, 3)
        wait_until(lambda: served.busy == 0)


def test_newcomers_stay_in_the_kernel_while_the_pool_is_full_and_are_served_in_order() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        clients = {"/busy": served.connect()}
        clients["/busy"].send(get("/busy"))
        gate.wait_for("/busy")
        paths = [f"/{number}" for number in range(8)]
        for path in paths:
            clients[path] = served.connect()
            clients[path].send(get(path))
            turn_hub(3)
        assert len(served.server.connections) == 1 and gate.order == ["/busy"]
        run_through(gate, clients, ["/busy", *paths])
        assert len(served.server.connections) == 9


def test_a_burst_of_newcomers_is_served_in_order() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        paths = [f"/{number}" for number in range(8)]
        clients = {path: served.connect() for path in paths}
        for path in paths:
            clients[path].send(get(path))
        run_through(gate, clients, paths)


def test_connections_that_are_open_already_wait_in_the_order_of_their_requests() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        paths = [f"/{number}" for number in range(8)]
        clients = {path: served.connect() for path in reversed(paths)}
        wait_until(lambda: len(served.server.connections) == 8)
        for path in paths:
            clients[path].send(get(path))
            turn_hub(3)
        assert len(served.server.slots.line) == 7
        run_through(gate, clients, paths)


def test_the_line_is_overtaken_neither_by_a_pipelined_request_nor_by_a_newcomer() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        first, second = served.connect(), served.connect()
        wait_until(lambda: len(served.server.connections) == 2)
        first.send(get("/1"), get("/pipelined"))
        gate.wait_for("/1")
        second.send(get("/2"))
        wait_until(lambda: served.server.slots.line)
        newcomer = served.connect()
        newcomer.send(get("/new"))
        clients = {"/1": first, "/2": second, "/pipelined": first, "/new": newcomer}
        run_through(gate, clients, ["/1", "/2", "/pipelined", "/new"])


def test_a_request_on_an_idle_connection_does_not_overtake_the_line() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        clients = {path: served.connect() for path in ("/1", "/2", "/3", "/4")}
        wait_until(lambda: len(served.server.connections) == 4)
        for path in ("/1", "/2", "/3"):
            clients[path].send(get(path))
            turn_hub(3)
        gate.let_go("/1")
        clients["/4"].send(get("/4"))  # arrives when the slot is being given back
        assert clients["/1"].read().content == b"/1"
        run_through(gate, clients, ["/2", "/3", "/4"])


def test_a_client_that_has_gone_while_it_waited_holds_nobody_up() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        clients = {path: served.connect() for path in ("/1", "/2", "/3")}
        wait_until(lambda: len(served.server.connections) == 3)
        for path, client in clients.items():
            client.send(get(path))
            turn_hub(3)
        clients["/2"].close()
        gate.let_go("/1")
        wait_until(lambda: "/2" in gate.order or "/3" in gate.order)
        if "/2" in gate.order:  # half-closed or gone: nobody can tell
            gate.let_go("/2")
        gate.wait_for("/3")
        gate.let_go("/3")
        assert clients["/3"].read().content == b"/3"
        wait_until(lambda: served.busy == 0)


def test_a_refusal_needs_no_slot() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        busy, wrong = served.connect(), served.connect()
        wait_until(lambda: len(served.server.connections) == 2)
        busy.send(get("/busy"))
        gate.wait_for("/busy")
        assert wrong.ask(b"nonsense\r\n\r\n").status == 400
        gate.let_go("/busy")
        assert busy.read().content == b"/busy"


def test_draining_what_was_left_unread_holds_no_slot() -> None:
    with serving(show_path, worker_connections=1) as served:
        client = served.connect()
        assert client.ask(get("/1", "Content-Length: 5", method="POST")).content == b"/1"
        assert served.ask(get("/2")).content == b"/2"
        assert client.ask(b"12345", get("/3")).content == b"/3"


@pytest.mark.parametrize("wrong", ["raise", "exit", "cut"])
def test_a_slot_is_given_back_however_a_request_ends(wrong: str) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/wrong":
            start_response("200 OK", [("Content-Length", "10")])
            if wrong != "cut":
                raise {"raise": ValueError, "exit": SystemExit}[wrong]
        else:
            start_response("200 OK", [])
        return [b"short"]

    with serving(application, worker_connections=1) as served:
        for _ in range(3):
            with served.connect() as client:
                client.send(get("/wrong"))
                client.read_to_end()
        assert served.ask(get()).content == b"short"
        assert served.busy == 0
        served.take_errors()


# What waits costs nothing.


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
        run_through(gate, {"/1": busy, "/2": waiting, "/3": busy, "/4": waiting}, ["/1", "/2", "/3", "/4"])


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
        run_through(gate, {"/1": busy, "/2": newcomer}, ["/1", "/2"])


# Connections.


def test_past_the_bound_on_connections_newcomers_wait_until_one_ends() -> None:
    with serving(show_path, max_connections=3) as served:
        idle = idle_clients(served, 3)
        newcomers = [served.connect() for _ in range(3)]
        for number, client in enumerate(newcomers):
            client.send(get(f"/{number}"))
        turn_hub()
        assert len(served.server.connections) == 3
        assert idle[0].ask(get("/still")).content == b"/still"
        for client in newcomers:
            client.expect_no_answer_yet()
        idle[1].close()
        assert newcomers[0].read().content == b"/0"
        turn_hub()
        newcomers[1].expect_no_answer_yet()
        idle[0].close()
        newcomers[0].close()
        assert [newcomers[1].read().content, newcomers[2].read().content] == [b"/1", b"/2"]


def test_the_bound_on_connections_and_the_one_on_requests_are_kept_together() -> None:
    gate = Gate()
    with serving(gate, max_connections=2, worker_connections=1) as served:
        clients = connect_and_ask(served, 6, "Connection: close")
        for _ in range(6):
            wait_until(lambda: gate.held)
            turn_hub(3)
            assert len(served.server.connections) <= 2 and served.busy == 1
            [path] = gate.held
            gate.let_go(path)
            assert clients[path].read().content == path.encode()
            clients[path].close()
        assert sorted(gate.order) == list(clients)


def test_lingering_and_large_requests_count_as_connections_until_they_are_closed() -> None:
    with serving(show_path, max_connections=1, linger_timeout=1000) as served:
        client = served.connect()
        assert client.ask(b"nonsense\r\n\r\n").status == 400
        client.expect_end()
        newcomer = served.connect()
        newcomer.send(post_chunked([b"x" * 1000]))
        turn_hub()
        newcomer.expect_no_answer_yet()
        client.close()
        assert newcomer.read().content == b"/"


def test_without_a_bound_all_requests_are_served_at_once() -> None:
    everybody = Event()
    present: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        present.append(environ["PATH_INFO"])
        if len(present) == 50:
            everybody.set()
        assert everybody.wait(LIMIT)
        return show_path(environ, start_response)

    with serving(application) as served:
        clients = [served.connect() for _ in range(50)]
        for client in clients:
            client.send(get())
        assert all(client.read().content == b"/" for client in clients)


# spawn.


def test_spawn_may_be_a_number_of_requests() -> None:
    gate = Gate()
    with serving(gate, spawn=2) as served:
        clients = connect_and_ask(served, 6)
        wait_until(lambda: len(gate.held) == 2)
        turn_hub()
        assert len(gate.order) == served.busy == 2
        answer_all(gate, clients, 2)


def test_spawn_may_be_a_pool_that_tells_how_busy_it_is() -> None:
    pool = Pool(2)
    gate = Gate()
    with serving(gate, spawn=pool) as served:
        idle = served.connect()
        idle.send(b"GET /idle HTTP/1.1\r\n")
        clients = connect_and_ask(served, 6)
        wait_until(lambda: len(gate.held) == 2)
        turn_hub()
        assert len(gate.order) == 2 and len(pool) == 2 and pool.full()
        answer_all(gate, clients, 2)
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
        answer_all(gate, connect_and_ask(served, 3), 1)
    with serving(show_path, spawn="default") as served:
        assert served.server.cap == float("inf")

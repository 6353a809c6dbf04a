"""Bounds on requests and connections: who waits, and in which order those who wait are served."""

from __future__ import annotations

import resource
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenserve.server import lending
from tests.functional.client import LIMIT, Client, get, post_chunked
from tests.functional.serving import Gate, idle_clients, serving, show_path, turn_hub, wait_until


def test_as_many_requests_are_served_at_once_as_there_are_slots() -> None:
    gate = Gate()
    with serving(gate, worker_connections=3) as served:
        clients = served.connect_and_ask(8)
        wait_until(lambda: len(gate.held) == 3)
        turn_hub()
        assert len(gate.order) == served.busy == 3
        gate.answer_all(clients, 3)
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
        gate.run_through(clients, ["/busy", *paths])
        assert len(served.server.connections) == 9


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
        gate.run_through(clients, paths)


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
        gate.run_through(clients, ["/1", "/2", "/pipelined", "/new"])


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
        gate.run_through(clients, ["/2", "/3", "/4"])


def test_who_needs_a_slot_for_no_time_keeps_nobody_of_the_same_round_waiting() -> None:
    with serving(show_path, worker_connections=1) as served:
        clients = [served.connect() for _ in range(5)]
        wait_until(lambda: len(served.server.connections) == 5)
        served.server.slots.wait = pytest.fail
        for number, client in enumerate(clients):
            client.send(get(f"/{number}"))
        assert [client.read().content for client in clients] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


def test_requests_that_hold_much_content_are_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "MOST_HELD", 100)
    with serving(show_path) as served:
        clients = [served.connect() for _ in range(3)]
        wait_until(lambda: len(served.server.connections) == 3)
        rounds: list[int] = []
        serve_due = served.server.lender.serve_due
        served.server.lender.serve_due = lambda: (rounds.append(len(served.server.lender.due)), serve_due())
        for number, client in enumerate(clients):
            client.send(get(f"/{number}", "Content-Length: 100", method="POST"), b"x" * 100)
        assert [client.read().content for client in clients] == [b"/0", b"/1", b"/2"]
        assert max(rounds) == 1


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
        clients = served.connect_and_ask(6, "Connection: close")
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


def have_descriptors(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    """Have the process's limit on descriptors look like `soft`; it is the hard one that nobody asks for."""

    def getrlimit(kind: int) -> tuple[int, int]:
        assert kind == resource.RLIMIT_NOFILE
        return soft, resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", getrlimit)


@pytest.mark.parametrize(
    ("soft", "most"),
    [(1024, 960), (1 << 20, (1 << 20) - 64), (80, 16), (20, 16), (resource.RLIM_INFINITY, float("inf"))],
)
def test_the_default_bound_on_connections_leaves_descriptors_to_the_application(
    monkeypatch: pytest.MonkeyPatch, soft: int, most: float
) -> None:
    have_descriptors(monkeypatch, soft)
    with serving(show_path) as served:
        assert served.server.max_connections == most
    with serving(show_path, max_connections=5000) as served:
        assert served.server.max_connections == 5000


def test_past_the_default_bound_newcomers_wait_until_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    have_descriptors(monkeypatch, 81)
    with serving(show_path) as served:
        idle = idle_clients(served, 17)
        newcomer = served.connect()
        newcomer.send(get("/new"))
        turn_hub()
        assert len(served.server.connections) == 17
        newcomer.expect_no_answer_yet()
        assert idle[0].ask(get("/still")).content == b"/still"
        idle[0].close()
        assert newcomer.read().content == b"/new"


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


def test_newcomers_get_their_turn_though_the_line_is_never_empty() -> None:
    """Two clients that ask without a pause keep the only slot taken and the line occupied."""
    with serving(show_path, worker_connections=1) as served:
        steady = idle_clients(served, 3)
        for client in steady:
            client.send(get("/steady"))
        newcomer = served.connect()
        answered = gevent.spawn(newcomer.ask, get("/new"))

        def keep_asking(client: Client) -> None:
            while not answered.ready():
                client.read()
                client.send(get("/steady"))

        asking = [gevent.spawn(keep_asking, client) for client in steady]
        assert answered.get(timeout=LIMIT).content == b"/new"
        gevent.joinall(asking, timeout=LIMIT, raise_error=True)
        for client in steady:
            client.close()

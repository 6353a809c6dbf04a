"""stop() loses no request: what is on its way is answered, what is idle ends in silence."""

from __future__ import annotations

import socket
from typing import Any

import gevent
import gevent.socket
import pytest

from tests.functional.client import LIMIT, Client, get, post
from tests.functional.deadlines import SHORT
from tests.functional.draining import LONG, expect_stopped, start_stopping
from tests.functional.running import open_socket
from tests.functional.serving import Gate, Serving, echo, serving, show_path, turn_hub, wait_until


def connect_unseen(served: Serving, octets: bytes = b"") -> Client:
    """Return a client that the kernel has accepted, and the server has had no time to."""
    plain = socket.create_connection(("127.0.0.1", served.port))
    plain.sendall(octets)
    client = object.__new__(Client)
    client.sock = gevent.socket.socket(fileno=plain.detach())
    client.sock.settimeout(LIMIT)
    client.name = client.sock.getsockname()
    client.buffer = b""
    assert not served.knows(client)
    return client


# -- idle


def test_idle_connections_end_without_an_answer() -> None:
    with serving(show_path) as served:
        idle, fresh, begun = served.connect(), served.connect(), served.connect()
        idle.ask(get())
        begun.ask(get())
        stopping = start_stopping(served)
        expect_stopped(stopping, idle, fresh, begun)


def test_a_connection_that_was_busy_a_moment_ago_may_ask_once_more() -> None:
    with serving(show_path, drain_grace=LONG) as served:
        client = served.connect()
        assert not client.ask(get("/before")).closes
        stopping = start_stopping(served)
        turn_hub()
        client.expect_no_answer_yet()
        answer = client.ask(get("/after"))
        assert (answer.content, answer.closes) == (b"/after", True)
        expect_stopped(stopping, client)


def test_a_new_connection_may_ask_once() -> None:
    with serving(show_path, drain_grace=LONG) as served:
        client = served.connect()
        wait_until(lambda: served.knows(client), "the connection being accepted")
        stopping = start_stopping(served)
        assert client.ask(get()).closes
        expect_stopped(stopping, client)


def test_a_connection_that_was_idle_for_long_gets_no_grace() -> None:
    with serving(show_path, drain_grace=LONG, keepalive_timeout=10 * LONG) as served:
        client, other = served.connect(), served.connect()
        client.ask(get())
        other.ask(get())
        served.connection_of(client).deadline -= 2 * LONG  # as if so much time had passed
        stopping = start_stopping(served)
        client.expect_end()
        turn_hub()
        other.expect_no_answer_yet()
        client.close()
        other.close()
        assert stopping.get(timeout=LIMIT) is True


def test_the_grace_ends_by_itself() -> None:
    with serving(show_path, drain_grace=0.01) as served:
        client = served.connect()
        client.ask(get())
        expect_stopped(start_stopping(served), client)


def test_an_idle_peer_that_does_not_close_its_side_is_not_waited_for_as_others_are() -> None:
    limits = {"linger_timeout": LONG, "keepalive_timeout": LONG, "body_timeout": SHORT}
    with serving(show_path, **limits) as served:
        idle, fresh = served.connect(), served.connect()
        idle.ask(get())
        wait_until(lambda: served.knows(fresh), "the connection being accepted")
        stopping = start_stopping(served)
        idle.expect_end()
        fresh.expect_end()
        assert stopping.get(timeout=LIMIT) is True  # neither has been closed here


def test_a_stop_in_the_hub_ends_idle_connections_too() -> None:
    """It may not wait there; what it begins goes on."""
    with serving(show_path) as served:
        client = served.connect()
        client.ask(get())
        served.server.hub.loop.run_callback(served.server.stop)
        client.expect_end()


def test_a_stop_without_connections_lets_go_of_what_served_them() -> None:
    stops: list[None] = []
    with serving(show_path) as served:
        with served.connect() as client:
            client.ask(get())
        wait_until(lambda: not served.server.connections, "the end of the connection")
        (spare,) = served.server.lender.spare
        stop_sweeping = served.server.sweeper.stop
        served.server.sweeper.stop = lambda: stops.append(stop_sweeping())
        assert served.server.stop(LIMIT) is True
        assert stops == [None]
        assert served.server.lender.spare == []
        wait_until(lambda: spare.dead, "the end of the spare greenlet")


def test_a_client_that_hangs_up_ends_the_waiting() -> None:
    with serving(show_path, drain_grace=LONG) as served:
        client = served.connect()
        client.ask(get())
        stopping = start_stopping(served)
        client.close()
        assert stopping.get(timeout=LIMIT) is True


# -- on its way


def test_a_request_that_has_arrived_on_an_idle_connection_is_served() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.ask(get("/1"))
        client.send(get("/2"))  # in the kernel; the server has not been told
        stopping = start_stopping(served)
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/2", True)
        expect_stopped(stopping, client)


def test_newcomers_in_the_kernel_s_queue_are_served() -> None:
    with serving(show_path) as served:
        clients = [connect_unseen(served, get(f"/{number}")) for number in range(20)]
        stopping = start_stopping(served)
        for number, client in enumerate(clients):
            answer = client.read()
            assert (answer.content, answer.closes) == (b"/%d" % number, True)
        expect_stopped(stopping, *clients)


def test_newcomers_are_taken_in_also_where_all_slots_are_taken() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        client = served.connect()
        client.send(get("/0"))
        gate.wait_for("/0")
        newcomer = connect_unseen(served, get("/1"))
        stopping = start_stopping(served)
        for number, each in enumerate((client, newcomer)):
            gate.wait_for(f"/{number}")
            gate.let_go(f"/{number}")
            answer = each.read()
            assert (answer.content, answer.closes) == (b"/%d" % number, True)
        expect_stopped(stopping, client, newcomer)


def test_a_newcomer_in_the_kernel_s_queue_may_ask_once() -> None:
    with serving(show_path, drain_grace=LONG) as served:
        client = connect_unseen(served)
        stopping = start_stopping(served)
        turn_hub()
        assert client.ask(get()).closes
        expect_stopped(stopping, client)


def test_nobody_comes_in_later() -> None:
    with serving(Gate()) as served:
        address = served.server.address
        client = served.connect()
        client.send(get())
        served.server.application.wait_for("/")
        stopping = start_stopping(served)
        wait_until(lambda: served.server.closed, "the listener being closed")
        with pytest.raises(ConnectionRefusedError):
            open_socket(address)
        served.server.application.let_go("/")
        client.read()
        expect_stopped(stopping, client)


def test_nobody_can_come_in_once_an_answer_says_that_its_connection_closes() -> None:
    """Who reads that connects anew; in the queue of a listener that is about to close it would be reset."""
    closed: list[bool] = []

    def application(environ: Any, start_response: Any) -> Any:
        closed.append(served.server.closed)
        return show_path(environ, start_response)

    with serving(application) as served:
        idle = served.connect()
        idle.ask(get())
        idle.send(get())  # in the kernel; the server has not been told
        newcomer = connect_unseen(served, get())
        stopping = start_stopping(served)
        assert idle.read().closes
        assert newcomer.read().closes
        expect_stopped(stopping, idle, newcomer)
    assert closed == [False, True, True]


def test_a_head_that_has_begun_may_be_completed() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get()[:20])
        wait_until(lambda: served.knows(client), "the connection being accepted")
        wait_until(lambda: served.connection_of(client).buffer, "the beginning of the head")
        stopping = start_stopping(served)
        turn_hub()
        answer = client.ask(get()[20:])
        assert (answer.status, answer.closes) == (200, True)
        expect_stopped(stopping, client)


def test_content_that_is_on_its_way_is_read() -> None:
    with serving(echo) as served:
        client = served.connect()
        request = post(b"content")
        client.send(request[:-4])
        wait_until(lambda: served.busy, "the request being served")
        stopping = start_stopping(served)
        turn_hub()
        answer = client.ask(request[-4:])
        assert (answer.content, answer.closes) == (b"content", True)
        expect_stopped(stopping, client)


def test_requests_that_have_arrived_behind_one_in_flight_are_served() -> None:
    gate = Gate()
    with serving(gate) as served:
        client = served.connect()
        client.send(get("/1"), get("/2"), get("/3"))
        gate.wait_for("/1")
        stopping = start_stopping(served)
        closes = []
        for path in ("/1", "/2", "/3"):
            gate.wait_for(path)
            gate.let_go(path)
            answer = client.read()
            assert answer.content == path.encode()
            closes.append(answer.closes)
        assert closes == [False, False, True]  # nothing may follow the one that says so
        expect_stopped(stopping, client)


def test_requests_that_wait_for_a_slot_are_served() -> None:
    gate = Gate()
    with serving(gate, worker_connections=1) as served:
        clients = [served.connect() for _ in range(3)]
        turn_hub()
        for number, client in enumerate(clients):
            client.send(get(f"/{number}"))
            turn_hub()  # they are served in this order
        gate.wait_for("/0")
        stopping = start_stopping(served)
        for number, client in enumerate(clients):
            gate.wait_for(f"/{number}")
            gate.let_go(f"/{number}")
            answer = client.read()
            assert (answer.content, answer.closes) == (b"/%d" % number, True)
        expect_stopped(stopping, *clients)

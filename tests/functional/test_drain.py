"""stop() loses no request: what is on its way is answered, what is idle ends in silence."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.socket
import pytest

from tests.functional.client import LIMIT, Client, get, post
from tests.functional.running import open_socket
from tests.functional.serving import Gate, Serving, echo, serving, show_path, turn_hub, wait_until

#: A time that no test waits for.
LONG = 600.0


def start_stopping(served: Serving, timeout: float = LONG) -> Any:
    """Call stop() in a greenlet and return that, when draining has begun."""
    stopping = gevent.spawn(served.server.stop, timeout)
    wait_until(lambda: served.server.draining, "the draining")
    return stopping


def expect_stopped(stopping: Any, *clients: Client) -> None:
    """See that stop() ends, all requests done, once these clients have seen the end of their connections."""
    for client in clients:
        client.expect_end()
        client.close()
    assert stopping.get(timeout=LIMIT) is True


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


def test_a_head_that_has_begun_may_be_completed() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get()[:20])
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


# -- in flight


@pytest.mark.parametrize("request_", [get(), get("/", "Connection: keep-alive", version="1.0")])
def test_a_request_in_flight_is_answered_and_told_that_it_was_the_last(request_: bytes) -> None:
    gate = Gate()
    with serving(gate) as served:
        client = served.connect()
        client.send(request_)
        gate.wait_for("/")
        stopping = start_stopping(served)
        turn_hub()
        assert not stopping.dead
        gate.let_go("/")
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/", True)
        expect_stopped(stopping, client)


def test_an_answer_that_has_begun_is_finished() -> None:
    gate = Gate()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one "
        gate(environ, lambda status, fields: None)
        yield b"two"

    with serving(application) as served:
        client = served.connect()
        client.send(get())
        client.read_head()
        assert client.read_chunk() == b"one "
        stopping = start_stopping(served)
        gate.let_go("/")
        assert [client.read_chunk(), client.read_chunk()] == [b"two", b""]
        expect_stopped(stopping, client)


class Stubborn:
    """An application that waits for ever, as an iterable or before; what happens to it is noted."""

    def __init__(self) -> None:
        self.raised: list[type[BaseException]] = []
        self.closed = 0
        self.waiting = 0

    def wait(self) -> None:
        self.waiting += 1
        try:
            gevent.sleep(LONG)
        except BaseException as error:
            self.raised.append(type(error))
            raise

    def __call__(self, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/before":
            self.wait()
        return self

    def __iter__(self) -> Iterator[bytes]:
        yield b"begun"
        self.wait()

    def close(self) -> None:
        self.closed += 1


def test_what_is_not_done_in_time_is_ended_where_its_number_is_bounded() -> None:
    application = Stubborn()
    with serving(application, worker_connections=10) as served:
        before, begun = served.connect(), served.connect()
        before.send(get("/before"))
        begun.send(get("/begun"))
        wait_until(lambda: application.waiting == 2, "both of them waiting")
        assert served.server.stop(0.01) is False
        wait_until(lambda: len(application.raised) == 2, "the end of both of them")
        assert application.raised == [gevent.GreenletExit] * 2
        wait_until(lambda: application.closed == 1, "close()")
        assert before.read().status == 500
        begun.read_head()
        assert begun.read_chunk() == b"begun"
        begun.expect_end()
        assert served.errors == []
        before.close()
        wait_until(lambda: not served.server.connections, "the end of all connections")


def test_what_is_not_done_in_time_goes_on_where_its_number_is_unbounded() -> None:
    gate = Gate()
    with serving(gate) as served:
        client = served.connect()
        client.send(get())
        gate.wait_for("/")
        assert served.server.stop(0.01) is False
        assert not served.server.started
        gate.let_go("/")
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/", True)
        client.expect_end()


def test_idle_connections_do_not_outlast_the_timeout() -> None:
    with serving(show_path, drain_grace=LONG, worker_connections=10) as served:
        client = served.connect()
        client.ask(get())
        assert served.server.stop(0.01) is False
        client.expect_end()
        wait_until(lambda: not served.server.connections, "the end of all connections")


# -- what is said


def test_the_log_says_what_is_waited_for() -> None:
    gate = Gate()
    with serving(gate) as served:
        client, idle = served.connect(), served.connect()
        client.send(get("/slow?a=b"))
        gate.wait_for("/slow")
        stopping = start_stopping(served, 300)
        wait_until(lambda: served.log.lines, "the report")
        idle.close()
        gate.let_go("/slow")
        client.read()
        expect_stopped(stopping, client)
        (line,) = served.log.lines
        assert f"waiting up to 300 s for GET '/slow?a=b' from 127.0.0.1:{client.name[1]}" in line


def test_the_log_does_not_name_all_of_many() -> None:
    gate = Gate()
    with serving(gate) as served:
        clients = [served.connect() for _ in range(13)]
        for number, client in enumerate(clients):
            client.send(get(f"/{number}"))
        gate.wait_for(*[f"/{number}" for number in range(13)])
        stopping = start_stopping(served)
        wait_until(lambda: served.log.lines, "the report")
        for number, client in enumerate(clients):
            gate.let_go(f"/{number}")
            client.read()
        expect_stopped(stopping, *clients)
        assert served.log.lines[0].count("GET") == 10
        assert served.log.lines[0].endswith(" and 3 more")


def test_nothing_is_said_when_nothing_is_waited_for() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.ask(get())
        expect_stopped(start_stopping(served), client)
        assert served.log.lines == []

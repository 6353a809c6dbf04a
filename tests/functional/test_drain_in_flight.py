"""stop() and the requests in flight: they finish, or are ended in time; the log says what is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tests.functional.client import LIMIT, get
from tests.functional.draining import LONG, expect_stopped, start_stopping
from tests.functional.serving import Gate, serving, show_path, turn_hub, wait_until


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


def test_requests_that_stop_the_server_do_not_wait_for_each_other() -> None:
    gate = Gate()
    stopped: list[bool] = []

    def application(environ: Any, start_response: Any) -> Any:
        gate(environ, lambda status, fields: None)
        stopped.append(served.server.stop(LIMIT))
        return show_path(environ, start_response)

    with serving(application) as served:
        first, second = served.connect(), served.connect()
        first.send(get("/1"))
        second.send(get("/2"))
        gate.wait_for("/1", "/2")
        gate.let_go("/1")
        wait_until(lambda: served.server.draining, "the draining")
        gate.let_go("/2")
        for client in (second, first):
            assert client.read().closes
            client.expect_end()
            client.close()
    assert stopped == [True, True]


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


def test_nothing_is_said_before_the_grace_is_over() -> None:
    gate = Gate()
    with serving(gate, drain_grace=LONG) as served:
        client = served.connect()
        client.send(get())
        gate.wait_for("/")
        stopping = start_stopping(served)
        turn_hub()
        gate.let_go("/")
        client.read()
        expect_stopped(stopping, client)
        assert served.log.lines == []

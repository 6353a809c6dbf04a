"""The raw socket of an upgrade request: the connection lives as long as somebody has an object for it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from greenserve.server.connection import Connection
from tests.functional.client import Client, get
from tests.functional.serving import Environ, Serving, serving, turn_hub, wait_until

UPGRADE = get("/", "Connection: Upgrade", "Upgrade: shouting")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shouting\r\n\r\n"


class Taker:
    """An application that takes the socket over, and keeps a second object for it in `kept`."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/":
            start_response("200 OK", [])
            return [b"not taken"]
        sock = environ["wsgi.input"].raw._sock
        sock.sendall(SWITCHED)
        return self.keep(sock.dup())

    def keep(self, sock: Any) -> Any:
        self.kept.append(sock)
        return []


def connect(served: Serving) -> Client:
    """Return a client whose connection has been taken over."""
    client = served.connect()
    client.send(UPGRADE)
    assert client.read_some(len(SWITCHED)) == SWITCHED
    return client


def expect_end(served: Serving, client: Client) -> None:
    """See that both sides have come to the end."""
    client.expect_end()
    wait_until(lambda: not served.server.connections, "the connection being closed")


def test_an_object_that_is_closed_ends_the_connection() -> None:
    application = Taker()
    with serving(application) as served:
        client = connect(served)
        turn_hub()
        client.expect_no_answer_yet()
        application.kept.pop().close()
        expect_end(served, client)


def test_an_object_that_is_lost_ends_the_connection() -> None:
    application = Taker()
    with serving(application) as served:
        client = connect(served)
        turn_hub()
        client.expect_no_answer_yet()
        application.kept.clear()
        expect_end(served, client)


def test_the_last_of_several_objects_ends_the_connection_closed_or_lost() -> None:
    application = Taker()
    with serving(application) as served:
        client = connect(served)
        first = application.kept[0]
        application.kept += [first.dup(), first.dup().dup()]
        del first
        application.kept[1].close()
        while len(application.kept) > 1:
            application.kept.pop()
            turn_hub()
            client.expect_no_answer_yet()
        application.kept[0].sendall(b"HELLO")
        assert client.read_some(5) == b"HELLO"
        application.kept.clear()
        expect_end(served, client)


def test_an_object_that_is_lost_while_the_application_runs_ends_the_connection_with_it() -> None:
    class Forgetful(Taker):
        def keep(self, sock: Any) -> Any:
            return []

    with serving(Forgetful()) as served:
        expect_end(served, connect(served))


def test_an_object_that_is_lost_in_a_cycle_ends_the_connection_once_it_is_collected() -> None:
    application = Taker()
    with serving(application) as served:
        client = connect(served)
        cycle: list[Any] = [application.kept.pop()]
        cycle.append(cycle)
        del cycle
        gc.collect()
        expect_end(served, client)


def test_an_object_that_is_lost_in_another_thread_ends_the_connection_in_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []
    close = Connection.close

    def noting(connection: Connection) -> None:
        threads.append(threading.get_ident())
        close(connection)

    monkeypatch.setattr(Connection, "close", noting)
    application = Taker()
    with serving(application) as served:
        client = connect(served)
        turn_hub()
        gevent.get_hub().threadpool.apply(application.kept.clear)
        expect_end(served, client)
    assert set(threads) == {threading.get_ident()}


def test_a_greenlet_that_ends_without_close_ends_the_connection() -> None:
    def shout(sock: Any) -> None:
        while word := sock.recv(100):
            if word == b"quit":
                return
            sock.sendall(word.upper())

    class Shouter(Taker):
        def keep(self, sock: Any) -> Any:
            gevent.spawn(shout, sock)
            return []

    with serving(Shouter()) as served:
        client = connect(served)
        for word in (b"one", b"two"):
            client.send(word)
            assert client.read_some(3) == word.upper()
        client.send(b"quit")
        expect_end(served, client)


def test_an_object_that_outlives_the_connection_is_lost_in_silence() -> None:
    application = Taker()
    with serving(application) as served:
        client = connect(served)
        served.server.kill()
        expect_end(served, client)
        application.kept.clear()
        turn_hub()


@pytest.mark.parametrize("block", [b"", b"block"])
def test_blocks_that_go_nowhere_let_the_others_have_their_turn(block: bytes) -> None:
    answered: list[str] = []

    class Endless(Taker):
        def __call__(self, environ: Environ, start_response: Any) -> Any:
            if environ["PATH_INFO"] == "/other":
                answered.append("the other one")
            return super().__call__(environ, start_response)

        def keep(self, sock: Any) -> Iterator[bytes]:
            other.send(get("/other"))
            for _ in range(50_000):  # as if for ever
                if answered:
                    return
                yield block
            answered.append("nobody")

    with serving(Endless()) as served:
        other = served.connect()
        connect(served)
        assert other.read().content == b"not taken"
    assert answered == ["the other one"]

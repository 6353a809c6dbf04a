"""Before the queues are emptied for the last time: no connection is made any more, those there are stay."""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from greenserve.config import Config
from greenserve.process.listening import ListenerSets
from tests.process.masters import SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is told in Linux's words")


@pytest.fixture(params=["127.0.0.1:0", "[::1]:0"])
def sets(request: pytest.FixtureRequest) -> Iterator[ListenerSets]:
    made = ListenerSets([request.param], Config())
    made.open(1)
    yield made
    made.close()


def is_connected(client: socket.socket, timeout: float = SECONDS) -> bool:
    """Whether a handshake is over that was begun; on this machine it takes no time."""
    return bool(select.select([], [client], [], timeout)[1])


def begin_connecting(sets: ListenerSets) -> socket.socket:
    listener = sets.every()[0]
    client = socket.socket(listener.family)
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
    return client


def test_no_handshake_begins_any_more(sets):
    sets.refuse_newcomers()
    with closing(begin_connecting(sets)) as client:
        assert not is_connected(client, 0.1)


def test_who_has_come_before_is_served(sets):
    with closing(begin_connecting(sets)) as client:
        assert is_connected(client)
        sets.refuse_newcomers()
        descriptor, _ = sets.every()[0]._accept()
        with closing(socket.socket(fileno=descriptor)) as accepted:
            client.send(b"sent afterwards")
            assert accepted.recv(100) == b"sent afterwards"


def test_sockets_that_others_have_go_on(sets):
    listener = sets.every()[0]
    theirs = ListenerSets([f"fd://{listener.fileno()}"], Config())
    theirs.open(1)
    theirs.refuse_newcomers()
    with closing(begin_connecting(sets)) as client:
        assert is_connected(client)
    theirs.close()

"""The number of a stream's descriptor, which goes to the next socket when the stream is closed."""

from __future__ import annotations

import _socket
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest

from greenserve.errors import ClientDisconnected
from greenserve.net.stream import Stream
from tests.functional.client import LIMIT
from tests.functional.serving import turn_hub, wait_until


class Counting(Stream):
    """Counts how often it is told that there is something to read; `peer` is the other end."""

    woken = 0

    def __init__(self, number: int, peer: socket.socket) -> None:
        self.peer = peer
        sock = _socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=number)
        sock.setblocking(False)
        super().__init__(sock, gevent.get_hub())

    def on_readable(self) -> bool:
        self.woken += 1
        if self.reader is not None:
            self.reader.switch(self)
        else:
            self.unwatch()
        return False


class Successors:
    """Makes streams, each of which may take over the number of another one when that is closed."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def open(self) -> Counting:
        peer, own = socket.socketpair()
        return self._keep(own.detach(), peer)

    def replace(self, old: Counting) -> Counting:
        """Close `old` and return a stream on the same number, which is being watched."""
        number = old.sock.fileno()
        peer, own = socket.socketpair()  # while the number is taken
        old.close_socket()
        with own:
            os.dup2(own.fileno(), number, inheritable=False)
        new = self._keep(number, peer)
        new.watch()
        return new

    def _keep(self, number: int, peer: socket.socket) -> Counting:
        self.stack.enter_context(peer)
        stream = Counting(number, peer)
        self.stack.callback(stream.close_socket)
        return stream


@pytest.fixture
def streams() -> Iterator[Successors]:
    with ExitStack() as stack:
        yield Successors(stack)


def test_the_next_owner_of_a_number_does_not_wake_the_one_before(streams: Successors) -> None:
    old = streams.open()
    old.watch()
    turn_hub()  # the event loop has told the kernel
    new = streams.replace(old)
    new.peer.sendall(b"x")
    wait_until(lambda: new.woken, "the new owner being told")
    assert old.woken == 0


def end_of(wait: Callable[[], Any]) -> BaseException | None:
    """Return what ends the waiting."""
    try:
        wait()
    except ClientDisconnected as error:
        return error
    return None


def fill(sock: Any) -> None:
    """Send until the kernel takes nothing."""
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        pass


@pytest.mark.parametrize("method", ["recv", "wait_writable"])
def test_a_greenlet_that_waits_is_told_of_the_end_and_of_nothing_else(
    streams: Successors, method: str
) -> None:
    old = streams.open()
    fill(old.sock)
    arguments = [0] if method == "recv" else []
    waiting = gevent.spawn(end_of, lambda: getattr(old, method)(*arguments))
    wait_until(old.has_waiters, "the greenlet waiting")
    turn_hub()
    new = streams.replace(old)
    new.peer.sendall(b"x")
    assert str(waiting.get(timeout=LIMIT)) == "the connection was closed"
    wait_until(lambda: new.woken, "the new owner being told")
    assert old.woken == 0
    assert new.recv_now() == b"x"

"""How much a worker has to do: what it tells the others, so that newcomers go to the one that has least."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from greenserve.server.connection import NEW, Connection
from greenserve.server.server import WSGIServer

#: Newcomers that are looked at each time; more of them, as a crowd of silent clients has, now and then only.
FEW = 64

#: Seconds between two looks at many.
COUNT_INTERVAL = 0.05

#: Requests, and connections, that a load can tell apart.
MOST_REQUESTS = 0x3FFF
MOST_CONNECTIONS = 0xFFFF


class Load:
    """The load of `server`: requests first, then connections.

    A request counts from its head to the end of its answer, and a connection as one from the moment when it
    is accepted until something arrives: a request is to be expected there.
    """

    def __init__(self, server: WSGIServer) -> None:
        self.server = server
        #: Connections that have been accepted not long ago.
        self.newcomers: list[Connection] = []
        self._look_at = 0.0

    def now(self) -> int:
        """Return the load as one number."""
        new = self.newcomers
        if new and (len(new) <= FEW or time.monotonic() >= self._look_at):
            new[:] = [connection for connection in new if connection.state is NEW]
            self._look_at = time.monotonic() + COUNT_INTERVAL
        slots = self.server.slots
        requests: int = slots.busy + len(slots.line) + len(self.newcomers)
        return min(requests, MOST_REQUESTS) << 16 | min(len(self.server.connections), MOST_CONNECTIONS)


def at_the_start_of_rounds(loop: Any, call: Callable[[], None]) -> Any:
    """Return a started watcher that makes a call in each round of the event loop, before all others."""
    watcher = loop.check(ref=False, priority=loop.MAXPRI)
    watcher.start(call)
    return watcher


def at_the_end_of_rounds(loop: Any, call: Callable[[], None]) -> Any:
    """Return a started watcher that makes a call in each round of the event loop, right before it waits.

    gevent runs what has been scheduled, the requests that are due among it, from a watcher of the same kind.
    Before that, a load would count those, and stand for as long as the event loop then waits.
    """
    watcher = loop.prepare(ref=False, priority=loop.MINPRI)
    watcher.start(call)
    return watcher

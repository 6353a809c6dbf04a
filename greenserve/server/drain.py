"""Stopping without losing a request.

Accepting stops; newcomers that the kernel has accepted already are taken in.  What has arrived is
served, and every answer says ``Connection: close``.  A connection that waits for a request is ended:
at once if it has been idle for long, after `drain_grace` seconds if it was busy a moment ago or is
new, because a request may be on its way.  None gets an answer that it did not ask for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gevent.event import Event

from greenserve.server.connection import BUSY, HEAD, IDLE, LINGERING, NEW, TAKEN, WAITING
from greenserve.server.http1 import describe

if TYPE_CHECKING:
    from greenserve.server.connection import Connection
    from greenserve.server.server import WSGIServer

#: Seconds between two log lines about what is being waited for.
REPORT_INTERVAL = 5.0

#: Requests named in one such line.
REPORT_REQUESTS = 10

#: Newcomers taken from the kernel's queue at the end: more than any backlog holds.
MOST_NEWCOMERS = 65536

#: Seconds that the peer of an idle connection gets to close its side, too.
IDLE_LINGER = 0.5


class Drain:
    """The draining of one server, from its first moment until nothing is left."""

    def __init__(self, server: WSGIServer) -> None:
        self.server = server
        self.done = Event()
        self.grace = server.settings.drain_grace
        self._grace_ends = time.monotonic() + self.grace

    def begin(self) -> None:
        """Take in the newcomers, and deal with every connection that waits for a request."""
        for acceptor in self.server.acceptors:
            acceptor.stop()
            for _ in range(MOST_NEWCOMERS):
                if acceptor.closed or not acceptor.accept():
                    break
            acceptor.stop()
        for connection in list(self.server.connections):
            self.end_parked(connection)
        self.look()

    def end_parked(self, connection: Connection) -> None:
        """Serve what has arrived, give time to what may be on its way, end what is idle."""
        state = connection.state
        if state in (IDLE, NEW):
            was_busy = self._was_busy(connection)
            if connection.receive():
                return
            if was_busy and time.monotonic() < self._grace_ends:
                connection.deadline = self._grace_ends
                connection.watch()
            else:
                self.end(connection)

    def _was_busy(self, connection: Connection) -> bool:
        """Whether a request may be on its way: the connection is new, or answered one just now."""
        if connection.state is NEW:
            return True
        idle_since = connection.deadline - self.server.settings.keepalive_timeout
        return idle_since >= self._grace_ends - 2 * self.grace

    def end(self, connection: Connection) -> None:
        """End a connection that has no request."""
        connection.linger()
        if connection.state is LINGERING:
            connection.deadline = min(connection.deadline, time.monotonic() + IDLE_LINGER)

    def look(self) -> None:
        """Note whether it is done."""
        if not self.server.connections:
            self.done.set()

    def wait(self, timeout: float) -> bool:
        """Wait, saying for what, until nothing is left; return whether that was within `timeout` s."""
        ends = time.monotonic() + timeout
        if self.grace and not self.done.wait(min(self.grace, timeout)):
            for connection in list(self.server.connections):
                if connection.state in (IDLE, NEW) and not connection.receive():
                    self.end(connection)
        while not self.done.is_set():
            left = ends - time.monotonic()
            if left <= 0:
                return False
            self.report(left)
            self.done.wait(min(left, REPORT_INTERVAL))
        return True

    def requests(self) -> list[str]:
        """Return the requests that are being served or wait for it, for people."""
        return [
            f"{describe(connection.environ or {})} from {connection.peer}"
            for connection in self.server.connections
            if connection.state in (BUSY, WAITING, TAKEN, HEAD)
        ]

    def report(self, left: float) -> None:
        """Log what is being waited for, if it is a request."""
        requests = self.requests()
        if requests:
            more = f" and {len(requests) - REPORT_REQUESTS} more" if len(requests) > REPORT_REQUESTS else ""
            self.server.errors.info(
                "waiting up to %.0f s for %s%s", left, ", ".join(requests[:REPORT_REQUESTS]), more
            )

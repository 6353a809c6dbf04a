"""Stopping without losing a request.

Accepting stops; newcomers that the kernel has accepted already are taken in, unless others accept from
the same sockets.  What has arrived is served, and every answer says ``Connection: close``.  A connection
that waits for a request is ended: at once if it has been idle for long, after `drain_grace` seconds if it
was busy a moment ago or is new, because a request may be on its way.  None gets an answer that it did not
ask for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent.event import Event
from greenlet import getcurrent

from greenserve.server.connection import BUSY, HANDSHAKE, HEAD, IDLE, LINGERING, NEW, TAKEN, WAITING
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
        self.grace = server.settings.drain_grace
        self._changed = Event()
        self._began = time.monotonic()
        self._in_grace = self.grace > 0
        self._timer: Any = None
        self._callers: set[Connection] = set()

    def begin(self) -> None:
        """Take in the newcomers, and deal with every connection that waits for a request."""
        self._in_hub(self._begin)

    def _in_hub(self, step: Callable[[], None]) -> None:
        """Call `step` in the hub, where greenlets are lent, and come back when it is done."""
        if getcurrent() is self.server.hub:
            step()
            return
        done = Event()

        def call() -> None:
            try:
                step()
            finally:
                done.set()

        self.server.hub.loop.run_callback(call)
        done.wait()

    def _begin(self) -> None:
        if self._in_grace:
            self._timer = self.server.hub.loop.timer(self.grace)
            self._timer.start(self._end_grace)
        for acceptor in self.server.acceptors:
            acceptor.stop()
            for _ in range(0 if self.server.successor else MOST_NEWCOMERS):
                if acceptor.closed or self._has_no_room() or not acceptor.accept():
                    break
            acceptor.stop()
        # Before anything is answered: what would come into the queue from here on would be reset.
        self.server.listeners.close()
        for connection in list(self.server.connections):
            self.end_parked(connection, self._began)
        self.look()

    def _has_no_room(self) -> bool:
        """Whether a foreign handler's pool would have to be waited for."""
        return self.server.foreign is not None and self.server.is_full()

    def end_parked(self, connection: Connection, since: float = 0.0) -> None:
        """Serve what has arrived, give time to what may be on its way, end what is idle.

        The time counts from `since`, or from now: an answer that was begun before the drain may end after
        the others' grace, and has not said that the connection closes.
        """
        if connection.state is HANDSHAKE and not self._in_grace:
            connection.linger()  # it has not said enough to be waited for
        if connection.state not in (IDLE, NEW):
            return
        was_busy = self._was_busy(connection)
        if connection.on_readable():
            return
        if was_busy and self.grace > 0:
            connection.deadline = (since or time.monotonic()) + self.grace
            connection.watch()
        else:
            self.end(connection)

    def _was_busy(self, connection: Connection) -> bool:
        """Whether a request may be on its way: the connection is new, or answered one just now."""
        if connection.state is NEW:
            return True
        idle_since = connection.deadline - self.server.settings.keepalive_timeout
        return idle_since >= self._began - self.grace

    def end(self, connection: Connection) -> None:
        """End a connection that has no request."""
        connection.linger()
        if connection.state is LINGERING:
            connection.deadline = min(connection.deadline, time.monotonic() + IDLE_LINGER)

    def look(self) -> None:
        """Note that a connection has gone; after the last one, what served them goes, too."""
        self._changed.set()
        if not self.server.connections:
            self._stop_timer()
            self.server.end_run()

    def wait(self, timeout: float, own: Connection | None) -> bool:
        """Wait until no connection but `own` is left, for `timeout` seconds at most; return whether so.

        Says what is being waited for.
        """
        if own is not None:
            self._callers.add(own)  # two requests that stop the server do not wait for each other
        ends = time.monotonic() + timeout
        report_at = self._began + self.grace
        while self.server.connections - (self._callers if own is not None else set()):
            now = time.monotonic()
            if now >= ends:
                return False
            if now >= report_at:
                report_at = now + REPORT_INTERVAL
                self.report(ends - now)
            self._changed.clear()
            self._changed.wait(max(0.0, min(ends, report_at) - now))
        return True

    def _end_grace(self) -> None:
        """End the connections on which nothing has come in the time for that."""
        self._in_grace = False
        self._stop_timer()
        over = self._began + self.grace
        for connection in list(self.server.connections):
            if connection.state is HANDSHAKE:
                connection.linger()  # it has not said enough to be waited for
            is_over = connection.deadline <= over  # the sweeper ends those that began to wait later
            if connection.state in (IDLE, NEW) and is_over and not connection.on_readable():
                self.end(connection)

    def cancel(self) -> None:
        """Leave the connections alone: the server is started again."""
        self._in_grace = False
        self._stop_timer()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

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
        limit = "as long as it takes" if left == math.inf else f"up to {left:.0f} s"
        if requests:
            more = f" and {len(requests) - REPORT_REQUESTS} more" if len(requests) > REPORT_REQUESTS else ""
            self.server.errors.info("waiting %s for %s%s", limit, ", ".join(requests[:REPORT_REQUESTS]), more)

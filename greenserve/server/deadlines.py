"""One sweeper for each server: it looks at the deadlines of all connections a few times a second.

No timer is ever made for a request.  A deadline is an attribute of the connection, so keeping one
costs an assignment; it may pass by up to one interval before it is noticed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from greenserve.config import Config
from greenserve.net.stream import NEVER

LONGEST_INTERVAL = 1.0
SHORTEST_INTERVAL = 0.02


class Expiring(Protocol):
    """What has a deadline, on the monotonic clock."""

    deadline: float

    def expire(self) -> None: ...


class Sweeper:
    """Expires what is overdue among `expiring`, which the server adds to and takes from.

    `idle_deadline` is the deadline of a connection that goes idle now: computed once a sweep, so that
    a request costs no clock reading.
    """

    def __init__(
        self, hub: Any, expiring: Iterable[Expiring], settings: Config, then: Callable[[], None]
    ) -> None:
        timeouts = (
            settings.first_byte_timeout,
            settings.head_timeout,
            settings.body_timeout,
            settings.keepalive_timeout,
            settings.write_timeout,
            settings.handshake_timeout,
            settings.linger_timeout,
        )
        shortest = min((timeout for timeout in timeouts if timeout), default=4 * LONGEST_INTERVAL)
        self.interval = max(SHORTEST_INTERVAL, min(LONGEST_INTERVAL, shortest / 4))
        self._hub = hub
        self._expiring = expiring
        self._idle_timeout = settings.keepalive_timeout
        self._then = then
        self._timer: Any = None
        self.idle_deadline = NEVER

    def start(self) -> None:
        """Begin to sweep; the timer does not keep the event loop alive."""
        if self._timer is None:
            self._timer = self._hub.loop.timer(self.interval, self.interval, ref=False)
            self._timer.start(self.sweep)
            self._set_idle_deadline(time.monotonic())

    def stop(self) -> None:
        """End it."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def sweep(self) -> None:
        """Expire everything that is overdue."""
        now = time.monotonic()
        self._set_idle_deadline(now)
        for overdue in [item for item in self._expiring if item.deadline <= now]:
            overdue.expire()
        self._then()

    def _set_idle_deadline(self, now: float) -> None:
        # One interval more: what goes idle right before the next sweep gets its full time, too.
        self.idle_deadline = now + self.interval + self._idle_timeout if self._idle_timeout else NEVER

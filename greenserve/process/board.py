"""The board: what the workers tell each other and their master without a system call.

One piece of anonymous shared memory, made before the first fork.  A seat is one worker's place in it, and
the worker is the only one that writes there while it lives; nothing is locked.
"""

from __future__ import annotations

import math
import mmap
import time
from struct import calcsize

#: Workers that there may be at once: each reload needs twice the number that is wanted.
SEATS = 2048

#: What a seat shows whose worker does not accept, or is doing something else first.
CLOSED = 2**31 - 1

_BEATS = SEATS * calcsize("d")
_LOADS = SEATS * calcsize("i")


class Board:
    """`SEATS` seats; `used` of them have ever been taken, always the lowest ones."""

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, _BEATS + 2 * _LOADS + calcsize("i")))
        self._beats = self._memory[:_BEATS].cast("d")
        self._loads = self._memory[_BEATS : _BEATS + _LOADS].cast("i")
        self._alone = self._memory[_BEATS + _LOADS : _BEATS + 2 * _LOADS].cast("i")
        for seat in range(SEATS):
            self._loads[seat] = CLOSED
        self._used = self._memory[_BEATS + 2 * _LOADS :].cast("i")

    # The master's side.

    def take(self, seat: int) -> None:
        """Make a seat ready for a new worker."""
        self._loads[seat] = CLOSED
        self._beats[seat] = time.monotonic()
        self._alone[seat] = 1
        self._used[0] = max(self._used[0], seat + 1)

    def leave(self, seat: int) -> None:
        """Note that the worker of a seat is gone, or is about to go: nobody leaves anything to it."""
        self._loads[seat] = CLOSED

    def last_beat(self, seat: int) -> float:
        """Return when the event loop of a seat's worker was last seen turning, on the monotonic clock.

        Infinite where it need not turn any more.
        """
        return self._beats[seat]

    def load(self, seat: int) -> int:
        """Return what a seat's worker has published, `CLOSED` where it does not accept."""
        return self._loads[seat]

    def announce_successor(self, seat: int) -> None:
        """Let a seat's worker know that others go on accepting when it stops."""
        self._alone[seat] = 0

    # The worker's side.

    def beat(self, seat: int) -> None:
        """Say that the event loop turns."""
        self._beats[seat] = time.monotonic()

    def rest(self, seat: int) -> None:
        """Say that the event loop need not turn any more: nobody waits for a beat from now on."""
        self._beats[seat] = math.inf

    def publish_load(self, seat: int, load: int) -> None:
        """Say how much there is to do, or `CLOSED`."""
        self._loads[seat] = load

    def lowest_load(self) -> int:
        """Return the load of the freest worker that waits for newcomers, `CLOSED` where there is none."""
        return min(self._loads[: self._used[0]], default=CLOSED)

    def has_successor(self, seat: int) -> bool:
        """Whether others go on accepting from the same sockets."""
        return not self._alone[seat]

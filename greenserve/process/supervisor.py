"""Supervisor: what systemd is told at the turns of a service's life.  Without systemd nothing happens."""

from __future__ import annotations

import math
import os

from greenserve.process import systemd

#: Seconds beyond those that the settings give a start or a stop: for what is done before and after.
SPARE = 5.0

NEVER = math.inf


class Supervisor:
    """The one who has started this process, if that is systemd."""

    def __init__(self) -> None:
        #: Seconds between two signs of life; None: nobody wants any.
        self.interval = systemd.watchdog_interval()
        self._is_reloading = False
        #: When the next sign of life is due.
        self.beat_at = NEVER

    def note_start(self, seconds: float) -> None:
        """The start may take so many seconds, 0 for nobody knows how many."""
        if seconds:
            systemd.extend_timeout(seconds + SPARE)

    def note_ready(self, status: str, now: float) -> None:
        """Requests can be answered; from now on signs of life are expected."""
        systemd.notify(READY=1, MAINPID=os.getpid(), STATUS=status)
        self.beat_at = now if self.interval else NEVER

    def note_reload(self) -> None:
        """A reload begins."""
        self._is_reloading = True
        systemd.reloading("reloading")

    def note_reloaded(self, status: str) -> None:
        """The reload that is under way, if one is, has come to its end, this way or that."""
        if self._is_reloading:
            self._is_reloading = False
            systemd.notify(READY=1, STATUS=status)

    def note_stop(self, delay: float = 0.0, graceful: float = 0.0) -> None:
        """The end begins; it is bounded by the seconds that requests get, where those are."""
        systemd.notify(STOPPING=1, STATUS="stopping")
        if graceful:
            systemd.extend_timeout(delay + graceful + SPARE)

    def note_successor(self, pid: int) -> None:
        """From now on process `pid` is the service."""
        self.note_reloaded("a new master serves")  # it was none of its reloads
        systemd.notify(MAINPID=pid)

    def beat(self, now: float, turns: bool) -> None:
        """Give the sign of life that is due, if what this process is there for `turns`."""
        if self.interval and now >= self.beat_at:
            self.beat_at = now + self.interval
            if turns:
                systemd.notify(WATCHDOG=1)

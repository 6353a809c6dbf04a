"""Link: what a child of the master has of it.

words      a pipe to the master: "ready", "replace ...", "failed ..."
reports    a pipe to the master: the stacks of a worker that is blocked or crashes
master_gone  a pipe whose only other end is the master's: at its end there is no master any more
board      shared memory: beats, loads
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from greenserve.config import Config
from greenserve.config.hooks import Hooks
from greenserve.errors import GreenserveError
from greenserve.process.board import CLOSED, Board
from greenserve.process.flight import FlightRecorder

#: The words of a worker; the rest of their line is for people, or encoded by the sender.
READY, REPLACE, FAILED = b"ready", b"replace", b"failed"


@dataclass(frozen=True, kw_only=True)
class Link:
    """The settings, the sockets and the ways to the master of one child."""

    config: Config
    hooks: Hooks
    #: The listening sockets that it serves; they stay open in the master.
    listeners: list[Any]
    #: Its number among all workers that the master has ever started.
    age: int
    #: Returns the application, imported now or before the fork.
    load_application: Callable[[], Any]
    #: What the operator calls the settings.
    names: Mapping[str, str]
    server: Any
    seat: int
    board: Board
    recorder: FlightRecorder
    words: int
    reports: int
    master_gone: int

    def ready(self) -> None:
        """Say that requests can be answered from now on."""
        self.say(READY)

    def ask_for_replacement(self, reason: str) -> None:
        """Ask for a successor; until TERM comes, go on serving."""
        self.say(REPLACE, reason)

    def say(self, word: bytes, text: str = "") -> None:
        """Tell the master something on one line; it may be gone."""
        line = text.encode("utf-8", "backslashreplace").replace(b"\n", b" ")
        with suppress(OSError):
            os.write(self.words, b"%s %s\n" % (word, line))

    def reopen_log(self) -> None:
        """Have what the hooks of this process raise written into the new error log, after USR1."""
        try:
            self.server.log.stream.reopen()
        except GreenserveError as error:
            self.server.log.error("%s", error)

    def beat(self) -> None:
        """Say that the event loop turns."""
        self.board.beat(self.seat)

    def rest(self) -> None:
        """Say that there will be no beat any more: no request is left, or what waits for it cannot beat."""
        self.board.rest(self.seat)

    def publish_load(self, load: int) -> None:
        """Say how much there is to do, and that newcomers are waited for."""
        self.board.publish_load(self.seat, load)

    def be_away(self) -> None:
        """Say that nothing is accepted now: nobody has to leave newcomers to this worker."""
        self.board.publish_load(self.seat, CLOSED)

    def lowest_load(self) -> int:
        """Return how much the freest of the workers has to do that wait for newcomers."""
        return self.board.lowest_load()

    def has_successor(self) -> bool:
        """Whether others go on accepting from the same sockets when this worker stops."""
        return self.board.has_successor(self.seat)

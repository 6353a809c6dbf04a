"""The flight recorder: which requests a worker has in hand, in memory that outlives it.

The worker writes, the master reads when the worker has died or stands still.

A worker runs one request at a time, and most end without having waited for anything: the one that runs is
written over the one before it, at a place that is warm in the caches, by one call into C (0.3 to 0.5 us;
noting begin and end of each at a place of its own took 1.3).  A request that waits gets a record of its own.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

FREE, APPLICATION, READING, WRITING, WAITING = range(5)
PHASES = ("", "in the application", "reading", "writing", "waiting in line")

#: Octets of one record: phase, when the request came, the beginning of its head; and who sends requests.
RECORD_SIZE = 192
REQUEST = struct.Struct("=Bd134p")
PEER = struct.Struct(f"={RECORD_SIZE - REQUEST.size}p")

#: The record of the request that runs is the first: when its round began, phase, the place of its connection.
ROUND = struct.Struct("=d")
RUNNING = struct.Struct("=Bi134p")

#: Connections that have a place at once; the clients of others are not known, and they lose what waits.
MOST_RECORDS = 16384

#: Places that are looked at for one that its owner does not need just now.
MOST_LOOKS = 64

_clock = time.monotonic


@dataclass(frozen=True)
class Request:
    """A request as the recorder had it; `age` in seconds."""

    text: str
    age: float
    phase: int

    def __str__(self) -> str:
        return f"{self.text} ({PHASES[self.phase]}, {self.age:.1f} s)"


def request_text(head: bytes, peer: bytes) -> str:
    """Return method and target of the request whose head begins like this, and its client."""
    line = head.removeprefix(b"\r\n").partition(b"\r\n")[0]
    return " ".join([*line.decode("latin-1").split(" ")[:2], "from", peer.decode() or "-"])


class Owner(Protocol):
    """Who has a place in the recorder; `place` is -1 for one that has none."""

    place: int


class FlightRecorder:
    """Room for `count` connections; made by the master, before the fork of the worker that uses it.

    Each keeps its place as long as it lives, if nobody else needs one.
    """

    def __init__(self, count: int) -> None:
        self.memory = mmap.mmap(-1, (min(count, MOST_RECORDS) + 1) * RECORD_SIZE)
        #: By place, the first one being that of the running request; above them the pages are never touched.
        self.owners: list[Owner | None] = [None]
        #: Places that have been given back, as offsets.
        self.free: list[int] = []
        self._hand = 1
        self.now = 0.0
        self.begin_round()
        #: Note that the request of an owner with this place runs, and has this head.
        self.run = partial(RUNNING.pack_into, self.memory, ROUND.size, APPLICATION)

    # The worker's side.

    def begin_round(self) -> None:
        """Take note of the time: what is begun in this round of the event loop came with it."""
        self.now = _clock()
        ROUND.pack_into(self.memory, 0, self.now)

    def clear(self) -> None:
        """Note that none runs any more."""
        self.memory[ROUND.size] = FREE

    def occupy(self, owner: Owner, peer: str) -> None:
        """Give `owner`, who has none, a place for the requests of `peer`, if there is one."""
        if self.free:
            place = self.free.pop()
        elif (place := len(self.owners) * RECORD_SIZE) < len(self.memory):
            self.owners.append(None)
        elif (place := self._take_from_idle()) < 0:
            return
        self.owners[place // RECORD_SIZE] = owner
        owner.place = place
        PEER.pack_into(self.memory, place + REQUEST.size, peer.encode())

    def _take_from_idle(self) -> int:
        """Return the place of one whose request does not wait, -1 where none was found."""
        for _ in range(min(MOST_LOOKS, len(self.owners) - 1)):
            hand = self._hand
            self._hand = hand % (len(self.owners) - 1) + 1
            owner = self.owners[hand]
            if owner is not None and self.memory[hand * RECORD_SIZE] == FREE:
                owner.place = -1
                return hand * RECORD_SIZE
        return -1

    def vacate(self, owner: Owner) -> None:
        """Take the place back from one that has no more requests."""
        place = owner.place
        if place >= 0:
            owner.place = -1
            self.memory[place] = FREE
            self.owners[place // RECORD_SIZE] = None
            self.free.append(place)

    def begin(self, place: int, head: bytes, phase: int) -> None:
        """Note that the request that has this head waits for something."""
        if place >= 0:
            REQUEST.pack_into(self.memory, place, phase, self.now, head)

    def is_noted(self, place: int) -> bool:
        """Whether a request has been noted there, and has not ended."""
        return place >= 0 and self.memory[place] != FREE

    def enter(self, place: int, phase: int) -> None:
        """Note what is done for the request that was noted there; with `FREE`, that it has ended."""
        if self.is_noted(place):
            self.memory[place] = phase

    # The master's side.

    def requests(self) -> list[Request]:
        """Return what is in flight: those first that the application has, the oldest before others."""
        return sorted(self._read(), key=lambda request: (request.phase, -request.age))

    def _read(self) -> Iterator[Request]:
        now = _clock()
        (began,) = ROUND.unpack_from(self.memory, 0)
        phase, place, head = RUNNING.unpack_from(self.memory, ROUND.size)
        if phase != FREE and not self.is_noted(place):
            yield Request(request_text(head, self._peer(place)), now - began, phase)
        for place in range(RECORD_SIZE, len(self.memory), RECORD_SIZE):
            if self.memory[place] != FREE:
                phase, began, head = REQUEST.unpack_from(self.memory, place)
                if phase < len(PHASES):
                    yield Request(request_text(head, self._peer(place)), now - began, phase)

    def _peer(self, place: int) -> bytes:
        peer: bytes = PEER.unpack_from(self.memory, place + REQUEST.size)[0] if place >= 0 else b""
        return peer

    def close(self) -> None:
        """Give the memory back."""
        self.memory.close()

"""The flight recorder: which requests a worker has in hand, in memory that outlives it.

The worker writes, the master reads when the worker has died or stands still.  One record is a fixed place;
it has a request while its phase is not `FREE`.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

FREE, APPLICATION, READING, WRITING, WAITING = range(5)
PHASES = ("", "in the application", "reading", "writing", "waiting in line")

#: Octets of one record: phase, when the request came, the beginning of its head; and who sent it.
RECORD_SIZE = 192
REQUEST = struct.Struct("=Bd134p")
PEER = struct.Struct(f"={RECORD_SIZE - REQUEST.size}p")

#: Requests that are recorded at once; those beyond are served like any other.
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


def request_text(head: bytes) -> str:
    """Return method and target of the request whose head begins like this."""
    line = head.removeprefix(b"\r\n").partition(b"\r\n")[0]
    return " ".join(line.decode("latin-1").split(" ")[:2])


class Owner(Protocol):
    """Who has a place in the recorder; `place` is -1 for one that has none."""

    place: int


class FlightRecorder:
    """Room for `count` requests; made by the master, before the fork of the worker that uses it.

    A connection keeps its place from one request to the next, so that a request needs one `begin` and one
    `end`; it loses it to another where all places are owned.
    """

    def __init__(self, count: int) -> None:
        count = min(count, MOST_RECORDS)
        self.memory = mmap.mmap(-1, count * RECORD_SIZE)
        #: By place, for those that have been used: above them the pages are never touched.
        self.owners: list[Owner | None] = []
        #: Places that have been given back, as offsets.
        self.free: list[int] = []
        #: When the present round of the event loop has begun: what is begun in it came with it.
        self.now = _clock()
        self._hand = 0

    # The worker's side.

    def begin_round(self) -> None:
        """Take note of the time."""
        self.now = _clock()

    def occupy(self, owner: Owner, peer: str) -> int:
        """Give `owner` a place for the requests of `peer`, and return it; -1 where there is none."""
        if self.free:
            place = self.free.pop()
        elif (place := len(self.owners) * RECORD_SIZE) < len(self.memory):
            self.owners.append(None)
        elif (place := self._take_from_idle()) < 0:
            return -1
        self.owners[place // RECORD_SIZE] = owner
        PEER.pack_into(self.memory, place + REQUEST.size, peer.encode())
        return place

    def _take_from_idle(self) -> int:
        """Return the place of one that has no request in hand, -1 where none was found."""
        for _ in range(min(MOST_LOOKS, len(self.owners))):
            hand = self._hand
            self._hand = (hand + 1) % len(self.owners)
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

    def begin(self, place: int, head: bytes, phase: int = APPLICATION) -> None:
        """Note that the request that has this head is in hand."""
        if place >= 0:
            REQUEST.pack_into(self.memory, place, phase, self.now, head)

    def enter(self, place: int, phase: int) -> None:
        """Note what is being done for the request at `place`; with `FREE`, that it is done."""
        if place >= 0:
            self.memory[place] = phase

    # The master's side.

    def requests(self) -> list[Request]:
        """Return what is in flight: those first that the application has, the oldest before others."""
        return sorted(self._read(), key=lambda request: (request.phase, -request.age))

    def _read(self) -> Iterator[Request]:
        now = _clock()
        for place in range(0, len(self.memory), RECORD_SIZE):
            if self.memory[place] != FREE:
                phase, began, head = REQUEST.unpack_from(self.memory, place)
                (peer,) = PEER.unpack_from(self.memory, place + REQUEST.size)
                if phase < len(PHASES):
                    text = f"{request_text(head)} from {peer.decode()}"
                    yield Request(text, now - began, phase)

    def close(self) -> None:
        """Give the memory back."""
        self.memory.close()

"""The flight recorder: which requests a worker has in hand, in memory that outlives it.

The worker writes, the master reads when the worker has died or stands still.  One record is a fixed place;
it is in use while its phase is not `FREE`.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

FREE, APPLICATION, READING, WRITING, WAITING = range(5)
PHASES = ("", "in the application", "reading", "writing", "waiting in line")

#: Octets of one record: its phase, when the request came, and the request as text.
RECORD_SIZE = 160
RECORD = struct.Struct(f"=Bd{RECORD_SIZE - 9}p")

#: Requests that are recorded at once; those beyond are served like any other.
MOST_RECORDS = 16384

_clock = time.monotonic
_pack_into = RECORD.pack_into


@dataclass(frozen=True)
class Request:
    """A request as the recorder had it; `age` in seconds."""

    text: str
    age: float
    phase: int

    def __str__(self) -> str:
        return f"{self.text} ({PHASES[self.phase]}, {self.age:.1f} s)"


class FlightRecorder:
    """Room for `count` requests; made by the master, before the fork of the worker that uses it."""

    def __init__(self, count: int) -> None:
        count = min(count, MOST_RECORDS)
        self.memory = mmap.mmap(-1, count * RECORD_SIZE)
        #: Places that have been used and are free, as offsets; above `unused` the pages are never touched.
        self.free: list[int] = []
        self.unused = 0

    # The worker's side.

    def begin(self, text: str, phase: int = APPLICATION) -> int:
        """Note that a request is in hand; return its place, -1 where there is none left."""
        if self.free:
            place = self.free.pop()
        elif self.unused < len(self.memory):
            place = self.unused
            self.unused = place + RECORD_SIZE
        else:
            return -1
        _pack_into(self.memory, place, phase, _clock(), text.encode())
        return place

    def enter(self, place: int, phase: int) -> None:
        """Note what is being done for the request at `place`."""
        if place >= 0:
            self.memory[place] = phase

    def end(self, place: int) -> None:
        """Note that the request at `place` is done."""
        if place >= 0:
            self.memory[place] = FREE
            self.free.append(place)

    # The master's side.

    def requests(self) -> list[Request]:
        """Return what is in flight: those first that the application has, the oldest before others."""
        return sorted(self._read(), key=lambda request: (request.phase, -request.age))

    def _read(self) -> Iterator[Request]:
        now = _clock()
        for place in range(0, len(self.memory), RECORD_SIZE):
            if self.memory[place] != FREE:
                phase, began, text = RECORD.unpack_from(self.memory, place)
                if phase < len(PHASES):
                    yield Request(text.decode("utf-8", "replace"), now - began, phase)

    def close(self) -> None:
        """Give the memory back."""
        self.memory.close()

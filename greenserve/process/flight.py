"""The flight recorder: which requests a worker has in hand, in memory that outlives it.

The worker writes, the master reads when the worker has died or stands still.

A worker runs one request at a time, and most end without having waited for anything: the one that runs is
written over the one before it (running.py).  A request that waits gets a record of its own.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from greenserve.process.running import CLIENT_SIZE, LARGEST_HEAD, Running

FREE, APPLICATION, READING, WRITING, WAITING = range(5)
PHASES = ("", "in the application", "reading", "writing", "waiting in line")

#: Octets of the beginning of a head that are kept, or shown, at most.
SHOWN = 128

#: A request that waits: phase, when it came, the beginning of its head, and who has sent it.
RECORD = struct.Struct(f"=Bd{SHOWN + 1}p{CLIENT_SIZE + 1}p")
RECORD_SIZE = RECORD.size

#: When the round of the request that runs began.
ROUND = struct.Struct("=d")

#: Requests that wait and have a record at once; what waits beyond them is not noted.
MOST_RECORDS = 16384

_clock = time.monotonic


@dataclass(frozen=True)
class Request:
    """A request as the recorder had it; `age` in seconds."""

    text: str
    age: float
    phase: int

    def __str__(self) -> str:
        return f"{self.text} ({PHASES[self.phase]}, {self.age:.1f} s)"


def request_text(head: bytes, client: bytes) -> str:
    """Return method and target of the request whose head begins like this, and its client."""
    line = head.removeprefix(b"\r\n").partition(b"\r\n")[0]
    # What a worker has left that wrote anywhere before it died may be no text at all.
    return " ".join([*line.decode("latin-1").split(" ")[:2], "from", client.decode("latin-1")])


class FlightRecorder:
    """Room for `count` requests that wait, and for one that runs with a head of `head_size` octets.

    Made by the master, before the fork of the worker that uses it.
    """

    def __init__(self, count: int, head_size: int) -> None:
        self.head_size = head_size
        #: Where the records end; then come those of the round and of what runs.
        self._end = min(count, MOST_RECORDS) * RECORD_SIZE
        self._client = self._end + ROUND.size
        self._head = self._client + CLIENT_SIZE
        self.memory = mmap.mmap(-1, self._head + min(head_size, LARGEST_HEAD))
        #: Records that have been given back; those from `_unused` on have never been taken.
        self.free: list[int] = []
        self._unused = 0
        self.now = 0.0
        self.begin_round()

    # The worker's side.

    def map_running(self) -> Running:
        """Return where client and head of the request that runs are noted."""
        return Running(self.memory, self._client, self.head_size)

    def begin_round(self) -> None:
        """Take note of the time: what is begun in this round of the event loop came with it."""
        self.now = _clock()
        ROUND.pack_into(self.memory, self._end, self.now)

    def clear(self) -> None:
        """Note that none runs any more."""
        self.memory[self._head] = 0

    def begin(self, client: bytes, head: bytes, phase: int) -> int:
        """Note that a request waits for something; return its record, -1 where there is none for it."""
        if self.free:
            record = self.free.pop()
        elif self._unused < self._end:
            record = self._unused
            self._unused += RECORD_SIZE
        else:
            return -1
        RECORD.pack_into(self.memory, record, phase, self.now, head, client)
        return record

    def enter(self, record: int, phase: int) -> None:
        """Note what is done now for a request that has a record, if this one has."""
        if record >= 0:
            self.memory[record] = phase

    def end(self, record: int) -> None:
        """Note that the request has come to its end, if it has a record."""
        if record >= 0:
            self.memory[record] = FREE
            self.free.append(record)

    # The master's side.

    def requests(self) -> list[Request]:
        """Return what is in flight: those first that the application has, the oldest before others."""
        now = _clock()
        waiting = list(self._waiting(now))
        running = [each for each in self._running(now) if all(each.text != other.text for other in waiting)]
        return sorted(running + waiting, key=lambda request: (request.phase, -request.age))

    def _running(self, now: float) -> Iterator[Request]:
        head = self._text(self._head, SHOWN)
        if head:
            (began,) = ROUND.unpack_from(self.memory, self._end)
            client = self._text(self._client, CLIENT_SIZE)
            yield Request(request_text(head, client), now - began, APPLICATION)

    def _text(self, offset: int, size: int) -> bytes:
        return self.memory[offset : offset + size].partition(b"\0")[0]

    def _waiting(self, now: float) -> Iterator[Request]:
        for record in range(0, self._end, RECORD_SIZE):
            if self.memory[record] != FREE:
                phase, began, head, client = RECORD.unpack_from(self.memory, record)
                if phase < len(PHASES):
                    yield Request(request_text(head, client), now - began, phase)

    def close(self) -> None:
        """Give the memory back."""
        self.memory.close()

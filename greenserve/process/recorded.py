"""Connections whose requests are in the flight recorder, and whose server publishes how busy it is."""

from __future__ import annotations

from typing import Any

from greenserve.process.flight import APPLICATION, FREE, READING, WAITING, WRITING, FlightRecorder
from greenserve.server.connection import BUSY, CLOSED, LINGERING, TAKEN, Connection
from greenserve.server.server import WSGIServer


class RecordedConnection(Connection):
    """A connection of a worker that has a master.

    `recorder` is its process's; in `newcomers` are connections that have been accepted not long ago.
    The request that runs is noted by the protocol's loop, by `WSGIServer.note_request`; one that waits here.
    """

    __slots__ = ("place",)

    recorder: FlightRecorder
    newcomers: list[Connection]

    def __init__(self, *arguments: Any) -> None:
        Connection.__init__(self, *arguments)
        self.place = -1

    def open(self) -> None:
        self.recorder.occupy(self, self.peer)
        self.newcomers.append(self)
        Connection.open(self)

    def queue(self) -> None:
        self.note(WAITING)
        Connection.queue(self)

    def use_slot(self) -> None:
        self.recorder.enter(self.place, APPLICATION)
        Connection.use_slot(self)
        self.recorder.clear()
        if self.state is not BUSY:
            self.note_end()  # it had waited for its slot alone

    def note_wait(self) -> None:
        self.note(READING if self.reader else WRITING if self.writer else APPLICATION)
        Connection.note_wait(self)

    def note(self, phase: int) -> None:
        """Note that the request in hand waits, unless that was noted before."""
        recorder, head = self.recorder, self.head
        if head is not None and not recorder.is_noted(self.place):
            if self.place < 0:
                recorder.occupy(self, self.peer)
            recorder.begin(self.place, head.octets, phase)

    def note_next(self) -> None:
        # Where one that has waited is noted, this one would pass for it.
        if self.head is not None and self.recorder.is_noted(self.place):
            self.recorder.begin(self.place, self.head.octets, APPLICATION)

    def note_end(self) -> None:
        self.recorder.clear()  # one behind it may have run, which nobody saw come to its end
        if self.state in (CLOSED, TAKEN, LINGERING):
            self.recorder.vacate(self)
        else:
            self.recorder.enter(self.place, FREE)

    def abandon(self) -> None:
        Connection.abandon(self)
        self.recorder.vacate(self)

    def close(self) -> None:
        if self.state is not BUSY or not self.recorder.is_noted(self.place):
            self.recorder.vacate(self)  # else at its end
        Connection.close(self)

    def wait_readable(self, timeout: float) -> bool:
        self.recorder.enter(self.place, READING)
        try:
            return Connection.wait_readable(self, timeout)
        finally:
            self.recorder.enter(self.place, APPLICATION)

    def wait_writable(self) -> None:
        self.recorder.enter(self.place, WRITING)
        try:
            Connection.wait_writable(self)
        finally:
            self.recorder.enter(self.place, APPLICATION)


def record_requests(server: WSGIServer, recorder: FlightRecorder, newcomers: list[Connection]) -> None:
    """Have the requests of a server noted that is not started yet."""
    shared = {"__slots__": (), "recorder": recorder, "newcomers": newcomers}
    server.connection_class = type("RecordedConnection", (RecordedConnection,), shared)
    server.note_request = recorder.run
    server.after_due = recorder.clear

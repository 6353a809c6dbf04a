"""Connections whose requests are in the flight recorder, and whose server publishes how busy it is."""

from __future__ import annotations

from typing import Any

from greenserve.process.flight import APPLICATION, READING, WAITING, WRITING, FlightRecorder
from greenserve.process.running import CLIENT_SIZE
from greenserve.server.connection import BUSY, Connection
from greenserve.server.server import WSGIServer


class RecordedConnection(Connection):
    """A connection of a worker that has a master.

    `recorder` is its process's; in `newcomers` are connections that have been accepted not long ago.
    The request that runs is noted by the protocol's loop, in `WSGIServer.running`; one that waits here.
    """

    __slots__ = ("client", "has_waited", "record")

    recorder: FlightRecorder
    newcomers: list[Connection]

    def __init__(self, *arguments: Any) -> None:
        Connection.__init__(self, *arguments)
        # Those of a Unix socket have no address; two requests for the same would pass for one.
        client = self.peer if self.remote_addr else f"{self.peer}:{self.sock.fileno()}"
        self.client = client.encode()[:CLIENT_SIZE]
        self.record = -1
        self.has_waited = False  # the greenlet that serves it, and nobody tells when it waits again

    def open(self) -> None:
        self.newcomers.append(self)
        Connection.open(self)

    def queue(self) -> None:
        self.note(WAITING)
        Connection.queue(self)

    def use_slot(self) -> None:
        self.recorder.enter(self.record, APPLICATION)
        Connection.use_slot(self)
        self.recorder.clear()
        if self.state is not BUSY:
            self.end_record()  # it had waited for its slot alone

    def note_wait(self) -> None:
        self.has_waited = True
        self.note(READING if self.reader else WRITING if self.writer else APPLICATION)
        Connection.note_wait(self)

    def note(self, phase: int) -> None:
        """Note that the request in hand waits, unless that was noted before."""
        if self.head is not None and self.record < 0:
            self.record = self.recorder.begin(self.client, self.head.octets, phase)

    def note_next(self) -> None:
        if self.record >= 0:
            self.end_record()  # or this one would pass for the one that has waited
        if self.has_waited:
            self.note(APPLICATION)

    def pause(self) -> None:
        self.recorder.clear()
        self.end_record()
        Connection.pause(self)

    def note_end(self) -> None:
        self.has_waited = False
        self.recorder.clear()  # one behind it may have run, which nobody saw come to its end
        self.end_record()

    def end_record(self) -> None:
        """Note that the request which has waited has come to its end."""
        self.recorder.end(self.record)
        self.record = -1

    def close(self) -> None:
        if self.state is not BUSY:
            self.end_record()  # else at its end
        Connection.close(self)

    def wait_readable(self, timeout: float) -> bool:
        self.recorder.enter(self.record, READING)
        try:
            return Connection.wait_readable(self, timeout)
        finally:
            self.recorder.enter(self.record, APPLICATION)

    def wait_writable(self) -> None:
        self.recorder.enter(self.record, WRITING)
        try:
            Connection.wait_writable(self)
        finally:
            self.recorder.enter(self.record, APPLICATION)


def record_requests(server: WSGIServer, recorder: FlightRecorder, newcomers: list[Connection]) -> None:
    """Have the requests of a server noted that is not started yet."""
    shared = {"__slots__": (), "recorder": recorder, "newcomers": newcomers}
    server.connection_class = type("RecordedConnection", (RecordedConnection,), shared)
    server.running = recorder.map_running()
    server.after_due = recorder.clear

"""Connections whose requests are in the flight recorder, and whose server publishes how busy it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenserve.process.flight import (
    APPLICATION,
    FREE,
    READING,
    REQUEST,
    WAITING,
    WRITING,
    FlightRecorder,
)
from greenserve.server.connection import BUSY, IDLE, Connection


class RecordedConnection(Connection):
    """A connection of a worker that has a master.

    `recorder` is its process's; in `newcomers` are connections that have been accepted not long ago.
    Requests that follow without waiting (pipelining) are recorded as the first of them: to write each down
    would cost a sixth of what it takes to serve one, and the stack of a worker that stands still has it.
    """

    __slots__ = ("place",)

    recorder: FlightRecorder
    newcomers: list[Connection]

    @classmethod
    def of(cls, recorder: FlightRecorder, newcomers: list[Connection]) -> type[RecordedConnection]:
        """Return the class of the connections of a process."""
        shared = {"__slots__": (), "recorder": recorder, "newcomers": newcomers, "serve": recorded(recorder)}
        return type(cls.__name__, (cls,), shared)

    def __init__(self, *arguments: Any) -> None:
        Connection.__init__(self, *arguments)
        self.place = -1

    def open(self) -> None:
        self.newcomers.append(self)
        Connection.open(self)

    def queue(self) -> None:
        self.note(WAITING)
        Connection.queue(self)

    def note(self, phase: int) -> None:
        """Note that a request is in hand, or what is done for it if that was noted before."""
        recorder, head = self.recorder, self.head
        if head is None:
            recorder.vacate(self)  # what is there is another request
        elif head.octets:
            if self.place < 0:
                self.place = recorder.occupy(self, self.peer)
            recorder.begin(self.place, head.octets, phase)
            head.octets = b""
        else:
            recorder.enter(self.place, phase)

    def abandon(self) -> None:
        Connection.abandon(self)
        self.recorder.vacate(self)

    def close(self) -> None:
        if self.state is not BUSY:  # else serve() comes to its end with it
            self.recorder.vacate(self)
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


def recorded(recorder: FlightRecorder) -> Callable[[RecordedConnection], None]:
    """Return `RecordedConnection.serve`, with what it needs at hand: every request goes this way."""
    memory, begin = recorder.memory, REQUEST.pack_into

    def serve(connection: RecordedConnection) -> None:
        place, head = connection.place, connection.head
        if place >= 0 and head is not None and head.octets:
            begin(memory, place, APPLICATION, recorder.now, head.octets)  # as note() does
        else:
            connection.note(APPLICATION)
        try:
            Connection.serve(connection)
        finally:
            place = connection.place
            if place >= 0 and connection.state is IDLE:
                memory[place] = FREE
            else:
                recorder.vacate(connection)

    return serve

"""Connections whose requests are in the flight recorder, and whose server publishes how busy it is."""

from __future__ import annotations

from typing import Any

from greenserve.process.flight import APPLICATION, READING, WAITING, WRITING, FlightRecorder
from greenserve.server.connection import Connection


class RecordedConnection(Connection):
    """A connection of a worker that has a master.

    `recorder` is its process's; in `newcomers` are connections that have been accepted not long ago.
    Requests that follow without waiting (pipelining) are recorded as the first of them: to write each down
    would cost a sixth of what it takes to serve one, and the stack of a worker that stands still has it.
    """

    __slots__ = ("place",)

    recorder: FlightRecorder
    newcomers: list[Connection]

    def __init__(self, *arguments: Any) -> None:
        Connection.__init__(self, *arguments)
        self.place = -1

    def open(self) -> None:
        self.newcomers.append(self)
        Connection.open(self)

    def queue(self) -> None:
        self.place = self.recorder.begin(self.describe(), WAITING)
        Connection.queue(self)

    def serve(self) -> None:
        recorder = self.recorder
        place = self.place
        if place < 0:
            environ = self.environ
            if environ is not None:
                method, target = environ["REQUEST_METHOD"], environ["RAW_URI"]
                place = recorder.begin(f"{method} {target} from {self.remote_addr}:{self.remote_port}")
                self.place = place
        else:
            recorder.enter(place, APPLICATION)
        try:
            Connection.serve(self)
        finally:
            self.place = -1
            recorder.end(place)

    def describe(self) -> str:
        """Return the request, for people."""
        environ = self.environ or {}
        return f"{environ.get('REQUEST_METHOD', '-')} {environ.get('RAW_URI', '-')} from {self.peer}"

    def abandon(self) -> None:
        self.forget_place()
        Connection.abandon(self)

    def close(self) -> None:
        if self.is_waiting:
            self.forget_place()  # nobody will serve it
        Connection.close(self)

    def forget_place(self) -> None:
        """Note that the request will not be served."""
        place, self.place = self.place, -1
        self.recorder.end(place)

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

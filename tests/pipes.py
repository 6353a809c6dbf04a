"""A pipe that is read when the test says so, and log files that write to it."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any

import gevent

from greenserve.net.logfile import LogFile

LIMIT = 20.0  # seconds; nothing here takes a tenth of that

LINE = "x" * 99 + "\n"


class Pipe:
    """A pipe whose reader reads when it is told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.seen = b""

    def read(self) -> None:
        """Take what is in the pipe, waiting until something is."""
        wait_for(lambda: select.select([self.reader], [], [], 0)[0], "something in the pipe")
        self.seen += os.read(self.reader, 1 << 20)

    def read_until(self, text: str) -> str:
        """Read until `text` was seen; return everything so far."""
        while text.encode() not in self.seen:
            self.read()
        return self.seen.decode()

    def close(self) -> None:
        for fileno in (self.reader, self.writer):
            if fileno >= 0:
                os.close(fileno)

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Wait, the other greenlets running, until `condition()` is true."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        gevent.sleep(0.005)  # what is asked may be the server itself


def is_full(pipe: Pipe) -> bool:
    return not select.select([], [pipe.writer], [], 0)[1]


STALL = 1_000  # lines of 100 octets, more than a pipe holds


def stall(file: LogFile, pipe: Pipe) -> None:
    """Have the writing thread stuck, and nothing waiting behind it."""
    for _ in range(STALL):
        file.write(LINE)
    wait_for(lambda: is_full(pipe) and not file._gathered, "a thread that is stuck")

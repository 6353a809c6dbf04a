"""WorkerHandle: the master's view of a child."""

from __future__ import annotations

import enum
import math
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from greenserve.process.failure import Failure
from greenserve.process.link import FAILED, READY, REPLACE
from greenserve.process.memory import memory_kills
from greenserve.process.stack import Report

if TYPE_CHECKING:
    from greenserve.process.flight import FlightRecorder
    from greenserve.process.reload import Generation

#: Octets that are read of a pipe at once, and the longest line that a worker may say.
READ_SIZE = 65536

NEVER = math.inf


class State(enum.Enum):
    """Where in its life a worker is."""

    BOOTING = "booting"
    READY = "ready"
    RETIRING = "retiring"  # it has been told to end


BOOTING, RETIRING = State.BOOTING, State.RETIRING


class WorkerHandle:
    """One worker, from before its fork until it has been reaped; hooks know it as `worker`."""

    def __init__(self, age: int, seat: int, position: int, generation: Generation, now: float) -> None:
        self.age = age
        self.seat = seat
        #: Which of the workers of its generation it is: its share of the sockets.
        self.position = position
        self.generation = generation
        self.cfg = generation.config
        self.pid = 0
        self.state = BOOTING
        self.started_at = now
        self.ready_at = NEVER
        self.kill_at = NEVER
        #: Why it should be replaced, "" if it need not be.
        self.reason = ""
        self.failure: Failure | None = None
        self.report = Report()
        self.recorder: FlightRecorder
        #: Its share of the listening sockets.
        self.listeners: list[Any] = []
        self.words = self.reports = -1
        self.aborted = False
        self.retired = False
        #: Those of its requests in flight that have been logged last.
        self.told: list[str] = []
        self.exitcode: int | None = None
        self._memory_kills = memory_kills()
        self._said = b""

    def __str__(self) -> str:
        return f"worker {self.age} (process {self.pid})"

    @property
    def alive(self) -> bool:
        """Whether it has not been told to end."""
        return self.state is not RETIRING

    @property
    def is_ready(self) -> bool:
        """Whether it serves, and is to go on."""
        return self.state is State.READY

    @property
    def pipes(self) -> list[int]:
        """What may have something to read."""
        return [fileno for fileno in (self.words, self.reports) if fileno >= 0]

    def send(self, number: int) -> None:
        """Send a signal; nothing happens when the process has gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def become_ready(self, now: float) -> None:
        """Note that it serves."""
        if not self.aborted:
            self.ready_at = min(self.ready_at, now)
        if self.state is BOOTING:
            self.state = State.READY

    def retire(self, kill_at: float, number: int = signal.SIGTERM) -> None:
        """Tell it to end, by `kill_at` at the latest."""
        self.state = RETIRING
        self.retired = self.retired or not self.aborted
        self.kill_at = min(self.kill_at, kill_at)
        self.send(number)

    def abort(self, kill_at: float) -> None:
        """Have it write its stacks; then it is killed."""
        self.state = RETIRING
        self.aborted = True
        self.kill_at = kill_at
        self.send(signal.SIGABRT)
        self.send(signal.SIGCONT)  # a process that stands still for this reason would not write

    def hear(self, now: float) -> bool:
        """Take in what it has said and reported; return whether a report is complete."""
        octets, self.words = read_now(self.words)
        *lines, self._said = (self._said + octets)[-READ_SIZE:].split(b"\n")
        for line in lines:
            word, _, text = line.partition(b" ")
            if word == READY:
                self.become_ready(now)
            elif word == REPLACE:
                self.reason = self.reason or text.decode("utf-8", "replace")
            elif word == FAILED:
                self.failure = Failure.from_text(text.decode("utf-8", "replace"))
        octets, self.reports = read_now(self.reports)
        self.report.add(octets)
        return self.report.is_complete

    def overdue_at(self, last_beat: float) -> float:
        """Return when it has failed to boot, or stands still for too long."""
        config = self.generation.config
        if self.aborted or last_beat == NEVER:
            return NEVER
        if self.ready_at == NEVER:  # told to end or not
            return self.started_at + (config.boot_timeout or NEVER)
        return max(self.ready_at, last_beat) + (config.timeout or NEVER)

    @property
    def too_old_at(self) -> float:
        """When it is to be replaced because of its age."""
        if not self.is_ready or self.reason:
            return NEVER
        return self.ready_at + (self.generation.config.max_worker_age or NEVER)

    def open_pipes(self) -> tuple[int, int]:
        """Make the pipes for what it says; return the ends that are the child's.  Raises OSError."""
        self.words, words = nonblocking_pipe()
        try:
            self.reports, reports = nonblocking_pipe()
        except OSError:
            os.close(words)
            self.close()
            raise
        return words, reports

    def ending(self, status: int) -> str:
        """Return how it has ended, and what may have brought it about, if its master has not."""
        text = ending(status)
        if os.WTERMSIG(status) == signal.SIGKILL and not self.aborted and memory_kills() > self._memory_kills:
            text += ", probably by the system, for want of memory"
        return text

    def close(self) -> None:
        """Let go of what there was between it and the master."""
        for fileno in self.pipes:
            os.close(fileno)
        self.words = self.reports = -1
        self.recorder.close()

    def in_flight(self) -> list[Any]:
        """Return its requests in flight, those first that the application has."""
        return self.recorder.requests()


def nonblocking_pipe() -> tuple[int, int]:
    """Return a pipe, both ends non-blocking and closed on exec."""
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


def read_now(fileno: int) -> tuple[bytes, int]:
    """Return what has arrived in a pipe, and its descriptor, -1 when it has ended and is closed."""
    if fileno < 0:
        return b"", -1
    try:
        octets = os.read(fileno, READ_SIZE)
    except BlockingIOError:
        return b"", fileno
    if not octets:
        os.close(fileno)  # or it would be found readable for ever
        return b"", -1
    return octets, fileno


def ending(status: int) -> str:
    """Return how a process has ended, from what waitpid() says."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"was ended by {name}" + (", core dumped" if os.WCOREDUMP(status) else "")
    return f"ended with the status {os.waitstatus_to_exitcode(status)}"

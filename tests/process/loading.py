"""A load from a second process (`tests.process.load`), and what has become of its requests."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.process import ROOT

SECONDS = 60.0  # how long anything here may take
GRACE = 0.5  # the server's own: --drain-grace


@dataclass(frozen=True)
class Failure:
    """A request without its answer; moments are those of the monotonic clock, which all processes share."""

    kind: str
    detail: str
    visitor: str
    request: str
    #: Seconds that the connection had been idle when the request was sent.
    idle: float
    began: float
    ended: float
    #: When the connection was made; None: it never was.
    opened: float | None
    answers: int
    #: Who gave the last answer on it, 0 before the first.
    worker: int
    port: int

    def __str__(self) -> str:
        return (
            f"{self.request} of {self.visitor!r}: {self.kind}, {self.detail}; sent at {self.began:.4f}, "
            f"lost at {self.ended:.4f}, idle for {self.idle} s before; {self.answers} answers came on this "
            f"connection from port {self.port}, the last one of {self.worker}"
        )


class Load:
    """A running load: `sent`, `answered` and `failing` as it goes, the rest when it has ended."""

    def __init__(self, port: int, grace: float) -> None:
        self.sent = self.answered = self.failing = 0
        self.report: dict[str, Any] = {}
        self.failed: list[Failure] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.process.load", str(port), str(grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def go_on_for(self, count: int) -> None:
        """Wait until `count` more requests have been answered."""
        wanted = self.answered + count
        self.wait(lambda: self.answered >= wanted, f"{count} more answers")

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until `condition` holds; it is looked at when there are news of the load."""
        deadline = time.monotonic() + SECONDS
        with self._news:
            while not condition():
                assert self._reader.is_alive() or condition(), f"the load has ended before: {what}"
                assert time.monotonic() < deadline, (
                    f"not in {SECONDS} s: {what}; {self.answered} answers so far"
                )
                self._news.wait(0.5)

    def end(self) -> None:
        """Send nothing more; read what is under way, and the report."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.close()
        try:
            status = self._process.wait(SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            stdout.close()
        assert (status, bool(self.report)) == (0, True), "the load has failed"
        self.failed = [Failure(**each) for each in self.report["failed"]]
        accounted = self.report["answered"] + self.report["met_close"] + len(self.failed)
        assert accounted == self.report["sent"] > 0

    @property
    def workers(self) -> dict[int, int]:
        """How many requests each process has answered."""
        return {int(pid): count for pid, count in self.report["workers"].items()}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            with self._news:
                if isinstance(said, dict):
                    self.report = said
                else:
                    self.sent, self.answered, self.failing = said
                self._news.notify_all()


@contextmanager
def loading(port: int, grace: float = GRACE) -> Iterator[Load]:
    """Have visitors ask the server at `port`; at the end of the statement they have left."""
    load = Load(port, grace)
    try:
        load.go_on_for(1)
        yield load
    finally:
        load.end()

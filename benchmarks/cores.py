"""Which core the server runs on, and which one the client."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """The numbers of two cores; None where there is one only, or no taskset: nothing is pinned then."""

    server: int | None = None
    client: int | None = None

    def pin_server(self, command: list[str]) -> list[str]:
        return pinned(self.server, command)

    def pin_client(self, command: list[str]) -> list[str]:
        return pinned(self.client, command)

    @contextmanager
    def ourselves_pinned(self) -> Iterator[None]:
        """Keep this process off the server's core."""
        before = os.sched_getaffinity(0)
        if self.client is not None:
            os.sched_setaffinity(0, {self.client})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


def pinned(core: int | None, command: list[str]) -> list[str]:
    """Return the command that runs `command` on `core`.  taskset becomes the command: no process more."""
    return command if core is None else ["taskset", "-c", str(core), *command]


def find_cores() -> Cores:
    """Return the first two cores that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2 or shutil.which("taskset") is None:
        return Cores()
    return Cores(usable[0], usable[1])

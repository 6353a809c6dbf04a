"""Who has a listening socket open: what the last of its holders has to know before it closes it.

Only gunicorn's workers need to find it out: greenserve's own master knows.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Collection
from mmap import mmap

from greenserve.net.listener import open_sockets

#: Workers that may be alive at once, and be told from strangers.
SEATS = 4096


class Register:
    """The workers of one master; made there, shared with them, and gone for who starts another program."""

    def __init__(self) -> None:
        self._seats = memoryview(mmap(-1, SEATS * array("i").itemsize)).cast("i")

    def enter(self, number: int) -> None:
        """In a worker: be one.  Whoever was `SEATS` numbers before and still lives becomes a stranger."""
        self._seats[number % SEATS] = os.getpid()

    def are_all(self, inodes: Collection[int]) -> bool:
        """Whether the sockets with these inodes are open in these workers only; False where nobody knows.

        What other users run is not asked: it cannot have got a socket that was bound by this one.
        """
        own = os.getpid()
        try:
            pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
        except OSError:
            return False
        if own not in pids:
            return False  # the processes of somewhere else
        known = set(self._seats) | {own}
        return not any(
            (held := open_sockets(pid)) is not None and not held.isdisjoint(inodes)
            for pid in pids
            if not (pid in known and _parent_of(pid) == os.getppid())
        )


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:  # it has ended
        return 0

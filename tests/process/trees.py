"""What a tree of processes holds, seen from outside: descriptors, connections, zombies, orphans."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.process.masters import SECONDS, children_of, state_of, wait_until

PR_SET_CHILD_SUBREAPER = 36

#: Connections for each worker that a census opens, so that each gets one.
CENSUS_CONNECTIONS = 16


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has, -1 when it has gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return -1


def open_files(pid: int) -> set[Path]:
    """Return what the descriptors of a process are."""
    return {entry.resolve() for entry in Path(f"/proc/{pid}/fd").iterdir()}


def zombies_of(pid: int) -> set[int]:
    """Return the children of a process that have ended and were not reaped."""
    return {child for child in children_of(pid) if state_of(child) == "Z"}


def peer_ports(pid: int) -> set[int]:
    """Return the ports at the other ends of the TCP connections that a process has."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry)):
                inodes.add(found[1])
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            ports.add(int(fields[2].rpartition(":")[2], 16))
    return ports - {0}  # that of a listening socket


def tcp_queues(port: int, remote: int) -> tuple[int, int] | None:
    """Return how many octets wait at `port` of a connection: not acknowledged yet, and not read yet.

    None where there is no such connection, or one of its ends was closed.
    """
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, own, other, state, queues, *_ = line.split()
        if state == "01" and own.endswith(f":{port:04X}") and other.endswith(f":{remote:04X}"):
            unsent, unread = queues.split(":")
            return int(unsent, 16), int(unread, 16)
    return None


@dataclass(frozen=True)
class Kill:
    """A worker that was killed between two moments, and whom it was connected with."""

    pid: int
    began: float
    ended: float
    ports: set[int]

    def owned(self, port: int, opened: float | None, lost: float) -> bool:
        """Whether the worker owned the connection from `port`, made at `opened`, when it was killed."""
        return port in self.ports and opened is not None and opened <= self.ended and lost >= self.began


def kill(pid: int) -> Kill:
    """Kill a process; it is stopped first, so that what it owns at its end can be told."""
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) in "TZX", f"process {pid} to stand still")
    ports = peer_ports(pid)
    os.kill(pid, signal.SIGKILL)
    ended = time.monotonic()
    wait_until(lambda: state_of(pid) in "ZX", f"the end of process {pid}")  # or it would count as alive
    return Kill(pid, began, ended, ports)


@contextmanager
def adopting() -> Iterator[None]:
    """Be the parent of every orphan among the descendants, which are found out that way.

    At the end there may be none but the children that there were before.
    """
    before = children_of(os.getpid())
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
        orphans = children_of(os.getpid()) - before
        assert not orphans, f"processes without a master are left: {orphans}"
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class Changed(Exception):
    """The workers have changed during a census, which may be the request too many for one of them."""


def take_census(port: int, workers: set[int]) -> list[dict[str, int]]:
    """Return what each of `workers` holds, while nobody else asks; with `ours`, the connections that ask.

    Raises Changed, and OSError where an answer does not come.
    """
    told: dict[int, dict[str, int]] = {}
    connections = [
        HTTPConnection("127.0.0.1", port, timeout=SECONDS) for _ in range(len(workers) * CENSUS_CONNECTIONS)
    ]
    ours: dict[int, int] = {}
    try:
        for connection in connections:
            connection.request("GET", "/census")
            with closing(connection.getresponse()) as answer:
                said = json.loads(answer.read())
            ours[said["pid"]] = ours.get(said["pid"], 0) + 1
            told[said["pid"]] = said
    finally:
        for connection in connections:
            connection.close()
    if not set(told) <= workers:
        raise Changed(f"{set(told) - workers} have answered, which were no workers")
    return [{**said, "ours": ours[pid]} for pid, said in told.items()]

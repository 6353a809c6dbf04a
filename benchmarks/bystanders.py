"""How much of our two cores others had while we measured: on a shared machine it explains odd figures."""

from __future__ import annotations

import os
import re
import resource
import time
from pathlib import Path

from benchmarks.cores import Cores

TICKS = os.sysconf("SC_CLK_TCK")  # a second
#: The part above which it is told.
WORTH_TELLING = 0.1


class Bystanders:
    """Watches both cores from now on; `group` is the process group of the server, all others are ours."""

    def __init__(self, cores: Cores, group: int) -> None:
        self.cores = cores
        self.group = group
        self.started = time.perf_counter()
        self.before = self.others()

    def others(self) -> tuple[float, float]:
        """Return the seconds that the cores have computed, without what the server and we have."""
        stat = Path("/proc/stat").read_text()
        server = busy_seconds(stat, self.cores.server) - group_seconds(self.group)
        client = busy_seconds(stat, self.cores.client) - our_seconds()
        return server, client

    def share(self) -> float:
        """Return what part of the time others had, of the core of which they had more."""
        passed = time.perf_counter() - self.started
        gained = (after - before for after, before in zip(self.others(), self.before, strict=True))
        return min(1.0, max(0.0, *gained) / passed)


def busy_seconds(stat: str, core: int | None) -> float:
    """Return how long a core was not idle, or other machines had it.

    Interrupts are in it, as they are in what the kernel puts down to a process.  A core that nobody is
    pinned to has nothing to tell.
    """
    found = re.search(rf"^cpu{core} (.*)$", stat, re.MULTILINE)
    if found is None:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, found[1].split()[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS


def group_seconds(group: int) -> float:
    """Return what the living processes of a process group have computed."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[2]) == group:
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def our_seconds() -> float:
    """Return what this process and its clients, those that have ended, have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

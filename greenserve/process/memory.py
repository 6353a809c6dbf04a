"""Memory: how much of it a process has, and whether the system has had to kill for it (proc(5))."""

from __future__ import annotations

import resource


def resident_memory() -> int:
    """Return the octets of memory that this process has in use, 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def memory_kills() -> int:
    """Return how many processes the system has killed for want of memory, 0 where it does not say.

    Those of all containers count: it is a hint at why a process was killed, and no proof.
    """
    try:
        with open("/proc/vmstat", "rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(b"oom_kill ")), 0)
    except OSError:
        return 0

"""Memory of processes, as /proc tells it, and how many descriptors one may have."""

from __future__ import annotations

import resource
from pathlib import Path

#: Descriptors that a process needs beside its connections.
OTHER_DESCRIPTORS = 200


def resident(pid: int) -> int:
    """Return the octets of memory that the process has in use.  Raises OSError when it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has ended")


def raise_descriptor_limit() -> int:
    """Let this process and those that it starts have as many descriptors as they may; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20

"""How many CPUs this process may really use: its affinity, and the quota of its control group.

The kernel's interfaces: cgroups(7), Documentation/admin-guide/cgroup-v2.rst (cpu.max) and
Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def available(root: str = "/") -> int:
    """Return the number of CPUs, a quota rounded up, at least 1; `root` is where the file system begins."""
    return max(1, math.ceil(min(affinity(), quota(Path(root)))))


def affinity() -> int:
    """Return the number of CPUs that this process may be scheduled on."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux, or forbidden
        return os.cpu_count() or 1


def quota(root: Path) -> float:
    """Return the smallest quota of the groups that this process is in, in CPUs; infinite without one."""
    return min((limit for folder in cpu_groups(root) for limit in limits(folder)), default=math.inf)


def cpu_groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the groups with a say in CPU time: that of this process, and all above it.

    In a container the path of the group may be the host's, and what is mounted the container's alone:
    then only the folder at the top exists, which is the one that counts.
    """
    mounted = root / "sys/fs/cgroup"
    for line in lines_of(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            tops = [mounted, mounted / "unified"]
        elif "cpu" in controllers.split(","):
            tops = [mounted / controllers, mounted / "cpu"]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        for top in tops:
            for depth in range(len(parts), -1, -1):
                yield top.joinpath(*parts[:depth])


def limits(group: Path) -> Iterator[float]:
    """Yield the quotas of one group, in CPUs: version 2 has them in one file, version 1 in two."""
    words = [word for line in lines_of(group / "cpu.max") for word in line.split()]
    if not words:
        words = [*lines_of(group / "cpu.cfs_quota_us"), *lines_of(group / "cpu.cfs_period_us")]
    # "max" and -1 stand for no limit.
    if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
        yield int(words[0]) / int(words[1])


def lines_of(file: Path) -> list[str]:
    """Return the lines of a file of the kernel, none where it cannot be read."""
    try:
        return file.read_text("ascii", "replace").splitlines()
    except OSError:
        return []

"""Control groups, made for a test: cgroups(7), version 1 or 2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.masters import wait_until

ROOT = Path("/sys/fs/cgroup")


#: What is limited -> the controller of version 1, its file, and the file of version 2.
FILES = {
    "memory": ("memory", "memory.limit_in_bytes", "memory.max"),
    "quota": ("cpu", "cpu.cfs_quota_us", "cpu.max"),
}


@contextmanager
def control_group(what: str, limit: int) -> Iterator[Path]:
    """Make a group with this limit: octets, or microseconds in a period of the scheduler (100 000).

    Processes are written into the file that is returned; in the end there may be none in the group.  The test
    is skipped where that is not permitted, except in CI, where it has to be.
    """
    controller, *files = FILES[what]
    tops = [ROOT / controller, ROOT]
    found = [(top, file) for top, file in zip(tops, files, strict=True) if top.is_dir()]
    group = found[0][0] / f"greenserve-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        refuse(f"no control group: {error}")
    members = group / "cgroup.procs"
    try:
        file = group / found[0][1]
        if not file.exists():
            refuse(f"the control groups have no {file.name}")
        file.write_text(str(limit))
        yield members
        wait_until(lambda: not members.read_text(), "the group to be empty")
    finally:
        group.rmdir()


def refuse(reason: str) -> None:
    """Skip the test, or fail in CI."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)

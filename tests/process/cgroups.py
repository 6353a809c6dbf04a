"""A control group whose processes are killed when they want more memory: cgroups(7), version 1 or 2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.masters import wait_until

ROOT = Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(size: int) -> Iterator[Path]:
    """Make a group that may have `size` octets; processes are written into the file that is returned.

    The test is skipped where that is not permitted, except in CI, where it has to be.
    """
    version_1 = ROOT / "memory"
    group = (version_1 if version_1.is_dir() else ROOT) / f"greenserve-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        refuse(f"no control group: {error}")
    try:
        limit = group / ("memory.limit_in_bytes" if version_1.is_dir() else "memory.max")
        if not limit.exists():
            refuse("the control groups have no limit for memory")
        limit.write_text(str(size))
        yield group / "cgroup.procs"
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the group to be empty")
        group.rmdir()


def refuse(reason: str) -> None:
    """Skip the test, or fail in CI."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)

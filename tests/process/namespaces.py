"""A server as process 1 of a PID namespace, as it is in a container."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process import LISTENING, ServerProcess, start_process
from tests.process.masters import Master, children_of, is_alive, kill, wait_until
from tests.tools import require_tool

OPTIONS = ("--pid", "--fork", "--mount-proc")


def require_namespaces() -> list[str]:
    """Return the command that runs another one as process 1.

    The test is skipped where that is not permitted, except in CI, where it has to be.
    """
    command = [require_tool("unshare"), *OPTIONS]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=30, check=False)
    if tried.returncode:
        reason = f"no PID namespace: {tried.stderr.strip()}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return command


class Process1(Master):
    """The program that has made the namespace, and waits for its end; `first` is process 1 there."""

    @property
    def first(self) -> int:
        """The number of process 1, as it is outside."""
        (pid,) = children_of(self._process.pid)
        return pid

    @property
    def pid(self) -> int:
        """The number of process 1: its children are the workers."""
        return self.first

    def send_signal(self, number: int) -> None:
        kill(self.first, number)


@contextmanager
def start_first(
    folder: Path, *args: str, ready: str | re.Pattern[str] | None = LISTENING
) -> Iterator[Process1]:
    """Run ``python -m greenserve site_app`` as process 1; at the end nothing may be left of the namespace."""
    command = [*require_namespaces(), sys.executable, "-bb", "-m", "greenserve", "site_app", *args]
    with start_process(command, cwd=folder, ready=None) as server:
        server.__class__ = Process1
        assert isinstance(server, Process1)
        if ready is not None:
            server.port = int(server.wait_for_line(ready)[1])
        ours = tree_of(ServerProcess.pid.fget(server))  # type: ignore[attr-defined]
        try:
            yield server
            server.stop()
        finally:
            for pid in ours:  # the end of process 1 is that of all others
                if is_alive(pid) and server.is_running:
                    kill(pid)
        wait_until(lambda: not any(map(is_alive, ours)), "the end of the namespace")


def tree_of(pid: int) -> set[int]:
    """Return a process's descendants."""
    found = children_of(pid)
    return found.union(*map(tree_of, found))

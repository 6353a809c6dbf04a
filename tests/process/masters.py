"""A master with its workers, as an operator starts them: `start_master`, and an application to serve.

The application answers with its version and the number of the process that answers; `/wait?PORT` knocks at a
gate of the test's and goes on when it is told to.
"""

from __future__ import annotations

import http.client
import itertools
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.process import ServerProcess, start_server

SECONDS = 30.0  # how long anything here may take before a test gives up on it

APPLICATION = """
    import os, socket, sys, time

    VERSION = "one"

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/wait":
            with socket.create_connection(("127.0.0.1", int(environ["QUERY_STRING"]))) as gate:
                gate.sendall(b"%d\\n" % os.getpid())
                gate.recv(1)
        elif path == "/compute":
            print("computing in", os.getpid(), flush=True)
            while True:
                pass
        elif path == "/crash":
            os.kill(os.getpid(), int(environ["QUERY_STRING"]))
            while True:
                pass
        elif path == "/fill":
            application.filled = b"x" * (int(environ["QUERY_STRING"]) << 20)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{VERSION} {os.getpid()}".encode()]
"""


class Master(ServerProcess):
    """A master that listens on `port`."""

    @property
    def workers(self) -> set[int]:
        """The numbers of its children that are alive."""
        return {pid for pid in children_of(self.pid) if state_of(pid) not in "ZX"}

    def ask(self, path: str = "/") -> tuple[str, int]:
        """Return the version and the process that answer a request on a connection of its own."""
        with closing(self.connect()) as connection:
            return ask(connection, path)

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection, connected."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.connect()
        return connection

    def wait_ready(self, count: int) -> list[int]:
        """Return the processes of all workers that have ever been ready, the oldest first, once there are
        `count`.
        """
        found = self.wait_for_lines(r"worker (\d+) \(process (\d+)\) is ready", count)
        return [pid for _, pid in sorted((int(match[1]), int(match[2])) for match in found)]


def ask(connection: http.client.HTTPConnection, path: str = "/") -> tuple[str, int]:
    """Return the version and the process that answer a request."""
    connection.request("GET", path)
    return read_answer(connection)


def read_answer(connection: http.client.HTTPConnection) -> tuple[str, int]:
    """Return the version and the process that answer the request that was sent."""
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200, (answer.status, text)
    version, pid = text.split()
    return version, int(pid)


@contextmanager
def start_master(
    folder: Path,
    *args: str,
    workers: int | str | None = 2,
    ready: str | re.Pattern[str] | None = r"listening on https?://127\.0\.0\.1:(\d+)",
    env: Mapping[str, str] | None = None,
) -> Iterator[Master]:
    """Run ``python -m greenserve site_app --workers N`` in `folder`; when it ends, no child may be left.

    With None for `workers` a configuration file says how many.
    """
    if workers is not None:
        args = ("--workers", str(workers), *args)
    with start_server("site_app", *args, cwd=folder, env=env, ready=ready) as server:
        server.__class__ = Master
        assert isinstance(server, Master)
        yield server
        ours = children_of(server.pid) | {server.pid}
        server.stop()
        assert not {pid for pid in ours if is_alive(pid)}, server.report("processes are left")


_versions = itertools.count()


def write_application(folder: Path, source: str = APPLICATION, **replaced: str) -> Path:
    """Write the application into `folder`, with some texts replaced; return the folder."""
    text = dedent(source)
    for old, new in replaced.items():
        text = text.replace(old, new)
    # Written beside it and moved: somebody may be importing it.  Never the same size as before, which the
    # import system would take for the same source if it is of the same second, too.
    beside = folder / f".site_app.{time.monotonic_ns()}"
    beside.write_text(f"{text}\n{'#' * next(_versions)}\n")
    beside.rename(folder / "site_app.py")
    return folder


class Gate:
    """Where a request for `path` waits: it knocks, and goes on when it is told to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.listener.settimeout(SECONDS)
        self.path = f"/wait?{self.listener.getsockname()[1]}"

    def wait_for_knock(self) -> tuple[socket.socket, int]:
        """Return the other end of a waiting request's socket, and the process that serves it."""
        knocking, _ = self.listener.accept()
        knocking.settimeout(SECONDS)
        with knocking.makefile("rb") as lines:
            return knocking, int(lines.readline())


def children_of(pid: int) -> set[int]:
    """Return the children of a process, zombies included."""
    # Looking through all of /proc would take milliseconds, and this is asked a hundred times a second.
    tasks = Path("/proc", str(pid), "task")
    try:
        threads = os.listdir(tasks)  # each has children of its own
    except OSError:
        return set()
    return {
        int(child) for thread in threads for child in read_or_nothing(tasks / thread / "children").split()
    }


def stat_of(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name, none for a process that is gone."""
    return read_or_nothing(Path("/proc", str(pid), "stat")).rpartition(")")[2].split()


def read_or_nothing(file: Path) -> str:
    """Return what is in a file of /proc, nothing if its process is gone."""
    try:
        return file.read_text()
    except OSError:
        return ""


def state_of(pid: int) -> str:
    """Return the state of a process as ps shows it, X for one that is gone."""
    return (stat_of(pid) or "X")[0]


def is_asleep(pid: int) -> bool:
    """Whether a process has done all that it was told: what wakes it does so in the moment when it comes."""
    return state_of(pid) == "S"


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    return state_of(pid) not in "ZX"


def wait_until(condition: Callable[[], Any], what: str, timeout: float = SECONDS) -> Any:
    """Return what `condition` returns once it is true.  Raises AssertionError after `timeout` seconds.

    For what tells of itself in no other way, such as the end of somebody else's child.
    """
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.01)
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a worker."""
    os.kill(pid, number)

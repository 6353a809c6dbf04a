"""gunicorn with greenserve's worker class, in processes of its own: the newest release, and an older one."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.pipes import wait_for
from tests.process import ServerProcess, start_process

SECONDS = 30  # how long anything here may take before a test gives up on it

WORKER = "greenserve.gunicorn.Worker"
SITE = "tests.interop.gunicorn_site:application"
LISTENING = re.compile(r"Listening at: https?://127\.0\.0\.1:(\d+)")

#: Where `make test` puts the release two major versions older, apart from the newest one.
OLDER = Path(sys.prefix) / "old-gunicorn"
RELEASES = {"newest": "", "25": str(OLDER)}

releases = pytest.mark.parametrize("release", RELEASES)

#: Has each worker say "booted" when it hears signals: gunicorn loses one that comes just behind the fork.
BOOTED = (
    r"def post_worker_init(worker): import os; os.write(1, b'booted\n')"  # in one piece: others write, too
)


def miss(reason: str) -> None:
    """Skip the test, or fail it in CI, where nothing may be missing."""
    (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(reason)


@contextmanager
def start_gunicorn(
    folder: Path,
    *arguments: str,
    config: str = "",
    release: str = "newest",
    application: str = SITE,
    ready: re.Pattern[str] = LISTENING,
) -> Iterator[ServerProcess]:
    """Run gunicorn on a free port, with `config` in its configuration file, in `folder`.

    It is stopped at the end.  Its control socket, which would be shared with all others, is off unless
    `config` has one.
    """
    where = RELEASES[release]
    if where and not OLDER.is_dir():
        miss(f"there is no gunicorn {release} in {OLDER}, where make test installs it")
    config = dedent(config)
    if "control_socket" not in config:
        config += "\ncontrol_socket_disable = True\n"
    path = folder / "gunicorn.conf.py"
    path.write_text(config)
    # Not -m gunicorn: what that is started by cannot be started again (USR2).
    script = str(Path(sys.executable).with_name("gunicorn"))
    command = [sys.executable, script, "-c", str(path), "-k", WORKER]
    if not any(each in ("-b", "--bind") for each in arguments):
        command += ["-b", "127.0.0.1:0"]
    paths = (where, str(folder), os.environ.get("PYTHONPATH", ""))
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command += [*arguments, application] if application else arguments
    with start_process(command, env=environment, cwd=folder, ready=ready) as server:
        yield server


class Gate:
    """Where a request waits: it knocks, and goes on when it is told to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(SECONDS)

    def path(self, name: str) -> str:
        """Return the path of a request that knocks here and then does `name`."""
        return f"/{name}?{self.listener.getsockname()[1]}"

    def wait_for_knock(self) -> socket.socket:
        """Return the other end of the socket of a request that waits."""
        knocking, _ = self.listener.accept()
        return knocking


def connect(server: ServerProcess, port: int = 0) -> closing[http.client.HTTPConnection]:
    """Return a connection to the server, closed at the end of a with statement."""
    return closing(http.client.HTTPConnection("127.0.0.1", port or server.port, timeout=SECONDS))


def ask(
    server: ServerProcess, path: str = "/", body: bytes | None = None, port: int = 0, **fields: str
) -> tuple[int, bytes]:
    """Return status and content of the answer to a request on a connection of its own."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    with connect(server, port) as connection:
        connection.request("GET" if body is None else "POST", path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()


def ask_environ(server: ServerProcess, **fields: str) -> dict[str, Any]:
    """Return the environ of a request with these fields."""
    status, content = ask(server, "/environ", **fields)
    assert status == 200
    told: dict[str, Any] = json.loads(content)
    return told


def wait_for_handlers(server: ServerProcess, count: int) -> None:
    """Wait until so many workers, with `BOOTED` in their configuration, have ever heard signals."""
    server.wait_for_lines("^booted$", count)


def worker_of(server: ServerProcess) -> int:
    """Return the process that answers."""
    return int(ask(server, "/pid")[1])


def children(pid: int) -> list[int]:
    """Return the processes that are children of `pid`, those that nobody has reaped included."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    """Whether there is no such process, or it has ended and nobody has asked for its status yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or behind that
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended."""
    wait_for(lambda: is_gone(pid), f"the end of {pid}")


def wait_for_other(server: ServerProcess, pid: int) -> int:
    """Wait until another worker than `pid` answers; return which."""
    found: list[int] = []

    def is_other() -> bool:
        found[:] = [worker_of(server)]
        return found != [pid]

    wait_for(is_other, f"another worker than {pid}")
    return found[0]

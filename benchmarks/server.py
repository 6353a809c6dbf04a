"""One process that serves, from its start to its end, and what it said when it did not start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.peer import Launch, Peer

ROOT = Path(__file__).resolve().parent.parent
APPLICATIONS = ROOT / "benchmarks" / "applications"

#: Seconds to the first answer.  The slowest needs a tenth of that.
PATIENCE = 20.0
#: Variables that would change what the peers do.
SETTINGS = ("GREENSERVE_", "GUNICORN_", "GRANIAN_", "UWSGI_", "WEB_CONCURRENCY", "GEVENT_", "PYTHONWARNINGS")


class NotStarted(Exception):
    """The server ended, or did not answer in time; the text is the reason."""


class Server:
    """The server of `peer` for one measurement, in a process group of its own."""

    def __init__(self, peer: Peer, launch: Launch, pin: Callable[[list[str]], list[str]]) -> None:
        self.peer = peer
        self.launch = launch
        self.port = launch.port
        self.output = launch.folder / "output.log"
        if peer.canned:
            launch.canned.write_text(launch.workload.canned().as_json())
        self.command = pin(peer.command(launch))
        #: Seconds to the first answer, once there was one.
        self.ready_after = 0.0
        #: What the check found odd.
        self.note = ""
        self.started = time.perf_counter()
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=launch.folder,
                env=environment_for(self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End every process of the group at once: nothing is measured any more."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def wait(self, answers: Callable[[], object], patience: float = PATIENCE) -> None:
        """Wait until `answers` no longer raises OSError.

        Raises NotStarted when the process ends before, or in `patience` seconds.
        """
        while True:
            try:
                answers()
            except OSError as error:  # noqa: PERF203 -- it is what is waited for
                passed = time.perf_counter() - self.started
                if self.process.poll() is not None:
                    raise NotStarted(f"failed to start: {self.last_words()}") from None
                if passed > patience:
                    words = self.last_words()
                    raise NotStarted(f"no answer in {patience:g} s ({error}): {words}") from None
                time.sleep(0.001)
            else:
                self.ready_after = time.perf_counter() - self.started
                return

    def last_words(self) -> str:
        """Return the line of the output that says best what went wrong."""
        return telling_line(self.output.read_text("utf-8", "replace")) or self.exit_words()

    def exit_words(self) -> str:
        status = self.process.poll()
        return "it said nothing" if status is None else f"it said nothing and ended with status {status}"


def telling_line(output: str) -> str:
    """Return the last line that names an error, else the last line; shortened, empty if there is none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1][:200]


def environment_for(command: list[str]) -> dict[str, str]:
    """Return the environment of a server: the applications on its path, no settings of anybody's.

    Only the launchers are shown the checkout: greenserve is to be imported as it was installed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    inherited = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    folders = [str(APPLICATIONS), *map(os.path.abspath, inherited)]
    if any(word.startswith("benchmarks.servers.") for word in command):
        folders.append(str(ROOT))
    environment["PYTHONPATH"] = os.pathsep.join(folders)
    return environment


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port

"""A server in a process of its own, as an operator starts it: `start_server` and `start_script`.

Nothing here sleeps: a line that is expected is waited for with a deadline, and a process that is not
there any more ends the waiting at once.  What the process wrote is part of every failure's message.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent.parent
LISTENING = re.compile(r"http://127\.0\.0\.1:(\d+)")
START_SECONDS = 90.0  # a busy machine imports gevent and Django slowly
LINE_SECONDS = 30.0
STOP_SECONDS = 30.0


class ServerProcess:
    """A running process: its output as it comes, its port once it listens.

    `lines` holds what it wrote on stderr, `output` what it wrote on stdout, line by line.
    """

    def __init__(
        self, command: list[str], env: Mapping[str, str], cwd: Path, pass_fds: Sequence[int] = ()
    ) -> None:
        self.command = command
        self.lines: list[str] = []
        self.output: list[str] = []
        self.port = 0
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            env=dict(env),
            cwd=cwd,
            pass_fds=pass_fds,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, lines), daemon=True)
            for pipe, lines in ((self._process.stderr, self.lines), (self._process.stdout, self.output))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The id of the process that was started."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def url(self, path: str = "/") -> str:
        """Return the address of `path` on this server."""
        return f"http://127.0.0.1:{self.port}{path}"

    def wait_for_line(self, pattern: str | re.Pattern[str], timeout: float = LINE_SECONDS) -> re.Match[str]:
        """Return the first match of `pattern` in a line of stderr or stdout, past or to come.

        Raises AssertionError after `timeout` seconds, and as soon as the process has ended without it.
        """
        return self.wait_for_lines(pattern, 1, timeout)[0]

    def wait_for_lines(
        self, pattern: str | re.Pattern[str], count: int, timeout: float = LINE_SECONDS
    ) -> list[re.Match[str]]:
        """Return the matches of `pattern` once there are `count`, as `wait_for_line` does for one."""
        searched = re.compile(pattern)
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                # Asked before the search: a line that comes in between is still found.
                finished = not any(reader.is_alive() for reader in self._readers)
                found = [match for line in (*self.lines, *self.output) if (match := searched.search(line))]
                if len(found) >= count:
                    return found
                remaining = deadline - time.monotonic()
                if finished:
                    self._process.wait(STOP_SECONDS)  # it closes its pipes a moment before it ends
                assert not finished, self.report(f"ended without {count} lines like {searched.pattern!r}")
                assert remaining > 0, self.report(
                    f"not {count} lines like {searched.pattern!r} in {timeout} s"
                )
                self._news.wait(min(remaining, 0.5))

    def send_signal(self, number: int) -> None:
        """Send the signal `number` to this one process; nothing happens when it has ended."""
        self._process.send_signal(number)

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Wait until the process has ended and its output is read; return its exit status.

        Raises AssertionError after `timeout` seconds.
        """
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.report(f"still running after {timeout} s")) from None
        for reader in self._readers:
            reader.join(timeout)
        return status

    def stop(self) -> int:
        """Send SIGTERM if the process still runs, and return its exit status as `wait` does."""
        if self.is_running:
            self.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the process at once, whatever it is doing, and release its pipes."""
        if self.is_running:
            self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(STOP_SECONDS)  # at the end of the file, when nobody holds the pipe any more

    def report(self, what: str) -> str:
        """Return `what` happened, together with the command and all that it wrote."""
        written = "".join(f"\n  {line}" for line in (*self.lines, *self.output))
        return f"{' '.join(self.command)}: {what} (exit status {self._process.poll()}){written}"

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._news:
                    lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()


@contextmanager
def start_process(
    command: list[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    ready: str | re.Pattern[str] | None = LISTENING,
    pass_fds: Sequence[int] = (),
) -> Iterator[ServerProcess]:
    """Run `command` with the checkout importable; yield it once a line matches `ready`.

    A first group in `ready` is the port.  None waits for nothing.  `env` is added to the environment.
    At the end the process is stopped by SIGTERM, and killed when that does not help.  Whatever is raised
    meanwhile, what the process wrote goes to stderr, where pytest shows it beside the failure.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "GREENSERVE_BIND": "127.0.0.1:0", **(env or {})}
    paths = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    # A relative one is meant from here: in `cwd` it might hide a module of the standard library.
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *map(os.path.abspath, paths)])
    server = ServerProcess(command, environment, cwd or ROOT, pass_fds)
    try:
        if ready is not None:
            match = server.wait_for_line(ready, START_SECONDS)
            if match.groups():
                server.port = int(match[1])
        yield server
        server.stop()
    except BaseException as error:
        server.kill()  # before the report: it is to have the last lines, too
        print(server.report(f"a test has failed by {type(error).__name__}"), file=sys.stderr)
        raise
    finally:
        server.kill()


def start_server(
    *args: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    ready: str | re.Pattern[str] | None = LISTENING,
) -> AbstractContextManager[ServerProcess]:
    """Run ``python -m greenserve`` with `args` on a free port of 127.0.0.1, as `start_process` does.

    A ``--bind`` among `args` replaces that address.
    """
    return start_process([sys.executable, "-bb", "-m", "greenserve", *args], env=env, cwd=cwd, ready=ready)


def start_script(
    path: str | Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    ready: str | re.Pattern[str] | None = LISTENING,
) -> AbstractContextManager[ServerProcess]:
    """Run the Python file `path`, which starts a server by itself, as `start_process` does."""
    return start_process([sys.executable, "-bb", str(path), *args], env=env, cwd=cwd, ready=ready)

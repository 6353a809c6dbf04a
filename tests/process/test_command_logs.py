"""The logs of the command: where they go, what a reader that stalls holds up, what a failure leaves."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from tests.process import LISTENING, ROOT, ServerProcess, start_process, start_server

SECONDS = 30  # how long anything here may take before a test gives up on it

RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[\d+\] \[([a-z]+)\] (.*)")

APPLICATION = """
    def raise_here():
        raise ValueError("raised by the application")

    def wrap():
        try:
            raise_here()
        except ValueError as error:
            raise KeyError("what came of it") from error

    def in_the_middle():
        yield b"begun"
        raise_here()

    class Closing(list):
        def close(self):
            raise_here()

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/call":
            raise_here()
        if path == "/chain":
            wrap()
        start_response("200 OK", [("Content-Type", "text/plain")])
        if path == "/iterate":
            return in_the_middle()
        if path == "/close":
            return Closing([b"answer"])
        return [b"answer"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the application in failing.py."""
    (tmp_path / "failing.py").write_text(dedent(APPLICATION))
    return tmp_path


def ask(connection: http.client.HTTPConnection, path: str) -> int:
    """Return the status of a response, whose content may be cut."""
    connection.request("GET", path)
    answer = connection.getresponse()
    try:
        answer.read()
    except http.client.IncompleteRead:
        pass
    return answer.status


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)


def test_the_access_log_is_on_stdout_and_the_error_log_on_stderr(folder: Path) -> None:
    with start_server("failing", cwd=folder) as server, closing(connect(server.port)) as connection:
        for number in range(3):
            assert ask(connection, f"/{number}") == 200
        for number in range(3):
            server.wait_for_line(f'"GET /{number} HTTP/1.1" 200 6')
    assert [re.findall(r'"GET (\S+) ', line) for line in server.output] == [["/0"], ["/1"], ["/2"]]
    assert [RECORD.fullmatch(line) is not None for line in server.lines] == [True] * 3


# -- a reader that stalls


class Fifo:
    """A pipe with a name, which holds little and is read when the test says so."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.size = 0

    def shrink(self) -> None:
        """Have it hold as little as it can; once it has a writer, which keeps it as it is."""
        self.size = fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)

    def read_until(self, mark: str) -> str:
        """Return what is written up to `mark` at least."""
        seen = b""
        deadline = time.monotonic() + SECONDS
        while mark.encode() not in seen:
            assert select.select([self.reader], [], [], deadline - time.monotonic())[0], seen
            octets = os.read(self.reader, 65536)
            assert octets, f"the end after {seen!r}"
            seen += octets
        return seen.decode()


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    made = Fifo(tmp_path / "fifo")
    yield made
    os.close(made.reader)


@contextmanager
def writing_to(fifo: Fifo, descriptor: int, folder: Path) -> Iterator[tuple[ServerProcess, int]]:
    """Run a server whose `descriptor` is the pipe; yield it with its port."""
    redirect = f'exec "$@" {descriptor}>"$0"'
    command = ["sh", "-c", redirect, str(fifo.path), sys.executable, "-bb", "-m", "greenserve", "failing"]
    with start_process(command, cwd=folder, ready=None) as server:
        if descriptor == 2:
            port = LISTENING.search(fifo.read_until("requests at once"))
        else:
            port = server.wait_for_line(LISTENING)
        assert port is not None
        fifo.shrink()
        yield server, int(port[1])


#: Each of these leaves a line in the log on that descriptor.
PATHS = {1: "/a", 2: "/call"}
SHORTEST = 50  # octets in such a line


def fill(fifo: Fifo, path: str, port: int) -> int:
    """Ask for `path` until the log should have filled the pipe several times; return how often that was."""
    count = 3 * fifo.size // SHORTEST
    for number in range(count):
        with closing(connect(port)) as connection:
            assert ask(connection, f"{path}?{number}.") in (200, 500)
    return count


@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_log_that_nobody_reads_holds_up_no_request_and_loses_none(
    folder: Path, fifo: Fifo, descriptor: int
) -> None:
    with writing_to(fifo, descriptor, folder) as (_, port):
        count = fill(fifo, PATHS[descriptor], port)
        written = fifo.read_until(f"?{count - 1}.")
    assert len(written) >= count * SHORTEST
    assert re.findall(r"\?(\d+)\.", written) == [str(number) for number in range(count)]
    assert "lost" not in written


@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_log_that_nobody_reads_does_not_keep_the_process(folder: Path, fifo: Fifo, descriptor: int) -> None:
    with writing_to(fifo, descriptor, folder) as (server, port):
        fill(fifo, PATHS[descriptor], port)
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0


# -- a request that fails


def records(lines: list[str]) -> list[list[str]]:
    """Return the records of an error log: level, message, and the lines of the traceback."""
    found: list[list[str]] = []
    for line in lines:
        if match := RECORD.fullmatch(line):
            found.append([match[1], match[2]])
        else:
            found[-1].append(line)
    return found


@pytest.mark.parametrize(
    ("path", "status", "functions"),
    [
        ("/call", 500, ["application", "raise_here"]),
        ("/chain", 500, ["wrap", "raise_here", "application", "wrap"]),
        ("/iterate", 200, ["in_the_middle", "raise_here"]),
        ("/close", 200, ["close", "raise_here"]),
    ],
)
def test_a_failed_request_is_one_record_with_the_application_s_own_traceback(
    folder: Path, path: str, status: int, functions: list[str]
) -> None:
    with start_server("failing", cwd=folder) as server, closing(connect(server.port)) as connection:
        assert ask(connection, f"{path}?a=b%20c") == status
        server.wait_for_line("Error: ")
    _, failed, *stopped = records(server.lines)
    level, message, *traceback = failed
    assert [record[0] for record in stopped] == ["info", "info"]
    assert (level, message) == ("error", f"GET {path}?a=b%20c failed")
    assert traceback[0] == "Traceback (most recent call last):"
    frames = [re.fullmatch(r'  File "(.*)", line \d+, in (\w+)', line) for line in traceback]
    assert [(frame[1], frame[2]) for frame in frames if frame] == [
        (str(folder / "failing.py"), function) for function in functions
    ]
    assert [line for line in traceback if str(ROOT / "greenserve") in line] == []
    last = "KeyError: 'what came of it'" if path == "/chain" else "ValueError: raised by the application"
    assert traceback[-1] == last

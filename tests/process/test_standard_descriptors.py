"""Standard streams that are closed at the start: their numbers never become a client's socket."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from tests.pipes import wait_for
from tests.process import ServerProcess, start_process

SECONDS = 30  # how long anything here may take before a test gives up on it

#: As the module `opening` it opens as many files as there are standard streams: where these were closed,
#: and nobody else took their numbers, it has them.  When it closes its files, the next clients get those.
APPLICATION = """
    import os
    import subprocess

    files = [open(os.devnull) for _ in range(3)] if __name__ == "opening" else []

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/release":
            for file in files:
                file.close()
        if path == "/fail":
            raise ValueError("raised by the application")
        content = b"answer"
        if path == "/program":
            open_ones = "for number in 0 1 2; do test -e /proc/$$/fd/$number || exit 1; done"
            content = b"%d" % subprocess.call(["sh", "-c", open_ones])
        if path == "/streams":
            content = "\\n".join(os.readlink(f"/proc/self/fd/{number}") for number in range(3)).encode()
        start_response("200 OK", [("Content-Length", str(len(content)))])
        return [content]
"""

CLOSED = {"stdin": "0<&-", "stdout": "1>&-", "stderr": "2>&-"}
CASES = pytest.mark.parametrize("names", [[name] for name in CLOSED] + [list(CLOSED)], ids="-".join)

ANSWER = re.compile(rb"HTTP/1\.1 200 OK\r\n(?:[A-Za-z-]+: [^\r\n]*\r\n)+\r\nanswer")
FAILURE = re.compile(rb"HTTP/1\.1 500 [^\r\n]+\r\n(?:[A-Za-z-]+: [^\r\n]*\r\n)+\r\nInternal Server Error")

#: With so many lines a log does not wait for more before it writes them.
MANY = 1500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for module in ("opening", "plain"):
        (tmp_path / f"{module}.py").write_text(dedent(APPLICATION))
    return tmp_path


@contextmanager
def started(folder: Path, names: list[str], *arguments: str) -> Iterator[ServerProcess]:
    """Run the command with these arguments, and these streams closed."""
    redirect = " ".join(CLOSED[name] for name in names)
    command = [sys.executable, "-bb", "-m", "greenserve", *arguments]
    with start_process(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *command],
        cwd=folder,
        env={"GREENSERVE_BIND": f"unix:{folder / 'socket'}"},
        ready=None,
    ) as server:
        yield server


def connect(folder: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS)
    try:
        client.connect(str(folder / "socket"))
    except OSError:
        client.close()
        raise
    return client


def is_listening(server: ServerProcess, folder: Path) -> bool:
    assert server.is_running, server.report("ended at once")
    try:
        connect(folder).close()
    except OSError:
        return False
    return True


def ask(client: socket.socket, path: str, pattern: re.Pattern[bytes] = ANSWER) -> None:
    """See that the response to a request, and nothing else, is what arrives."""
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    received = b""
    while not pattern.fullmatch(received):
        octets = client.recv(65536)
        assert octets, received
        received += octets
        assert len(received) < 1000, received


def read_streams(folder: Path) -> list[str]:
    """Return what the server's descriptors 0, 1 and 2 are."""
    with closing(connect(folder)) as client:
        client.sendall(b"GET /streams HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = b""
        while octets := client.recv(65536):
            received += octets
    return received.partition(b"\r\n\r\n")[2].decode().split("\n")


@CASES
def test_no_log_line_lands_in_a_client_s_socket(folder: Path, names: list[str]) -> None:
    with started(folder, names, "opening") as server:
        wait_for(lambda: is_listening(server, folder), "the server")
        with closing(connect(folder)) as first:
            ask(first, "/release")
            clients = [connect(folder) for _ in range(4)]
            for client in clients:
                ask(client, "/fail", FAILURE)
                client.close()
            clients = [connect(folder) for _ in range(4)]
            for number in range(MANY):
                for client in (first, *clients):
                    ask(client, f"/{number}")
            for client in clients:
                client.close()
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0


@CASES
def test_a_stream_that_was_closed_is_the_null_device(folder: Path, names: list[str]) -> None:
    with started(folder, names, "plain") as server:
        wait_for(lambda: is_listening(server, folder), "the server")
        kinds = [link.partition(":")[0] for link in read_streams(folder)]
    assert kinds == [
        "/dev/null" if name in names or name == "stdin" else "pipe"  # as `start_process` gives them
        for name in CLOSED
    ]


def test_a_command_that_cannot_complain_fails_all_the_same(folder: Path) -> None:
    with started(folder, list(CLOSED), "plain", "--backlog", "x") as server:
        assert server.wait() == 2


@CASES
def test_a_program_of_the_application_has_them_too(folder: Path, names: list[str]) -> None:
    with started(folder, names, "plain") as server:
        wait_for(lambda: is_listening(server, folder), "the server")
        with closing(connect(folder)) as client:
            ask(client, "/program", re.compile(rb"HTTP/1\.1 200 OK\r\n(?:[A-Za-z-]+: [^\r\n]*\r\n)+\r\n0"))

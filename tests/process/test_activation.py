"""Sockets that systemd has bound (sd_listen_fds(3)): served, handed on by an upgrade, never shut."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.process import ROOT, start_process
from tests.process.masters import SECONDS, Master, children_of, is_alive, wait_until
from tests.process.test_master_upgrade import upgraded


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """Return what systemd has bound: a TCP socket and a Unix one."""
    with ExitStack() as held:
        tcp = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
        unix = held.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(tmp_path / "socket"))
        unix.listen(2048)
        for each in (tcp, unix):
            each.set_inheritable(True)
        yield [tcp, unix]


@contextmanager
def activated(
    folder: Path, sockets: list[socket.socket], *arguments: str, right: bool = True, ready: str | None
) -> Iterator[Master]:
    """Run the server with these sockets; LISTEN_PID is `right`, or somebody else's number."""
    filenos = [each.fileno() for each in sockets]
    command = [sys.executable, str(ROOT / "tests/process/activating.py"), json.dumps(filenos)]
    command += ["right" if right else "wrong", sys.executable, "-bb", "-m", "greenserve", "site_app"]
    with start_process([*command, *arguments], cwd=folder, ready=ready, pass_fds=filenos) as server:
        server.__class__ = Master
        assert isinstance(server, Master)
        server.port = sockets[0].getsockname()[1]
        yield server


def ask(each: socket.socket) -> int:
    """Return the process that answers at an address."""
    with socket.socket(each.family) as client:
        client.settimeout(SECONDS)
        client.connect(each.getsockname())
        client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with client.makefile("rb") as answer:
            return int(answer.read().split()[-1])


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_both_sockets_are_served_and_stay_when_the_service_ends(folder, sockets, workers):
    with activated(folder, sockets, *workers, ready="listening on") as server:
        there = set(server.wait_ready(2)) if workers else {server.pid}
        assert {ask(each) for each in sockets} <= there
        environ = Path(f"/proc/{server.pid}/environ").read_bytes()
        assert b"LISTEN_FDS=2" in environ  # as it was when it began; no child gets it
    assert server.wait() == 0
    # systemd has them still, and starts the service when somebody comes.
    waiting = [begin(each) for each in sockets]
    with activated(folder, sockets, *workers, ready="listening on"):
        for client in waiting:
            with client, client.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 200 OK\r\n"


def begin(each: socket.socket) -> socket.socket:
    """Return a connection with a request that nobody answers yet."""
    client = socket.socket(each.family)
    client.settimeout(SECONDS)
    client.connect(each.getsockname())
    client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    return client


@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
def test_sockets_of_another_process_are_not_ours(folder, sockets, workers):
    with activated(
        folder, sockets, *workers, "--bind", "127.0.0.1:0", right=False, ready="listening on"
    ) as server:
        line = server.wait_for_line(r"listening on (\S+),")[1]
        assert str(server.port) not in line
        assert "unix" not in line
        assert not any("systemd has passed" in each for each in server.lines)


def test_those_that_no_address_names_are_mentioned(folder, sockets):
    arguments = ("--workers", "1", "--bind", "fd://3")
    with activated(folder, sockets, *arguments, ready="listening on") as server:
        server.wait_for_line("systemd has passed sockets that no address names, and nobody serves: fd://4")
        assert ask(sockets[0]) in server.workers


def test_an_upgrade_hands_them_on(folder, sockets):
    with activated(folder, sockets, "--workers", "2", ready="listening on") as master:
        for _ in range(2):  # and the end of the first one refuses nobody
            assert {ask(each) for each in sockets} <= master.workers
        with upgraded(master) as new:
            assert {ask(each) for each in sockets} <= children_of(new)
            os.kill(new, signal.SIGUSR2)
            newest = int(master.wait_for_lines(r"the new master, process (\d+), is ready", 2)[1][1])
            wait_until(lambda: not is_alive(new), "the end of the one before")
            try:
                assert {ask(each) for each in sockets} <= children_of(newest)
            finally:
                os.kill(newest, signal.SIGTERM)
                wait_until(lambda: not is_alive(newest), "the end of the last one")
    waiting = [begin(each) for each in sockets]  # they are systemd's, and nobody was told to refuse
    for client in waiting:
        client.close()

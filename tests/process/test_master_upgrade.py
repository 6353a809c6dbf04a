"""USR2: a new master takes over the sockets; the old one ends when that serves, or else goes on."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from tests.process.masters import (
    SECONDS,
    Gate,
    Master,
    children_of,
    is_alive,
    read_answer,
    start_master,
    wait_until,
    write_application,
)


@contextmanager
def upgrading(master: Master) -> Iterator[int]:
    """Upgrade; give the number of the new master once it is ready.  It is ended afterwards."""
    master.send_signal(signal.SIGUSR2)
    new = int(master.wait_for_line(r"the new master, process (\d+), is ready")[1])
    try:
        yield new
    finally:
        end(new)


@contextmanager
def upgraded(master: Master) -> Iterator[int]:
    """Upgrade, as `upgrading` does, and wait for the end of the old master."""
    with upgrading(master) as new:
        wait_until(lambda: not is_alive(master.pid), "the end of the old master")
        yield new


def end(pid: int) -> None:
    """End a master that is nobody's child, and may have made way for another one."""
    workers = children_of(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not any(map(is_alive, {pid, *workers})), "the end of the new master and its workers")


def test_the_new_master_serves_on_the_same_port_and_the_old_one_ends(folder):
    with start_master(folder) as master:
        old = set(master.wait_ready(2))
        write_application(folder, one="two")
        with upgraded(master) as new:
            assert not any(map(is_alive, old))
            version, pid = master.ask()
            assert (version, pid in children_of(new)) == ("two", True)
            assert not any("[error]" in line for line in master.lines)
    assert master.wait() == 0


def test_no_request_is_lost_by_an_upgrade(folder):
    gate = Gate()
    with gate.listener, start_master(folder) as master, closing(master.connect()) as connection:
        connection.request("GET", gate.path)
        held, old = gate.wait_for_knock()
        with held:
            write_application(folder, one="two")
            with upgrading(master):
                wait_until(lambda: master.ask()[0] == "two", "an answer of the new code")
                held.sendall(b"x")
                assert read_answer(connection) == ("one", old)
                wait_until(lambda: not is_alive(master.pid), "the end of the old master")


@pytest.mark.parametrize("broken", ["def application(:", "import os; os._exit(0)"])
def test_a_new_master_that_cannot_start_leaves_the_old_one_in_place(folder, broken):
    with start_master(folder) as master:
        old = set(master.wait_ready(2))
        for _ in range(2):  # it can be tried again
            write_application(folder, broken)
            master.send_signal(signal.SIGUSR2)
            master.wait_for_line(
                "the upgrade has failed, the old master goes on: the new one ended with the status 4"
            )
            wait_until(lambda: master.workers == old, "the old workers alone")
            assert master.ask()[0] == "one"
            master.lines.clear()
        write_application(folder, one="two")
        with upgraded(master):
            assert master.ask()[0] == "two"
    assert master.wait() == 0


def test_only_one_upgrade_at_a_time(folder):
    with start_master(folder) as master:
        master.wait_ready(2)
        write_application(folder, "import time\ntime.sleep(600)")
        master.send_signal(signal.SIGUSR2)
        master.wait_for_line("starting a new master")
        master.send_signal(signal.SIGUSR2)
        master.wait_for_line("no upgrade: one is under way")
        (new,) = children_of(master.pid) - set(master.wait_ready(2))
        wait_until(lambda: children_of(new), "the workers of the new master")
        booting = children_of(new)
        master.send_signal(signal.SIGTERM)  # the end of the one is the end of the other
        assert master.wait() == 0
        wait_until(lambda: not any(map(is_alive, {new, *booting})), "the end of the new one")


def test_the_pid_file_passes_over(folder):
    path = folder / "pid"
    with start_master(folder, "--pidfile", str(path)) as master:
        assert int(path.read_text()) == master.pid
        with upgraded(master) as new:
            wait_until(lambda: path.exists() and int(path.read_text()) == new, "the new number in the file")
        assert not path.exists()


def test_a_unix_socket_stays_where_it_is_and_goes_with_the_last_master(folder):
    path = folder / "socket"
    bind = ("--bind", f"unix:{path}")
    with start_master(folder, *bind, ready="listening on unix:") as master:
        inode = path.stat().st_ino
        with upgraded(master):
            assert path.stat().st_ino == inode
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(SECONDS)
                client.connect(str(path))
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.")
        assert not path.exists()


def test_upgrades_follow_upon_each_other(folder):
    with start_master(folder, workers=1) as master:
        last = master.pid
        try:
            for count in range(1, 4):
                os.kill(last, signal.SIGUSR2)
                line = master.wait_for_lines(r"the new master, process (\d+), is ready", count)[-1]
                before, last = last, int(line[1])
                wait_until(lambda pid=before: not is_alive(pid), "the end of the one before")
                assert master.ask()[0] == "one"
        finally:
            if last != master.pid:
                end(last)

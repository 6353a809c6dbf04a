"""More workers, fewer, none; logs opened again."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.process.masters import is_asleep, read_answer, start_master, wait_until, write_application
from tests.process.trees import open_files


def test_ttin_and_ttou_add_and_take_a_worker(folder):
    with start_master(folder) as master:
        first, second = master.wait_ready(2)
        master.send_signal(signal.SIGTTIN)
        third = master.wait_ready(3)[2]
        wait_until(lambda: master.workers == {first, second, third}, "three workers")
        master.send_signal(signal.SIGTTOU)
        wait_until(lambda: master.workers == {second, third}, "the end of the oldest")
        master.send_signal(signal.SIGTTOU)
        wait_until(lambda: master.workers == {third}, "the end of the next one")
        master.send_signal(signal.SIGTTOU)  # never below one
        wait_until(lambda: is_asleep(master.pid), "a master that has heard it")
        master.send_signal(signal.SIGTTIN)
        fourth = master.wait_ready(4)[3]
        assert master.workers == {third, fourth}
        assert master.ask()[0] == "one"


def test_winch_ends_the_workers_and_ttin_brings_them_back(folder):
    with start_master(folder) as master:
        master.wait_ready(2)
        master.send_signal(signal.SIGWINCH)
        wait_until(lambda: not master.workers, "the end of all workers")
        with closing(master.connect()) as connection:  # it waits in the queue
            connection.request("GET", "/")
            master.send_signal(signal.SIGTTIN)
            assert read_answer(connection)[0] == "one"
        assert len(set(master.wait_ready(4))) == 4


def test_hup_brings_them_back_with_the_new_code(folder):
    with start_master(folder) as master:
        master.wait_ready(2)
        master.send_signal(signal.SIGWINCH)
        wait_until(lambda: not master.workers, "the end of all workers")
        write_application(folder, one="two")
        master.send_signal(signal.SIGHUP)
        assert master.ask()[0] == "two"
        wait_until(lambda: len(master.workers) == 2, "two workers")


def test_usr1_opens_the_logs_of_master_and_workers_again(folder):
    arguments = ("--error-log", "errors.log", "--access-log", "access.log")
    with start_master(folder, *arguments, ready=None) as master:
        errors, access = folder / "errors.log", folder / "access.log"
        wait_until(lambda: errors.exists() and errors.read_text().count(" is ready") == 2, "two workers")
        wait_until(lambda: "listening on" in errors.read_text(), "the line that says where")
        line = next(line for line in errors.read_text().splitlines() if "listening on" in line)
        master.port = int(line.split(":")[-1].split(",")[0])
        master.ask("/before")
        wait_until(lambda: "/before" in access.read_text(), "the line in the file")
        for path in (errors, access):
            path.rename(f"{path}.1")
        master.send_signal(signal.SIGUSR1)
        for pid in (master.pid, *master.workers):
            wanted = {errors} if pid == master.pid else {errors, access}
            wait_until(lambda pid=pid, wanted=wanted: logs_of(pid, folder) == wanted, "the new files")
        master.ask("/after")
        wait_until(lambda: "/after" in access.read_text(), "the line in the new file")
        assert "/before" in Path(f"{access}.1").read_text()
        master.send_signal(signal.SIGTERM)
        assert master.wait() == 0
        assert "stopped" in errors.read_text().splitlines()[-1]
    assert master.lines == []


def logs_of(pid: int, folder: Path) -> set[Path]:
    """Return the log files in a folder that a process has open."""
    return {path for path in open_files(pid) if path.parent == folder and ".log" in path.name}


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH, signal.SIGINT]
)
def test_what_is_for_the_master_does_nothing_to_a_worker(folder, number):
    with start_master(folder, workers=1) as master:
        (pid,) = master.wait_ready(1)
        for _ in range(3):
            os.kill(pid, number)
            assert master.ask() == ("one", pid)


def test_a_storm_of_ttin_and_ttou_ends_with_the_right_number(folder):
    with start_master(folder) as master:
        master.wait_ready(2)
        for count in range(6):
            os.kill(master.pid, signal.SIGTTIN)
            master.wait_for_lines(r"\] \d workers, from \d", 2 * count + 1)
            os.kill(master.pid, signal.SIGTTOU)
            master.wait_for_lines(r"\] \d workers, from \d", 2 * count + 2)
        wait_until(lambda: len(master.workers) == 2, "two workers")
        assert master.ask()[0] == "one"

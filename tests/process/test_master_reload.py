"""HUP: the new generation serves before the old one ends, and a broken one never replaces it."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.process.masters import (
    ask,
    is_alive,
    is_asleep,
    read_answer,
    start_master,
    wait_until,
    write_application,
)

CONFIGURED = "bind = '127.0.0.1:0'\nworkers = {}\n"


@pytest.fixture
def configuration(folder: Path) -> Path:
    path = folder / "conf.py"
    path.write_text(CONFIGURED.format(1))
    return path


def test_a_reload_serves_the_new_code_and_ends_the_old_workers(folder):
    with start_master(folder) as master:
        old = set(master.wait_ready(2))
        write_application(folder, one="two")
        master.send_signal(signal.SIGHUP)
        new = set(master.wait_ready(4)[2:])
        wait_until(lambda: master.workers == new, "the new workers alone")
        assert not old & new
        version, pid = master.ask()
        assert (version, pid in new) == ("two", True)
        stopped = master.wait_for_lines(r"\(process (\d+)\) has stopped", 2)
        assert {int(match[1]) for match in stopped} == old
    assert master.wait() == 0


def test_requests_in_flight_end_in_the_old_worker(folder, gate):
    with start_master(folder) as master, closing(master.connect()) as connection:
        old = set(master.wait_ready(2))
        connection.request("GET", gate.path)
        held, pid = gate.wait_for_knock()
        with held:
            write_application(folder, one="two")
            master.send_signal(signal.SIGHUP)
            wait_until(lambda: master.workers & old == {pid}, "the end of the other old worker")
            master.wait_for_line("waiting up to .* for .*/wait")  # this one accepts nobody any more
            assert master.ask()[0] == "two"
            held.sendall(b"x")
        assert read_answer(connection) == ("one", pid)
        wait_until(lambda: not is_alive(pid), "the end of the old worker")


@pytest.mark.parametrize(
    "broken", ["def application(:", "import os; os._exit(0)", "import nothing_of_that_name"]
)
def test_a_generation_that_does_not_come_up_leaves_the_old_one_in_place(folder, broken):
    with start_master(folder) as master:
        old = set(master.wait_ready(2))
        write_application(folder, broken)
        master.send_signal(signal.SIGHUP)
        master.wait_for_line("the reload has failed, the old workers go on: worker")
        wait_until(lambda: master.workers == old, "the old workers alone")
        assert master.ask()[0] == "one"
        write_application(folder, one="three")
        master.send_signal(signal.SIGHUP)
        master.wait_for_line("reloaded")
        wait_until(lambda: not master.workers & old, "the end of the old workers")
        assert master.ask()[0] == "three"


def test_a_generation_that_hangs_is_given_up_after_the_boot_timeout(folder, configuration):
    with start_master(folder, "-c", "conf.py", workers=None) as master:
        old = set(master.wait_ready(1))
        write_application(folder, "import time\ntime.sleep(600)")
        # For those who hang, and not before: the first ones may need longer than that.
        configuration.write_text(CONFIGURED.format(2) + "boot_timeout = 1.5\n")
        master.send_signal(signal.SIGHUP)
        master.wait_for_line("the reload has failed, the old workers go on: .*is not ready after 1.5 s")
        wait_until(lambda: master.workers == old, "the old workers alone")
        assert master.ask()[0] == "one"


def test_hups_that_come_during_a_reload_are_one_more(folder):
    with start_master(folder, workers=1) as master:
        master.wait_ready(1)
        waiting = "while not os.path.exists('go'): time.sleep(0.01)\nVERSION ="
        write_application(folder, **{"VERSION =": waiting})
        master.send_signal(signal.SIGHUP)
        master.wait_for_lines(r"\[info\] reloading", 1)
        for _ in range(5):
            os.kill(master.pid, signal.SIGHUP)
            wait_until(lambda: is_asleep(master.pid), "a master that has heard it")
        (folder / "go").touch()
        pids = master.wait_ready(3)
        wait_until(lambda: master.workers == {pids[2]}, "the last worker alone")
        master.wait_for_lines("reloaded: ", 2)
        assert sum("] reloading" in line for line in master.lines) == 2


def test_the_configuration_is_read_again(folder, configuration):
    with start_master(folder, "-c", "conf.py", workers=None) as master:
        master.wait_ready(1)
        configuration.write_text(CONFIGURED.format(3) + "server_header = 'renamed'\n")
        master.send_signal(signal.SIGHUP)
        master.wait_ready(4)
        master.wait_for_line("reloaded: 3 workers")
        wait_until(lambda: len(master.workers) == 3, "three workers")
        with closing(master.connect()) as connection:
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert answer.getheader("Server") == "renamed"
            answer.read()


def test_a_wrong_configuration_is_logged_and_the_old_one_stays(folder, configuration):
    with start_master(folder, "-c", "conf.py", workers=None) as master:
        (old,) = master.wait_ready(1)
        configuration.write_text("workers = 'many'\n")
        master.send_signal(signal.SIGHUP)
        master.wait_for_line("the settings cannot be used, the old ones stay: .*workers: 'many'")
        configuration.write_text("1 / 0\n")
        master.send_signal(signal.SIGHUP)
        master.wait_for_line(r"^    ZeroDivisionError: division by zero")
        assert master.workers == {old}
        with closing(master.connect()) as connection:
            assert ask(connection) == ("one", old)


def test_what_needs_an_upgrade_is_said_and_stays(folder, configuration):
    with start_master(folder, "-c", "conf.py", workers=None) as master:
        master.wait_ready(1)
        configuration.write_text("workers = 1\nbacklog = 5\npidfile = 'other.pid'\n")
        master.send_signal(signal.SIGHUP)
        master.wait_for_line(r"changed, but not before an upgrade \(USR2\): backlog, pidfile")
        master.wait_for_line("reloaded")
        assert master.ask()[0] == "one"


def test_a_link_to_the_current_release_is_followed_again(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_application(tmp_path / name, one=name)
    (tmp_path / "current").symlink_to("one")
    with start_master(tmp_path, "--chdir", "current") as master:
        assert master.ask()[0] == "one"
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").rename(tmp_path / "current")
        master.send_signal(signal.SIGHUP)
        new = set(master.wait_ready(4)[2:])
        wait_until(lambda: master.workers == new, "the new workers alone")
        assert master.ask()[0] == "two"


def test_a_stop_during_a_reload_ends_both_generations(folder):
    with start_master(folder) as master:
        master.wait_ready(2)
        write_application(folder, "import time\ntime.sleep(600)")
        master.send_signal(signal.SIGHUP)
        wait_until(lambda: len(master.workers) == 4, "two workers of each generation")
        master.send_signal(signal.SIGTERM)
        assert master.wait() == 0

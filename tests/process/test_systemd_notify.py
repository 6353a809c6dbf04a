"""What systemd is told by a service, over the socket that it reads."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.process import start_server
from tests.process.masters import is_alive, start_master, wait_until, write_application
from tests.process.supervising import notified

WATCHDOG = 400_000  # microseconds


@pytest.mark.parametrize("abstract", [False, True])
def test_a_life_from_start_to_stop(folder, abstract):
    with notified(folder, abstract) as told:
        environ = {"NOTIFY_SOCKET": told.address}
        with start_master(folder, "--graceful-timeout", "20", "--boot-timeout", "90", env=environ) as master:
            assert told.wait_for(EXTEND_TIMEOUT_USEC="95000000") == {"EXTEND_TIMEOUT_USEC": "95000000"}
            ready = told.wait_for(READY="1")
            assert ready == {"READY": "1", "MAINPID": str(master.pid), "STATUS": "2 workers"}
            before = time.monotonic()
            master.send_signal(signal.SIGHUP)
            reloading = told.wait_for(RELOADING="1")
            assert set(reloading) == {"RELOADING", "MONOTONIC_USEC", "STATUS"}
            assert before < int(reloading["MONOTONIC_USEC"]) / 1_000_000 < time.monotonic()
            assert told.wait_for(READY="1") == {"READY": "1", "STATUS": "2 workers"}
            master.send_signal(signal.SIGTERM)
            assert told.wait_for(STOPPING="1")["STATUS"] == "stopping"
            assert told.wait_for(EXTEND_TIMEOUT_USEC="25000000")
            assert master.wait() == 0
            assert told.rest() == []


def test_settings_that_cannot_be_used_end_the_reload_too(folder):
    path = folder / "greenserve.conf.py"
    path.write_text("workers = 1")
    with notified(folder) as told:
        environ = {"NOTIFY_SOCKET": told.address}
        with start_master(folder, "--config", str(path), workers=None, env=environ) as master:
            told.wait_for(READY="1")
            path.write_text("worker = 1")
            master.send_signal(signal.SIGHUP)
            told.wait_for(RELOADING="1")
            assert told.wait_for(READY="1")["STATUS"] == "1 workers"
            master.wait_for_line("the settings cannot be used, the old ones stay")


@pytest.mark.parametrize("end", ["WINCH", "a broken application"])
def test_a_reload_that_comes_to_nothing_has_an_end(folder, end):
    with notified(folder) as told:
        with start_master(folder, env={"NOTIFY_SOCKET": told.address}) as master:
            told.wait_for(READY="1")
            master.wait_ready(2)
            broken = "import time\ntime.sleep(600)" if end == "WINCH" else "import nothing_of_that_name"
            write_application(folder, broken)
            master.send_signal(signal.SIGHUP)
            told.wait_for(RELOADING="1")
            if end == "WINCH":
                master.send_signal(signal.SIGWINCH)
            status = told.wait_for(READY="1")["STATUS"]
            assert status == ("no workers" if end == "WINCH" else "2 workers")


def test_the_watchdog_is_fed_also_while_there_should_be_no_worker(folder):
    with notified(folder) as told:
        environ = {"NOTIFY_SOCKET": told.address, "WATCHDOG_USEC": str(WATCHDOG)}
        with start_master(folder, env=environ) as master:
            told.wait_for(READY="1")
            for _ in range(3):
                told.wait_for(WATCHDOG="1")
            master.send_signal(signal.SIGWINCH)
            wait_until(lambda: not master.workers, "the end of all workers")
            told.rest()
            for _ in range(3):
                told.wait_for(WATCHDOG="1")


def test_an_upgrade_names_the_new_main_process_which_is_watched_then(folder):
    with notified(folder) as told:
        environ = {"NOTIFY_SOCKET": told.address, "WATCHDOG_USEC": str(WATCHDOG)}
        with start_master(folder, workers=1, env=environ) as master:
            told.wait_for(READY="1")
            master.send_signal(signal.SIGUSR2)
            new = int(master.wait_for_line(r"the new master, process (\d+), is ready")[1])
            try:
                told.wait_for(MAINPID=str(new))
                wait_until(lambda: not is_alive(master.pid), "the end of the old master")
                told.rest()
                told.wait_for(WATCHDOG="1")
            finally:
                os.kill(new, signal.SIGTERM)
            assert told.wait_for(STOPPING="1")
            wait_until(lambda: not is_alive(new), "the end of the new master")


def test_an_upgrade_in_the_middle_of_a_reload_ends_that_first(folder):
    with notified(folder) as told:
        with start_master(folder, workers=1, env={"NOTIFY_SOCKET": told.address}) as master:
            told.wait_for(READY="1")
            write_application(folder, "open('began', 'w').close()\nimport time\ntime.sleep(600)")
            master.send_signal(signal.SIGHUP)
            told.wait_for(RELOADING="1")
            wait_until((folder / "began").exists, "the new worker, which takes its time")
            write_application(folder)
            master.send_signal(signal.SIGUSR2)
            new = int(master.wait_for_line(r"the new master, process (\d+), is ready")[1])
            try:
                # While it is the main process: what others say is not heard.
                said = [told.wait_for(READY="1") for _ in range(2)]  # the new master's own, and the end
                assert {"READY": "1", "STATUS": "a new master serves"} in said
                assert told.wait_for(MAINPID=str(new)) == {"MAINPID": str(new)}
            finally:
                os.kill(new, signal.SIGTERM)
            wait_until(lambda: not is_alive(new), "the end of the new master")


def test_one_process_without_a_master(folder):
    with notified(folder) as told:
        environ = {"NOTIFY_SOCKET": told.address, "WATCHDOG_USEC": str(WATCHDOG)}
        with start_server("site_app", cwd=folder, env=environ) as server:
            ready = told.wait_for(READY="1")
            assert ready == {"READY": "1", "MAINPID": str(server.pid), "STATUS": "serving"}
            for _ in range(3):
                told.wait_for(WATCHDOG="1")
            server.send_signal(signal.SIGTERM)
            told.wait_for(STOPPING="1")
            assert told.wait_for(EXTEND_TIMEOUT_USEC="35000000")
            assert server.wait() == 0

"""A master's start: workers that answer, and what is said when they cannot."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.process import start_process
from tests.process.cgroups import control_group
from tests.process.masters import start_master, wait_until, write_application


def test_each_worker_is_a_process_of_its_own_and_answers(folder):
    with start_master(folder, workers=3) as master:
        ready = set(master.wait_ready(3))
        assert ready == master.workers
        assert len(ready) == 3
        answered = set()
        wait_until(lambda: answered.add(master.ask()[1]) or answered == ready, "an answer of each worker")
    assert master.wait() == 0
    assert master.lines[-1].endswith("stopped")


def test_the_master_itself_brings_in_neither_gevent_nor_ssl(folder):
    with start_master(folder) as master:
        mapped = Path(f"/proc/{master.pid}/maps").read_text()
        worker = Path(f"/proc/{master.wait_ready(1)[0]}/maps").read_text()
    assert re.search(r"/gevent/.*\.so|/_ssl\.", worker)
    assert not re.search(r"/gevent/.*\.so|/_ssl\.", mapped)


def test_the_master_sleeps_and_starts_no_thread(folder):
    with start_master(folder) as master:
        master.wait_ready(2)
        status = Path(f"/proc/{master.pid}/status").read_text()
    assert "\nThreads:\t1\n" in status


def test_auto_is_the_number_of_cpus(folder):
    from greenserve.process.cpus import available

    with start_master(folder, workers="auto") as master:
        assert len(set(master.wait_ready(available()))) == available()
        master.wait_for_line(f", {available()} workers")


@pytest.mark.parametrize(("quota", "expected"), [(150000, 2), (100000, 1)])
def test_auto_is_the_number_of_cpus_that_the_control_group_grants(folder, quota, expected):
    from greenserve.process.cpus import affinity

    with control_group("quota", quota) as members:
        enter = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(members)]
        command = [*enter, sys.executable, "-m", "greenserve", "site_app", "--workers", "auto"]
        with start_process(command, cwd=folder) as master:
            master.wait_for_line(rf", {min(expected, affinity())} workers")


BROKEN = {
    "import error": ("import nothing_of_that_name", "there is no module|No module named", 4),
    "syntax error": ("def application(:", "SyntaxError", 4),
    "no application": ("x = 1", "has no attribute application or app", 4),
    "exit": ("import sys; sys.exit(7)", "SystemExit", 4),
    "dies": ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL", 4),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_keeps_the_first_workers_from_starting_is_said_once(tmp_path, name):
    source, expected, status = BROKEN[name]
    write_application(tmp_path, source)
    with start_master(tmp_path, ready=None) as master:
        assert master.wait() == status
    assert len([line for line in master.lines if line.startswith("greenserve: error: ")]) == 1, master.lines
    assert re.search(expected, "\n".join(master.lines)), master.lines
    assert "listening" not in "\n".join(master.lines)


def test_a_worker_class_that_is_not_there_is_status_2(folder):
    with start_master(folder, "--worker-class", "nowhere.Worker", ready=None) as master:
        assert master.wait() == 2
    (line,) = master.lines
    assert "error: --worker-class: 'nowhere.Worker': it cannot be imported" in line


@pytest.mark.parametrize("flag", ["--certfile", "--access-log"])
def test_what_a_worker_cannot_use_is_called_as_it_was_given(folder, flag):
    with start_master(folder, flag, "nowhere/file", ready=None) as master:
        assert master.wait() == 2
    assert master.lines == [f"greenserve: error: {flag}: 'nowhere/file': No such file or directory"]


def test_a_reload_calls_it_as_it_is_given_now(folder):
    path = folder / "greenserve.conf.py"
    path.write_text("")
    with start_master(folder, "--config", str(path)) as master:
        path.write_text("certfile = 'nowhere.pem'")
        master.send_signal(signal.SIGHUP)
        master.wait_for_line(r"the old workers go on: .*\): certfile: 'nowhere.pem': No such file")
        master.wait_ready(2)


def test_a_port_in_use_is_status_1(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with start_master(folder, "--bind", address, ready=None) as master:
            assert master.wait() == 1
    (line,) = master.lines
    assert line.startswith(f"greenserve: error: cannot listen on {address}")


def test_an_application_that_takes_too_long_to_import_shows_where(tmp_path):
    write_application(tmp_path, "import time\ntime.sleep(600)\n")
    with start_master(tmp_path, "--boot-timeout", "5", ready=None) as master:
        assert master.wait() == 4
    text = "\n".join(master.lines)
    assert "is not ready after 5 s" in text
    assert re.search(r"greenserve: error: worker \d+ \(process \d+\): it is not ready after 5 s", text), text
    assert re.search(r'site_app\.py", line 2 in <module>', text), text


def test_a_unix_socket_goes_with_the_master(folder):
    path = folder / "socket"
    with start_master(folder, "--bind", f"unix:{path}", ready=f"listening on unix:{path}") as master:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert master.wait() == 0
    assert not path.exists()


WARMING = """
    import os
    asked = []

    def application(environ, start_response):
        asked.append(environ["RAW_URI"])
        start_response("500 Oh" if environ["PATH_INFO"] == "/broken" else "200 OK", [])
        return [" ".join(asked).encode()]
"""


def test_the_warm_up_request_is_answered_before_any_other(tmp_path):
    import urllib.request

    write_application(tmp_path, WARMING)
    with start_master(tmp_path, "--warmup-path", "/warm?up=1", workers=1) as master:
        with urllib.request.urlopen(master.url("/first")) as answer:
            assert answer.read() == b"/warm?up=1 /first"


def test_an_application_that_fails_its_warm_up_does_not_start(tmp_path):
    write_application(tmp_path, WARMING)
    with start_master(tmp_path, "--warmup-path", "/broken", ready=None) as master:
        assert master.wait() == 4
    (line,) = (line for line in master.lines if line.startswith("greenserve: error:"))
    assert "the warm-up request for /broken was answered with '500 Oh'" in line


def test_deadlines_that_are_far_away_are_slept_for_in_parts(folder):
    """poll() takes 24 days at most."""
    month = ("--timeout", "0", "--max-worker-age", str(30 * 86400))
    with start_master(folder, *month, workers=1) as master:
        (worker,) = master.wait_ready(1)
        os.kill(master.pid, signal.SIGCHLD)  # it looks around, and sleeps again
        assert master.ask() == ("one", worker)
        os.kill(master.pid, signal.SIGTTIN)
        master.wait_ready(2)
        assert master.ask()[0] == "one"


CLOSED_TO_THE_CHILD = """
    workers = 1

    def pre_fork(server, worker):
        def keep(share):
            raise OSError("nothing can be kept")

        server.listeners.keep = keep
"""


def test_a_child_that_fails_at_once_is_no_second_master(folder):
    path = folder / "greenserve.conf.py"
    path.write_text(dedent(CLOSED_TO_THE_CHILD))
    with start_master(folder, "--config", str(path), workers=None, ready=None) as master:
        assert master.wait() == 4
    assert master.lines.count("OSError: nothing can be kept") == 1, master.lines
    assert re.fullmatch(
        r"greenserve: error: worker \d+ \(process \d+\) ended with the status 4 before it was ready",
        master.lines[-1],
    )


def title_of(pid: int) -> str:
    """Return what ps shows of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0 ").decode()


def test_the_processes_say_what_they_are_where_setproctitle_is_installed(folder):
    pytest.importorskip("setproctitle", reason="the package setproctitle is not installed")
    with start_master(folder, "--proc-name", "shop", workers=2) as master:
        first, second = master.wait_ready(2)
        assert [title_of(pid) for pid in (master.pid, first, second)] == [
            "greenserve: master [shop]",
            "greenserve: worker 1 [shop]",
            "greenserve: worker 2 [shop]",
        ]

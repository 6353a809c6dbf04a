"""--preload, hooks, the configuration file, and what systemd is told."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path
from textwrap import dedent

import pytest

from tests.process.masters import start_master, state_of, wait_until, write_application

# -- preload

PRELOADED = """
    import os, sys, time
    from gevent.monkey import is_module_patched

    IMPORTED_IN = os.getpid()

    def application(environ, start_response):
        time.sleep(0.01)  # through the hub
        assert is_module_patched("socket") and is_module_patched("threading")
        start_response("200 OK", [])
        return [f"{IMPORTED_IN} {os.getpid()}".encode()]
"""


def test_a_preloaded_application_is_imported_once_in_the_master(tmp_path):
    write_application(tmp_path, PRELOADED)
    with start_master(tmp_path, "--preload") as master:
        workers = set(master.wait_ready(2))
        answers = set()
        wait_until(lambda: answers.add(master.ask()) or len(answers) == 2, "an answer of each worker")
        assert answers == {(str(master.pid), pid) for pid in workers}
        assert "\nThreads:\t1\n" in Path(f"/proc/{master.pid}/status").read_text()
        master.send_signal(signal.SIGHUP)
        master.wait_for_line("the application was preloaded: the new workers have the same code")
        new = set(master.wait_ready(4)[2:])
        wait_until(lambda: master.workers == new, "the new workers alone")
        imported_in, pid = master.ask()
        assert (imported_in, pid in new) == (str(master.pid), True)
    assert master.wait() == 0


def test_a_hub_that_the_import_starts_is_ended_and_its_author_named(tmp_path):
    source = dedent(PRELOADED).replace("IMPORTED_IN =", "time.sleep(0.01)\nIMPORTED_IN =")
    write_application(tmp_path, source)
    with start_master(tmp_path, "--preload") as master:
        line = master.wait_for_line(r"importing the application has started an event loop.*: (.*)$")
        assert re.fullmatch(r".*/site_app\.py, line 5, in <module>", line[1]), line[1]
        assert master.ask()[0] == str(master.pid)
        assert not any("eventpoll" in os.readlink(path) for path in Path(f"/proc/{master.pid}/fd").iterdir())
        for pid in master.wait_ready(2):
            os.kill(pid, signal.SIGKILL)
        master.wait_ready(4)
        assert master.ask()[0] == str(master.pid)


def test_a_child_of_the_preloaded_application_s_is_reaped_by_the_master(tmp_path):
    source = 'import subprocess\nCHILD = subprocess.Popen(["sleep", "600"]).pid\nIMPORTED_IN ='
    write_application(
        tmp_path, dedent(PRELOADED).replace("IMPORTED_IN =", source).replace("{IM", "{CHILD or IM")
    )
    with start_master(tmp_path, "--preload") as master:
        child = int(master.ask()[0])
        assert child in master.workers  # as far as the system knows
        os.kill(child, signal.SIGKILL)  # nothing but SIGCHLD tells of it
        wait_until(lambda: state_of(child) == "X", "the end of the zombie")
        assert master.ask()[0] == str(child)


def test_a_preloaded_application_that_is_broken_is_said_by_the_master(tmp_path):
    write_application(tmp_path, "import nothing_of_that_name")
    with start_master(tmp_path, "--preload", ready=None) as master:
        assert master.wait() == 4
    assert "nothing_of_that_name" in "\n".join(master.lines)


# -- hooks

HOOKS = """
    import os, sys

    def _say(name, *details):
        print("hook", name, os.getpid(), *details, file=sys.stdout, flush=True)

    def on_starting(server): _say("on_starting", server.cfg.workers)
    def when_ready(server): _say("when_ready", server.pid, len(server.LISTENERS))
    def nworkers_changed(server, new_value, old_value): _say("nworkers_changed", new_value, old_value)
    def pre_fork(server, worker): _say("pre_fork", worker.age)
    def post_fork(server, worker): _say("post_fork", worker.age, worker.pid, server.pid)
    def post_patch(worker): _say("post_patch", "site_app" in sys.modules, "gevent" in sys.modules)
    def post_worker_init(worker): _say("post_worker_init", "site_app" in sys.modules, worker.alive)
    def pre_request(worker, req): _say("pre_request", req.method, req.path)
    def post_request(worker, req, environ, resp):
        _say("post_request", req.uri, resp.status_code, environ["REQUEST_METHOD"])
    def on_reload(server): _say("on_reload")
    def worker_exit(server, worker): _say("worker_exit", worker.age, worker.alive)
    def worker_int(worker): _say("worker_int")
    def child_exit(server, worker): _say("child_exit", worker.age, worker.exitcode)
    def pre_exec(server): _say("pre_exec")
    def on_exit(server): _say("on_exit", len(server.WORKERS))
"""


def test_the_hooks_are_called_at_their_places(folder):
    (folder / "conf.py").write_text(dedent(HOOKS))
    with start_master(folder, "-c", "conf.py", workers=1) as master:
        (worker,) = master.wait_ready(1)
        master.ask("/asked?a=b")
        master.wait_for_line("hook post_request")
        master.send_signal(signal.SIGTERM)
        assert master.wait() == 0
    said = [line.split()[1:] for line in master.output if line.startswith("hook ")]
    here, there = str(master.pid), str(worker)
    assert said == [
        ["on_starting", here, "1"],
        ["nworkers_changed", here, "1", "None"],
        ["when_ready", here, here, "1"],
        ["pre_fork", here, "1"],
        ["post_fork", there, "1", there, here],
        ["post_patch", there, "False", "True"],
        ["post_worker_init", there, "True", "True"],
        ["pre_request", there, "GET", "/asked"],
        ["post_request", there, "/asked?a=b", "200", "GET"],
        ["worker_exit", there, "1", "False"],
        ["child_exit", here, "1", "0"],
        ["on_exit", here, "0"],
    ]


def test_the_hooks_of_a_quick_end_and_of_a_reload(folder):
    (folder / "conf.py").write_text(dedent(HOOKS))
    with start_master(folder, "-c", "conf.py", workers=1) as master:
        master.wait_ready(1)
        master.send_signal(signal.SIGHUP)
        master.wait_for_line(f"hook on_reload {master.pid}")
        master.wait_for_line("hook child_exit .* 1 0")
        master.send_signal(signal.SIGQUIT)
        assert master.wait() == 0
    assert any("hook worker_int" in line for line in master.output)


def test_a_hook_that_fails_is_logged_and_ends_nothing(folder):
    (folder / "conf.py").write_text(
        "def pre_fork(server, worker): 1 / 0\ndef post_fork(server, worker): {}[1]\n"
    )
    with start_master(folder, "-c", "conf.py", workers=1) as master:
        master.wait_for_line("the hook pre_fork failed")
        master.wait_for_line("the hook post_fork failed")
        assert master.ask()[0] == "one"


def test_a_worker_that_is_aborted_calls_its_hook_before_it_is_killed(folder):
    (folder / "conf.py").write_text("def worker_abort(worker): print('aborted', worker.pid, flush=True)\n")
    with start_master(folder, "-c", "conf.py", "--timeout", "2", workers=1) as master:
        connection = master.connect()
        connection.request("GET", "/compute")
        pid = master.wait_for_line(r"computing in (\d+)")[1]
        master.wait_for_line(f"aborted {pid}")
        connection.close()


def test_a_file_without_workers_serves_in_one_process_that_is_patched(folder):
    (folder / "conf.py").write_text("server_header = 'from-the-file'\n")
    with start_master(folder, "-c", "conf.py", workers=None) as master:
        assert master.ask() == ("one", master.pid)
        assert not master.workers


# -- systemd


class Supervisor:
    """The socket that systemd reads messages from."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(self.path))
        self.sock.settimeout(30)

    def wait_for(self, text: str) -> list[str]:
        """Return the lines of the first message that has the line `text`."""
        while True:
            lines = self.sock.recv(4096).decode().split("\n")
            if text in lines:
                return lines


def test_systemd_is_told_of_start_reload_and_stop(folder):
    supervisor = Supervisor(folder)
    with supervisor.sock, start_master(folder, env={"NOTIFY_SOCKET": str(supervisor.path)}) as master:
        assert f"MAINPID={master.pid}" in supervisor.wait_for("READY=1")
        master.wait_ready(2)
        master.send_signal(signal.SIGHUP)
        assert any(line.startswith("MONOTONIC_USEC=") for line in supervisor.wait_for("RELOADING=1"))
        supervisor.wait_for("READY=1")
        master.send_signal(signal.SIGTERM)
        supervisor.wait_for("STOPPING=1")
        assert master.wait() == 0


def test_the_watchdog_is_fed_while_a_worker_turns(folder):
    supervisor = Supervisor(folder)
    env = {"NOTIFY_SOCKET": str(supervisor.path), "WATCHDOG_USEC": "400000"}
    with supervisor.sock, start_master(folder, env=env, workers=1) as master:
        master.wait_ready(1)
        for _ in range(3):
            supervisor.wait_for("WATCHDOG=1")


# -- who it runs as, and what it leaves behind


def test_without_being_asked_nothing_is_written(folder):
    before = {path for path in folder.rglob("*") if "__pycache__" not in path.parts}
    with start_master(folder, env={"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}) as master:
        master.ask()
        assert {path for path in folder.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_the_workers_run_as_another_group_whose_the_logs_are(folder):
    with start_master(folder, "--group", "65534", "--access-log", "access.log", workers=1) as master:
        (pid,) = master.wait_ready(1)
        assert group_of(pid) == "65534"
        assert group_of(master.pid) != "65534"
        (folder / "access.log").rename(folder / "access.log.1")
        master.send_signal(signal.SIGUSR1)
        wait_until((folder / "access.log").exists, "the new file")
        wait_until(lambda: (folder / "access.log").stat().st_gid == 65534, "its group")
        wait_until(
            lambda: master.ask() and "GET" in (folder / "access.log").read_text(), "a line in the new file"
        )
    assert master.wait() == 0


def group_of(pid: int) -> str:
    """Return the group that a process runs as."""
    match = re.search(r"^Gid:\t(\d+)\t", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match
    return match[1]

"""A worker class that is not ours, without gevent: the one that the documentation shows, through its life."""

from __future__ import annotations

import os
import pwd
import re
import signal
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from urllib.request import urlopen

import pytest

from tests.process import ROOT
from tests.process.masters import (
    SECONDS,
    Gate,
    Master,
    is_alive,
    kill,
    start_master,
    wait_until,
    write_application,
)

CLASS = ("--worker-class", "threads.Threads")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    page = (ROOT / "docs" / "signals.md").read_text()
    (example,) = re.findall(r"```python\n(# threads\.py.*?)```", page, re.DOTALL)
    (tmp_path / "threads.py").write_text(example)
    return write_application(tmp_path)


def ask(master: Master) -> tuple[str, int]:
    """Return who answers, and with which version; wsgiref closes after each answer."""
    with urlopen(master.url(), timeout=SECONDS) as answer:
        version, pid = answer.read().decode().split()
    return version, int(pid)


def test_it_serves_without_gevent(folder):
    with start_master(folder, *CLASS) as master:
        ready = master.wait_ready(2)
        version, pid = ask(master)
        assert (version, pid in ready) == ("one", True)
        assert "gevent" not in Path(f"/proc/{pid}/maps").read_text()
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGUSR1)
        assert master.workers == set(ready)
    assert master.wait() == 0


def test_a_request_in_flight_ends_in_the_old_worker_at_a_reload(folder):
    gate = Gate()
    with gate.listener, start_master(folder, *CLASS) as master, closing(master.connect()) as connection:
        old = set(master.wait_ready(2))
        connection.request("GET", gate.path)
        held, pid = gate.wait_for_knock()
        with held:
            write_application(folder, one="two")
            master.send_signal(signal.SIGHUP)
            wait_until(lambda: master.workers & old == {pid}, "the end of the other old worker")
            wait_until(lambda: ask(master)[0] == "two", "an answer of the new code")
            held.sendall(b"x")
            assert connection.getresponse().read() == f"one {pid}".encode()
        wait_until(lambda: not master.workers & old, "the end of the last old worker")


def test_a_broken_version_leaves_it_in_place(folder):
    with start_master(folder, *CLASS) as master:
        old = set(master.wait_ready(2))
        write_application(folder, "def application(:")
        master.send_signal(signal.SIGHUP)
        master.wait_for_line("the reload has failed, the old workers go on: .*syntax error")
        wait_until(lambda: master.workers == old, "the old workers alone")
        assert ask(master)[0] == "one"


def test_after_max_requests_its_successor_is_ready_first(folder):
    with start_master(folder, *CLASS, "--max-requests", "5", workers=1) as master:
        (old,) = master.wait_ready(1)
        assert [ask(master) for _ in range(5)] == [("one", old)] * 5
        master.wait_for_line("is replaced: it has served 5 requests")
        new = master.wait_ready(2)[1]
        wait_until(lambda: master.workers == {new}, "the new worker alone")
        assert ask(master) == ("one", new)


def test_one_that_dies_is_replaced_and_one_that_stands_still_is_killed(folder):
    with start_master(folder, *CLASS, "--timeout", "1", workers=1) as master:
        (first,) = master.wait_ready(1)
        kill(first)
        second = master.wait_ready(2)[1]
        kill(second, signal.SIGSTOP)
        master.wait_for_line(rf"\(process {second}\) has stood still for more than 1 s")
        master.wait_ready(3)
        version, pid = ask(master)
        assert version == "one"
        assert pid not in (first, second)


def test_without_its_master_it_ends(folder):
    with start_master(folder, *CLASS) as master:
        workers = master.wait_ready(2)
        kill(master.pid)
        wait_until(lambda: not any(map(is_alive, workers)), "the end of the workers")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run as somebody else")
def test_it_cannot_forget_to_give_root_up(folder):
    nobody = pwd.getpwnam("nobody")
    folder.chmod(0o755)
    write_application(folder, **{"{VERSION} {os.getpid()}": "{os.getuid()} {os.getgid()}"})
    with start_master(folder, *CLASS, "--user", "nobody", "--preload", workers=1) as master:
        assert ask(master) == (str(nobody.pw_uid), nobody.pw_gid)


LATE = """
    class Late(Threads):
        def note_end(self):
            print("the end", flush=True)
"""

LAST_HOOK = """
    def worker_exit(server, worker): print("the hook", flush=True)
"""


def test_its_last_call_is_behind_the_last_hook(folder):
    with (folder / "threads.py").open("a") as source:
        source.write(dedent(LATE))
    (folder / "hooks.py").write_text(dedent(LAST_HOOK))
    with start_master(folder, "--worker-class", "threads.Late", "--config", "hooks.py", workers=1) as master:
        master.wait_ready(1)
        master.send_signal(signal.SIGTERM)
        assert master.wait() == 0
    assert master.output == ["the hook", "the end"]

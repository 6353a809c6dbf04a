"""The hooks that gunicorn's master calls at a reload, an upgrade and the like, with our worker class."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from gunicorn.config import KNOWN_SETTINGS

from tests.interop.gunicorn_process import (
    ask,
    releases,
    start_gunicorn,
    wait_for_end,
    wait_for_other,
    worker_of,
)
from tests.pipes import wait_for
from tests.process import ServerProcess

#: Each says who called it.  Those of the master run a program: with --preload the master is patched.
SAYING = """
    import os, subprocess, sys, time

    def say(name, *details):
        words = " ".join(map(str, (name, os.getpid(), *details)))
        os.write(1, f"{words}\\n".encode())  # in one piece: others write, too

    def wait():
        time.sleep(0.001)
        subprocess.run([sys.executable, "-c", ""], check=True)

    def on_starting(server): say("on_starting")
    def when_ready(server): say("when_ready")
    def on_reload(server):
        wait()
        say("on_reload", "VERSION", server.cfg.workers)
    def nworkers_changed(server, new, old): say("nworkers_changed", new, old)
    def pre_exec(server):
        wait()
        say("pre_exec", "VERSION")
    def pre_fork(server, worker): say("pre_fork", worker.age)
    def post_fork(server, worker): say("post_fork", worker.age)
    def post_worker_init(worker): say("post_worker_init", worker.age)
    def worker_exit(server, worker): say("worker_exit", worker.age)
    def child_exit(server, worker): say("child_exit", worker.age)
    def on_exit(server): say("on_exit")
"""

preloads = pytest.mark.parametrize("arguments", [(), ("--preload",)], ids=["", "preload"])


def saying(version: str) -> str:
    return dedent(SAYING).replace("VERSION", version)


def told_by(server: ServerProcess, pid: int) -> list[str]:
    """Return what a process has said, in its order."""
    lines = [line.split(maxsplit=2) for line in server.output]
    return [" ".join([name, *rest]) for name, by, *rest in lines if int(by) == pid]


@releases
@preloads
def test_a_reload_calls_the_hooks_of_the_configuration_that_it_has_read(tmp_path, release, arguments):
    with start_gunicorn(tmp_path, *arguments, config=saying("first"), release=release) as server:
        first = worker_of(server)
        server.wait_for_line("^post_worker_init")
        (tmp_path / "gunicorn.conf.py").write_text(saying("second") + "control_socket_disable = True\n")
        before = len(told_by(server, server.pid))
        server.send_signal(signal.SIGHUP)
        server.wait_for_line(f"^child_exit {server.pid} 1$")
        second = wait_for_other(server, first)
        server.wait_for_line(f"^post_worker_init {second} 2$")
        assert told_by(server, server.pid)[before:] == [
            *("nworkers_changed 1 1", "on_reload second 1", "pre_fork 2", "child_exit 1")
        ]
        assert told_by(server, first) == ["post_fork 1", "post_worker_init 1", "worker_exit 1"]
        assert told_by(server, second) == ["post_fork 2", "post_worker_init 2"]


@releases
@preloads
def test_a_change_of_the_number_of_workers_is_told(tmp_path, release, arguments):
    with start_gunicorn(tmp_path, *arguments, config=saying("first"), release=release) as server:
        worker_of(server)
        server.send_signal(signal.SIGTTIN)
        server.wait_for_line("^post_worker_init .* 2$")
        server.send_signal(signal.SIGTTOU)
        server.wait_for_line("^child_exit .* 1$")
        assert told_by(server, server.pid) == [
            *("nworkers_changed 1 None", "on_starting", "when_ready", "pre_fork 1"),
            *("nworkers_changed 2 1", "pre_fork 2", "nworkers_changed 1 2", "child_exit 1"),
        ]


@releases
@preloads
def test_an_upgrade_calls_its_hook_in_what_becomes_the_second_master(tmp_path, release, arguments):
    pidfile = tmp_path / "pid"
    arguments = ("--pid", str(pidfile), *arguments)
    with start_gunicorn(tmp_path, *arguments, config=saying("first"), release=release) as server:
        old = worker_of(server)
        server.send_signal(signal.SIGUSR2)
        new = second_master(tmp_path)
        server.wait_for_lines("^post_worker_init", 2)
        server.send_signal(signal.SIGTERM)
        wait_for_end(server.pid)
        last = wait_for_other(server, old)
        os.kill(new, signal.SIGTERM)
        wait_for_end(new)
        server.wait()  # all that was written is read
        beginning = ["nworkers_changed 1 None", "on_starting", "when_ready", "pre_fork 1"]
        end = ["child_exit 1", "on_exit"]
        assert told_by(server, server.pid) == beginning + end
        assert told_by(server, new) == ["pre_exec first", *beginning, *end]
        for worker in (old, last):
            assert told_by(server, worker) == ["post_fork 1", "post_worker_init 1", "worker_exit 1"]


def second_master(folder: Path) -> int:
    """Return the process that USR2 has started, when it is a master."""
    path = folder / "pid.2"
    wait_for(lambda: path.exists() and path.read_text().strip(), "the second master")
    return int(path.read_text())


DIRTY = """
    dirty_workers = 1
    dirty_apps = ["tests.interop.gunicorn_site:Beside"]
    proc_name = "NAME"  # which files of gunicorn's own are named after

    def on_dirty_starting(arbiter): say("on_dirty_starting")
    def dirty_post_fork(arbiter, worker): say("dirty_post_fork")
    def dirty_worker_init(worker): say("dirty_worker_init")
    def dirty_worker_exit(arbiter, worker): say("dirty_worker_exit")
"""


@pytest.mark.skipif(
    sys.version_info >= (3, 12),
    reason="with any worker class those of gunicorn take 30 s to end there, once they have been asked",
)
@releases
@preloads
def test_processes_beside_the_workers_have_their_hooks_and_are_asked_by_requests(
    tmp_path, release, arguments
):
    config = saying("first") + dedent(DIRTY).replace("NAME", f"{tmp_path.name}-{os.getpid()}")
    with start_gunicorn(tmp_path, *arguments, config=config, release=release) as server:
        beside = int(server.wait_for_line(r"Dirty worker (\d+) listening")[1])
        assert ask(server, "/beside") == (200, f"asked {beside}".encode())
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert told_by(server, beside) == ["dirty_worker_init"]
        (arbiter,) = (int(line.split()[1]) for line in server.output if line.startswith("on_dirty_starting"))
        assert told_by(server, arbiter) == ["on_dirty_starting", "dirty_post_fork", "dirty_worker_exit"]


def test_no_hook_of_gunicorn_is_without_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_gunicorn*.py"))
    hooks = [each.name for each in KNOWN_SETTINGS if each.section.endswith("Hooks")]
    assert len(hooks) >= 19
    assert [name for name in hooks if f"    def {name}(" not in tests] == []

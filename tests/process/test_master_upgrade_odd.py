"""USR2 when something else happens, too: the end, the death of the old master, other settings."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.process.masters import (
    ask,
    children_of,
    is_alive,
    is_asleep,
    kill,
    start_master,
    state_of,
    wait_until,
    write_application,
)
from tests.process.test_master_upgrade import upgraded
from tests.process.trees import adopting

CONNECTIONS = 64  # the kernel deals them out by their ports: no socket is left out

WAITING = {
    "VERSION =": "open('began', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\nVERSION ="
}


def test_term_during_an_upgrade_ends_both_even_if_the_new_one_comes_up_meanwhile(folder):
    """With a delay there is time for that."""
    with start_master(folder, "--shutdown-delay", "2", workers=1) as master:
        master.wait_ready(1)
        write_application(folder, **WAITING)
        master.send_signal(signal.SIGUSR2)
        wait_until((folder / "began").exists, "the new master's worker")
        (new,) = children_of(master.pid) - set(master.wait_ready(1))
        master.send_signal(signal.SIGTERM)
        master.wait_for_line(r"\] stopping")
        (folder / "go").touch()
        assert master.wait() == 0
        wait_until(lambda: not is_alive(new), "the end of the new master")
        assert not any("is ready; ending" in line for line in master.lines)


def test_the_death_of_the_old_master_does_not_keep_the_new_one_from_sleeping(folder):
    with adopting(), start_master(folder, workers=1) as master:
        (old,) = master.wait_ready(1)
        write_application(folder, **WAITING)
        master.send_signal(signal.SIGUSR2)
        wait_until((folder / "began").exists, "the new master's worker")
        (new,) = children_of(master.pid) - {old}
        kill(master.pid)
        wait_until(lambda: not is_alive(old), "the end of the worker without a master")
        for _ in range(3):
            before = times_slept(new)
            os.kill(new, signal.SIGCHLD)  # it looks around
            wait_until(lambda before=before: times_slept(new) > before, "a master that sleeps again")
        (folder / "go").touch()
        version, pid = master.ask()
        assert (version, pid in children_of(new)) == ("one", True)
        end_orphan(new)
        os.waitpid(old, 0)


def times_slept(pid: int) -> int:
    """Return how often a process has given up the processor of its own accord."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def end_orphan(pid: int) -> None:
    """End a master that has become ours."""
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_new_master_that_is_ended_when_it_has_just_been_left_alone_removes_the_socket(folder, number):
    path = folder / "socket"
    bind = ("--bind", f"unix:{path}")
    with adopting(), start_master(folder, *bind, workers=1, ready="listening on unix:") as master:
        (old,) = master.wait_ready(1)
        master.send_signal(signal.SIGUSR2)
        (new,) = wait_until(lambda: children_of(master.pid) - {old}, "the new master")
        kill(master.pid, signal.SIGSTOP)  # it does not let go before the new one stands still
        master.wait_ready(2)
        wait_until(lambda: is_asleep(new), "a master that has said so")
        kill(new, signal.SIGSTOP)
        wait_until(lambda: state_of(new) == "T", "a master that stands still")
        kill(master.pid, signal.SIGCONT)
        wait_until(lambda: not is_alive(master.pid), "the end of the old master")
        kill(new, number)
        kill(new, signal.SIGCONT)
        assert os.waitstatus_to_exitcode(os.waitpid(new, 0)[1]) == 0
        assert not path.exists()


def test_with_fewer_workers_no_socket_is_left_without_one(folder):
    path = folder / "greenserve.conf.py"
    path.write_text("workers = 4\nreuse_port = True")
    with start_master(folder, "--config", str(path), workers=None) as master:
        master.wait_ready(4)
        path.write_text("workers = 2\nreuse_port = True")
        with upgraded(master) as new, ExitStack() as open_ones:
            connections = [open_ones.enter_context(closing(master.connect())) for _ in range(CONNECTIONS)]
            assert {ask(connection)[1] for connection in connections} == children_of(new)


def test_pre_exec_is_called_in_the_process_that_becomes_the_new_master(folder):
    path = folder / "greenserve.conf.py"
    path.write_text(
        "import os\nworkers = 1\ndef pre_exec(server): print('pre_exec in', os.getpid(), flush=True)"
    )
    with start_master(folder, "--config", str(path), workers=None) as master:
        master.wait_ready(1)
        with upgraded(master) as new:
            assert int(master.wait_for_line(r"pre_exec in (\d+)")[1]) == new

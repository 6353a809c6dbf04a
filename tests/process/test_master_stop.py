"""How a master ends: gracefully, at once, and when it is killed itself."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import closing, suppress
from pathlib import Path
from textwrap import dedent

import pytest

from tests.process.masters import (
    APPLICATION,
    SECONDS,
    ask,
    is_alive,
    kill,
    read_answer,
    start_master,
    wait_until,
    write_application,
)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_lets_the_requests_in_flight_finish(folder, gate, name):
    with start_master(folder) as master, closing(master.connect()) as connection:
        connection.request("GET", gate.path)
        held, pid = gate.wait_for_knock()
        with held:
            master.send_signal(signal.Signals[name])
            master.wait_for_line("stopping")
            wait_until(lambda: master.workers == {pid}, "the end of the other worker")
            held.sendall(b"x")
        assert read_answer(connection) == ("one", pid)
        assert master.wait() == 0
    assert master.lines[-1].endswith("stopped")


def test_sigint_from_a_terminal_reaches_the_workers_too_and_changes_nothing(folder, gate):
    with start_master(folder) as master, closing(master.connect()) as connection:
        connection.request("GET", gate.path)
        held, pid = gate.wait_for_knock()
        with held:
            for worker in master.workers:
                kill(worker, signal.SIGINT)
            master.send_signal(signal.SIGINT)
            master.wait_for_line("stopping")
            held.sendall(b"x")
        assert read_answer(connection) == ("one", pid)
        assert master.wait() == 0


def test_sigterm_from_a_supervisor_to_all_processes_is_the_same_stop(folder, gate):
    with start_master(folder) as master, closing(master.connect()) as connection:
        connection.request("GET", gate.path)
        held, pid = gate.wait_for_knock()
        with held:
            master.send_signal(signal.SIGTERM)
            for worker in master.workers:
                with suppress(ProcessLookupError):  # the master may have been faster with the idle one
                    kill(worker, signal.SIGTERM)
            master.wait_for_line("stopping")
            held.sendall(b"x")
        assert read_answer(connection) == ("one", pid)
        assert master.wait() == 0


def test_sigterm_does_not_kill_a_worker_whose_interpreter_ends(folder):
    """As from a supervisor to all processes: the master sends another one, when it may be as far as this."""
    last = """
        class Last:
            def __del__(self, kill=os.kill, pid=os.getpid()):
                kill(pid, 15)

        application.last = Last()
    """
    write_application(folder, dedent(APPLICATION) + dedent(last))
    with start_master(folder, workers=1) as master:
        (pid,) = master.wait_ready(1)
        master.send_signal(signal.SIGTERM)
        assert master.wait_for_line(rf"\(process {pid}\) (has|was) (.*)")[2] == "stopped"


@pytest.mark.parametrize("signals", [["SIGTERM", "SIGTERM"], ["SIGTERM", "SIGINT"], ["SIGQUIT"]])
def test_a_second_signal_or_quit_ends_everything_at_once(folder, gate, signals):
    with start_master(folder, "--graceful-timeout", "600") as master, closing(master.connect()) as connection:
        connection.request("GET", gate.path)
        held, _ = gate.wait_for_knock()
        with held:
            master.send_signal(signal.Signals[signals[0]])
            if len(signals) == 2:
                master.wait_for_line("stopping")
                master.send_signal(signal.Signals[signals[1]])
            assert master.wait() == 0


def test_quit_ends_a_worker_that_computes(folder):
    with start_master(folder) as master, closing(master.connect()) as connection:
        connection.request("GET", "/compute")
        master.wait_for_line("computing in")
        master.send_signal(signal.SIGQUIT)
        assert master.wait() == 0


def test_the_graceful_timeout_ends_a_request_that_does_not_finish(folder, gate):
    with start_master(folder, "--graceful-timeout", "0.5") as master, closing(master.connect()) as connection:
        connection.request("GET", gate.path)
        held, _ = gate.wait_for_knock()
        with held:
            master.send_signal(signal.SIGTERM)
            assert master.wait() == 0
    assert any("not done in time and ended: GET '/wait" in line for line in master.lines)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--graceful-timeout", "0.5"), "did not end in time and stands still"),
        (("--graceful-timeout", "0", "--timeout", "2"), "has stood still for more than 2 s"),
    ],
)
def test_a_worker_that_computes_for_ever_shows_that_and_is_killed_at_the_end(folder, arguments, what):
    with start_master(folder, *arguments) as master, closing(master.connect()) as connection:
        connection.request("GET", "/compute")
        pid = int(master.wait_for_line(r"computing in (\d+)")[1])
        master.send_signal(signal.SIGTERM)
        assert master.wait() == 0
        master.wait_for_line(rf"\(process {pid}\) {what}; it is ended")
        master.wait_for_line(r'^    +File ".*site_app\.py", line \d+ in application')
    assert len([line for line in master.lines if "GET /compute from 127.0.0.1" in line]) == 2  # and the stack
    assert any(f"(process {pid}) was ended by SIGKILL" in line for line in master.lines)


def test_a_worker_whose_requests_have_ended_takes_its_time(folder):
    """What the application does at the end of the process is none of `timeout`."""
    write_application(folder, **{"VERSION =": "import atexit; atexit.register(time.sleep, 3)\nVERSION ="})
    with start_master(folder, "--timeout", "1") as master:
        master.wait_ready(2)
        master.send_signal(signal.SIGTERM)
        assert master.wait() == 0
    assert len([line for line in master.lines if line.endswith("has stopped")]) == 2


def test_a_worker_that_somebody_else_has_told_to_end_is_replaced_though_it_does_not(folder):
    write_application(folder, **{"VERSION =": "import atexit; atexit.register(time.sleep, 600)\nVERSION ="})
    with start_master(folder, "--timeout", "1", "--graceful-timeout", "0.1", workers=1) as master:
        (pid,) = master.wait_ready(1)
        kill(pid, signal.SIGTERM)
        assert pid != master.wait_ready(2)[1]
        master.wait_for_line(rf"\(process {pid}\) did not end in time and is killed")


def test_requests_that_wait_in_the_queue_are_answered_at_the_stop(folder):
    with start_master(folder, "--drain-grace", "0") as master:
        workers = master.workers
        for pid in (*workers, master.pid):
            stand_still(pid, master.pid)
        connections = [master.connect() for _ in range(20)]
        for connection in connections:
            connection.request("GET", "/")
        master.send_signal(signal.SIGTERM)
        for pid in (master.pid, *workers):
            os.kill(pid, signal.SIGCONT)
        assert {read_answer(connection)[1] for connection in connections} <= workers
        assert master.wait() == 0
        for connection in connections:
            connection.close()


def stand_still(pid: int, parent: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: "T" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0], "a stop")


def test_when_the_master_is_killed_the_workers_drain_and_end(folder, gate):
    with start_master(folder) as master, closing(master.connect()) as connection:
        workers = set(master.wait_ready(2))
        connection.request("GET", gate.path)
        held, pid = gate.wait_for_knock()
        with held:
            os.kill(master.pid, signal.SIGKILL)
            wait_until(lambda: {each for each in workers if is_alive(each)} == {pid}, "the idle worker's end")
            held.sendall(b"x")
        assert read_answer(connection) == ("one", pid)
        wait_until(lambda: not any(map(is_alive, workers)), "the end of the workers")
        assert master.wait() == -signal.SIGKILL
        master.wait_for_lines("the master is gone; stopping", 2)


def test_the_delay_of_a_stop_goes_on_accepting(folder):
    with start_master(folder, "--shutdown-delay", "600") as master:
        with closing(master.connect()) as connection:
            ask(connection)
            master.send_signal(signal.SIGTERM)
            master.wait_for_line("stopping")
            assert master.ask()[0] == "one"  # on a new connection
            assert ask(connection)[0] == "one"  # and on one that was there
            master.send_signal(signal.SIGTERM)  # cuts it short
        assert master.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", master.port), timeout=SECONDS)


def test_the_delay_of_a_stop_is_over_by_itself(folder):
    with start_master(folder, "--shutdown-delay", "0.2") as master:
        master.send_signal(signal.SIGTERM)
        assert master.wait() == 0
    assert not any("at once" in line for line in master.lines)


def test_idle_connections_do_not_hold_up_a_stop(folder):
    with start_master(folder, "--graceful-timeout", "600") as master:
        connections = [master.connect() for _ in range(5)]
        for connection in connections[:4]:
            ask(connection)
        master.send_signal(signal.SIGTERM)
        assert master.wait() == 0
        for connection in connections:
            assert connection.sock.recv(100) == b""
            connection.close()

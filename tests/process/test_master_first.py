"""A server that is process 1: orphans of others, signals that only count if they are handled, its end."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.process.masters import Gate, children_of, is_alive, state_of, wait_until, write_application
from tests.process.namespaces import start_first

APPLICATION = """
    import os, socket, subprocess

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/orphan":
            subprocess.run(["sh", "-c", "cat fifo &"], check=True)
        elif path == "/wait":
            with socket.create_connection(("127.0.0.1", int(environ["QUERY_STRING"]))) as gate:
                gate.sendall(b"%d\\n" % os.getpid())
                gate.recv(1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"one {os.getpid()}".encode()]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_application(tmp_path, APPLICATION)


def test_a_master_that_is_process_1_reaps_the_orphans_of_others(folder):
    os.mkfifo(folder / "fifo")
    with start_first(folder, "--workers", "2") as master:
        assert "\nNSpid:" in (status := Path(f"/proc/{master.first}/status").read_text())
        assert next(line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")) == "1"
        master.wait_ready(2)
        workers = children_of(master.first)
        master.ask("/orphan")
        (orphan,) = wait_until(lambda: children_of(master.first) - workers, "the orphan")
        assert is_alive(orphan)
        (folder / "fifo").write_bytes(b"")  # it ends
        wait_until(lambda: state_of(orphan) == "X", "the orphan to be reaped")
        assert children_of(master.first) == workers
        assert master.ask()[0] == "one"
        assert not any("[error]" in line for line in master.lines)


def test_term_ends_it_with_its_workers_and_the_status_0(folder):
    gate = Gate()
    with gate.listener, start_first(folder, "--workers", "2") as master:
        master.wait_ready(2)
        with closing(master.connect()) as connection:
            connection.request("GET", gate.path)
            held, _ = gate.wait_for_knock()
            with held:
                master.send_signal(signal.SIGTERM)
                master.wait_for_line(r"\] stopping")
                held.sendall(b"x")
                assert connection.getresponse().status == 200
        assert master.wait() == 0
        assert master.lines[-1].endswith("stopped")


def test_its_status_is_that_of_the_container(folder):
    write_application(folder, "def application(:")
    with start_first(folder, "--workers", "2", ready=None) as master:
        assert master.wait() == 4


def test_an_upgrade_is_refused_because_the_container_would_end(folder):
    with start_first(folder, "--workers", "1") as master:
        master.wait_ready(1)
        master.send_signal(signal.SIGUSR2)
        master.wait_for_line("no upgrade: this is process 1, whose end would be that of its container")
        assert master.ask()[0] == "one"
        assert len(children_of(master.first)) == 1


def test_without_a_master_a_second_term_ends_it_at_once(folder):
    gate = Gate()
    with gate.listener, start_first(folder) as server, closing(server.connect()) as connection:
        connection.request("GET", gate.path)
        held, _ = gate.wait_for_knock()
        with held:
            server.send_signal(signal.SIGTERM)
            server.wait_for_line("SIGTERM: stopping")
            server.send_signal(signal.SIGTERM)
            assert server.wait() == 128 + signal.SIGTERM


def test_without_a_master_quit_ends_it_at_once(folder):
    with start_first(folder) as server:
        server.send_signal(signal.SIGQUIT)
        assert server.wait() == 128 + signal.SIGQUIT


@pytest.mark.parametrize(
    ("arguments", "names"),
    [((), "HUP USR1 USR2 TTIN TTOU ABRT"), (("--workers", "1"), "ABRT")],
    ids=["one process", "master"],
)
def test_the_kernel_keeps_signals_from_it_that_would_end_any_other_process(folder, arguments, names):
    with start_first(folder, *arguments) as server:
        for name in names.split():
            server.send_signal(signal.Signals[f"SIG{name}"])
            with closing(server.connect()) as connection:
                connection.request("GET", "/")
                assert connection.getresponse().read(), name
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0

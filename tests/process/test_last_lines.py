"""What is answered just before a process ends is in its access log, however it ends."""

from __future__ import annotations

import http.client
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from textwrap import dedent

import pytest

from tests.process import ServerProcess, start_server
from tests.process.held import Gate, ask, connect

APPLICATION = """
    import select, socket, time
    from gevent import GreenletExit, monkey
    from gevent.event import Event
    from gevent.socket import wait_read
    from greenserve.process.serving import KILL_GRACE

    native_poll = monkey.get_original("select", "poll")
    closed = Event()

    class Answer(list):
        def close(self):
            closed.set()

    def wait(gate):
        gate.recv(1)

    def outlast(gate):
        '''Go on when it is killed.'''
        try:
            gate.recv(1)
        except GreenletExit:
            gate.sendall(b"killed")
            gate.recv(1)

    def compute(gate):
        '''Go on when it is killed, in the moment when the time for that is over.'''
        try:
            gate.recv(1)
        except GreenletExit:
            ends = time.monotonic() + KILL_GRACE
            gate.sendall(b"killed")
            poll = native_poll()
            poll.register(gate, select.POLLIN)
            while not poll.poll() or time.monotonic() <= ends:
                pass
            wait_read(gate.fileno())

    def application(environ, start_response):
        if environ["QUERY_STRING"]:
            with socket.create_connection(("127.0.0.1", int(environ["QUERY_STRING"]))) as gate:
                globals()[environ["PATH_INFO"][1:]](gate)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Answer([b"answer"])
"""

CONFIG = """
    def worker_exit(server, worker):
        import answering
        answering.closed.clear()
        worker.log.info("the last hook")
        answering.closed.wait()
"""

LOG = ("--access-log", "access.log", "--access-log-format", "%U", "--log-level", "debug")
WORKER = ("--workers", "1")

processes = pytest.mark.parametrize("workers", [(), WORKER], ids=["one process", "a worker"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the application in answering.py."""
    (tmp_path / "answering.py").write_text(dedent(APPLICATION))
    return tmp_path


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    with made.listener:
        yield made


def start(folder: Path, *arguments: str) -> AbstractContextManager[ServerProcess]:
    return start_server("answering", *LOG, *arguments, cwd=folder)


def hold(connection: http.client.HTTPConnection, gate: Gate, name: str) -> socket.socket:
    """Have a request do what `name` says; return its gate."""
    connection.request("GET", gate.path.replace("wait", name))
    return gate.wait_for_knock()


def receive(connection: http.client.HTTPConnection) -> bytes:
    """Return what comes, nothing from a process that has ended."""
    with suppress(ConnectionResetError):
        return bytes(connection.sock.recv(1000))
    return b""


def logged(folder: Path) -> list[str]:
    return (folder / "access.log").read_text().splitlines()


@processes
def test_quit(folder, workers):
    with start(folder, *workers) as server, closing(connect(server)) as connection:
        for _ in range(3):
            ask(connection)
        server.send_signal(signal.SIGQUIT)
        assert server.wait() == (0 if workers else -signal.SIGQUIT)
    assert logged(folder) == ["/"] * 3


@processes
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_during_a_drain(folder, gate, workers, second):
    far = ("--drain-grace", "600", "--graceful-timeout", "600")
    with start(folder, *far, *workers) as server:
        with closing(connect(server)) as waiting, closing(connect(server)) as connection:
            ask(connection)
            with hold(waiting, gate, "wait"):
                server.send_signal(signal.SIGTERM)
                server.wait_for_line("SIGTERM: stopping")
                ask(connection)
                server.send_signal(second)
                assert server.wait() == (0 if workers else -second)
    assert logged(folder) == ["/"] * 2


@processes
def test_a_request_that_is_answered_when_the_graceful_timeout_is_over(folder, gate, workers):
    with start(folder, "--graceful-timeout", "0.5", *workers) as server:
        with closing(connect(server)) as connection, closing(connect(server)) as other:
            with hold(connection, gate, "compute") as held, hold(other, gate, "outlast"):
                server.send_signal(signal.SIGTERM)
                assert held.recv(6) == b"killed"
                held.sendall(b"x")
                answer = receive(connection)
                assert server.wait() == 0
    assert logged(folder) == ["/compute"] * bool(answer)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT"])
def test_a_request_that_is_answered_during_the_last_hook_of_a_worker(folder, gate, name):
    (folder / "hooks.py").write_text(dedent(CONFIG))
    arguments = ("--config", "hooks.py", "--graceful-timeout", "0.5", *WORKER)
    with start(folder, *arguments) as server, closing(connect(server)) as connection:
        with hold(connection, gate, "outlast") as held:
            server.send_signal(signal.Signals[name])
            if name == "SIGTERM":
                assert held.recv(6) == b"killed"
            server.wait_for_line("the last hook")
            held.sendall(b"x")
            assert receive(connection).endswith(b"answer")
            assert server.wait() == 0
    assert logged(folder) == ["/outlast"]

"""What nginx and HAProxy make of a greenserve that closes connections, stops, dies, or speaks TLS."""

from __future__ import annotations

import errno
import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Certificate
from tests.functional.client import LIMIT, get, post
from tests.functional.serving import Environ, serving, show_path
from tests.interop.front_end import (
    AUTHORITY,
    ONE,
    PARTS,
    TWO,
    Gate,
    address,
    paused,
    serve,
    start_front_end,
    wait_for_idle_close,
)
from tests.interop.visitors import visiting
from tests.pipes import wait_for
from tests.process import ServerProcess
from tests.process.trees import tcp_queues

CONTENT = bytes(range(256)) * 8192

programs = pytest.mark.parametrize("program", PARTS)


def remote_port(described: bytes) -> str:
    """Return which connection ``/echo`` has been asked on."""
    port: str = json.loads(described)["REMOTE_PORT"]
    return port


# -- connections that have been idle for too long


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server that soon ends idle connections."""
    with serve("--keepalive-timeout", "0.2") as server:
        yield server


@pytest.fixture(scope="module")
def clock() -> Iterator[ServerProcess]:
    """Another one, by which a test knows how late it is."""
    with serve("--keepalive-timeout", "0.2") as clock:
        yield clock


@programs
def test_a_close_of_idle_connections_is_noticed_before_the_next_request(
    program: str, server: ServerProcess, tmp_path: Path
) -> None:
    with start_front_end(program, tmp_path, "one", {ONE: address(server)}) as front:
        for request in (get("/echo"), post(b"content", target="/echo"), get("/echo")):
            assert front.ask(request).status == 200
            wait_for_idle_close(server)


@programs
def test_a_request_on_its_way_when_the_idle_time_runs_out_is_served(
    program: str, server: ServerProcess, clock: ServerProcess, tmp_path: Path
) -> None:
    with start_front_end(program, tmp_path, "one", {ONE: address(server)}) as front:
        is_on_its_way = False
        while not is_on_its_way:  # the end of the idle time may have been faster than this test
            with front.connect() as client:
                before = front.ask(get("/echo"))
                port = int(remote_port(before.content))
                with paused(server):
                    client.send(post(b"content", target="/echo"))
                    wait_for(lambda port=port: tcp_queues(server.port, port) != (0, 0), "it, or the end")
                    is_on_its_way = tcp_queues(server.port, port) is not None
                    wait_for_idle_close(clock)
                after = client.read()
    assert after.status == 200
    assert remote_port(after.content) == remote_port(before.content)


@programs
def test_a_get_that_meets_the_close_of_its_connection_is_sent_again(
    program: str, server: ServerProcess, tmp_path: Path
) -> None:
    with start_front_end(program, tmp_path, "one", {ONE: address(server)}) as front:
        with front.connect() as client:
            assert front.ask(get("/echo")).status == 200
            with paused(front.process):
                client.send(get("/echo"))  # it comes to the front end before the close does
                wait_for_idle_close(server)
            assert client.read().status == 200


# -- clients that stop


@programs
def test_an_upload_that_stalls_gets_the_answer_of_greenserve(program: str, tmp_path: Path) -> None:
    with serve("--body-timeout", "0.2") as server:
        with start_front_end(program, tmp_path, "one", {ONE: address(server)}) as front:
            with front.connect() as client:
                client.send(get("/uploads/echo", "Content-Length: 1000", method="POST"), b"a part of it")
                assert client.read().status == 408


# -- servers that stop or die


@programs
def test_a_restart_of_one_server_after_the_other_is_not_noticed(program: str, tmp_path: Path) -> None:
    """Requests that may be repeated need no more than that; others need a grace that covers idle times."""
    with ExitStack() as stack:  # of servers: the front end goes first

        def start(name: str, grace: str, bind: str = "127.0.0.1:0") -> ServerProcess:
            options = ["--bind", bind, "--drain-grace", grace, "--access-log", "none"]
            return stack.enter_context(serve(*options, env={"NAME": name}))

        one, two = start("one", "0.5"), start("two", "20")
        replaced = {ONE: address(one), TWO: address(two)}
        with start_front_end(program, tmp_path, "two", replaced) as front:
            for server, name, methods in ((one, "one", ["GET"]), (two, "two", ["GET", "POST"])):
                with visiting(front, *methods) as visitors:
                    visitors.wait_for(name)
                    assert server.stop() == 0
                    start(f"{name} again", "0.5", address(server))
                    visitors.wait_for(f"{name} again")
                assert visitors.failures == []
                assert [line for line in server.lines if "[error]" in line] == []


def test_the_listener_is_closed_before_a_stop_answers_anything() -> None:
    """A front end that reads ``Connection: close`` connects anew at once: into no queue that is lost."""
    outcomes = []

    def connect(environ: Environ, start_response: Any) -> list[bytes]:
        with socket.socket() as newcomer:
            outcomes.append(newcomer.connect_ex(("127.0.0.1", served.port)))
        return show_path(environ, start_response)

    with serving(connect) as served:
        client = served.connect()
        client.ask(get())
        client.send(get())  # it has arrived, and the hub has not had its turn yet
        assert served.server.stop(LIMIT)
    assert outcomes == [0, errno.ECONNREFUSED]


def kill_the_one_that_waits(gate: Gate, servers: list[ServerProcess]) -> None:
    """End the server that the next knock comes from."""
    pid = int(gate.accept().recv(20))
    (server,) = [server for server in servers if server.pid == pid]
    server.kill()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[ServerProcess]]:
    """Two servers."""
    with serve() as one, serve() as two:
        yield [one, two]


@programs
def test_a_get_whose_server_dies_is_answered_by_the_other(
    program: str, gate: Gate, servers: list[ServerProcess], tmp_path: Path
) -> None:
    replaced = dict(zip((ONE, TWO), map(address, servers), strict=True))
    with start_front_end(program, tmp_path, "two", replaced) as front, front.connect() as client:
        client.send(get(gate.path("/wait")))
        kill_the_one_that_waits(gate, servers)
        gate.accept().sendall(b"x")
        answer = client.read()
    assert (answer.status, answer.content) == (200, b"answer")


@programs
def test_a_post_whose_server_dies_is_not_sent_again(
    program: str, gate: Gate, servers: list[ServerProcess], tmp_path: Path
) -> None:
    replaced = dict(zip((ONE, TWO), map(address, servers), strict=True))
    with start_front_end(program, tmp_path, "two", replaced) as front, front.connect() as client:
        client.send(post(b"content", target=gate.path("/wait")))
        kill_the_one_that_waits(gate, servers)
        assert client.read().status == 502
        assert front.ask(post(b"content", target="/echo")).status == 200
        assert not gate.has_knock()


# -- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.issue("localhost")


@pytest.fixture(scope="module")
def secure(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that speaks TLS."""
    file = tmp_path_factory.mktemp("served") / "file.bin"
    file.write_bytes(CONTENT)
    options = ["--certfile", certificate.certfile, "--keyfile", certificate.keyfile]
    with serve(*options, env={"FILE": str(file)}) as server:
        yield server


NOT_VERIFIED = {
    "nginx": {"proxy_ssl_verify on;": "proxy_ssl_verify off;"},
    "HAProxy": {"verify required": "verify none"},
}


@programs
@pytest.mark.parametrize("verify", [True, False], ids=["verified", "not verified"])
def test_greenserve_speaks_tls_to_the_front_end(
    program: str, verify: bool, authority: Authority, secure: ServerProcess, tmp_path: Path
) -> None:
    trusted = {ONE: address(secure), AUTHORITY: authority.certfile}
    replaced = trusted if verify else {**trusted, **NOT_VERIFIED[program]}
    before = len(secure.lines)
    with start_front_end(program, tmp_path, "tls", replaced) as front:
        ports = {remote_port(front.ask(get("/echo")).content) for _ in range(50)}
        assert len(ports) < 4
        with front.connect() as client:
            uploaded = client.ask(post(CONTENT, target="/echo"))
            assert hashlib.sha256(CONTENT).hexdigest().encode() in uploaded.content
            assert client.ask(get("/file")).content == CONTENT
    assert secure.lines[before:] == []


@programs
def test_a_certificate_of_somebody_else_is_not_trusted(
    program: str, secure: ServerProcess, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "somebody else")
    at_once = {"http-reuse always": "retries 0"} if program == "HAProxy" else {}
    replaced = {ONE: address(secure), AUTHORITY: other.certfile, **at_once}
    before = len(secure.lines)
    with start_front_end(program, tmp_path, "tls", replaced) as front:
        assert front.ask(get("/echo?mistaken")).status in (502, 503)
    assert [line for line in secure.output if "mistaken" in line] == []
    assert [line for line in secure.lines[before:] if "[info]" not in line] == []

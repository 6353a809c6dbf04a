"""HAProxy alone: its health checks, what it passes on that nginx answers itself, its rules for retries."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from tests.certificates import Authority, Certificate
from tests.functional.client import Answer, Client, Truncated, get, post
from tests.interop.front_end import ONE, Gate, address, serve, start_front_end
from tests.listening import free_port
from tests.process import ServerProcess

SECOND = "    server two 127.0.0.1:8001\n"
CLOSE, RESET = struct.pack("ii", 0, 0), struct.pack("ii", 1, 0)  # values of SO_LINGER
HTTP_CHECK = """\
    option httpchk
    http-check send meth GET uri /health ver HTTP/1.1 hdr Host site.example
    http-check expect status 200
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Authority(tmp_path_factory.mktemp("authority")).issue("localhost")


# -- health checks


def serve_checked(folder: Path, check: dict[str, str], *options: str, status: int = 200) -> ServerProcess:
    """Start HAProxy, and a server only when HAProxy has missed it; return the server, ended.

    HAProxy has taken it for healthy, and passed on a request, whose answer has to have this `status`.
    `check` is what differs from the page.
    """
    port = free_port()
    # Often while it is not there, and with time for an answer: what takes longer than `inter` has failed.
    often = {"inter 2s": "inter 20s fastinter 30ms downinter 30ms"}
    replaced = {ONE: f"127.0.0.1:{port}", SECOND: "", **often, **check}
    with start_front_end("HAProxy", folder, "two", replaced) as front:
        front.process.wait_for_line("Server greenserve/one is DOWN")
        with serve("--bind", f"127.0.0.1:{port}", *options) as server:
            front.process.wait_for_line("Server greenserve/one is UP")
            assert front.ask(get("/echo")).status == status
    assert server.wait() == 0
    return server


def test_a_check_by_http(tmp_path: Path) -> None:
    server = serve_checked(tmp_path, {})
    assert any('"GET /health HTTP/1.1" 200' in line for line in server.output)
    assert len(server.lines) == 3  # it listens, stops, has stopped


def test_a_check_by_http_as_haproxy_makes_it_by_itself(tmp_path: Path) -> None:
    server = serve_checked(tmp_path, {HTTP_CHECK: "    option httpchk\n"})
    assert any('"OPTIONS / HTTP/1.0" 200' in line for line in server.output)
    assert len(server.lines) == 3


def test_a_check_that_connects_and_sends_nothing_is_not_worth_a_line(tmp_path: Path) -> None:
    server = serve_checked(tmp_path, {HTTP_CHECK: ""})
    assert all('"GET /echo HTTP/1.1" 200' in line for line in server.output)
    assert len(server.lines) == 3


def test_a_check_by_tls(tmp_path: Path, certificate: Certificate) -> None:
    options = "--certfile", certificate.certfile, "--keyfile", certificate.keyfile
    server = serve_checked(tmp_path, {HTTP_CHECK: "", "inter 20s": "inter 20s ssl verify none"}, *options)
    assert [line for line in server.lines if "[info]" not in line] == []


def test_a_check_without_tls_on_a_tls_port_is_no_error(tmp_path: Path, certificate: Certificate) -> None:
    options = "--certfile", certificate.certfile, "--keyfile", certificate.keyfile
    server = serve_checked(tmp_path, {HTTP_CHECK: ""}, *options, status=400)
    assert [line for line in server.lines if "[info]" not in line] == []


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "TLS"])
def test_a_check_as_others_make_it_that_connects_and_closes(certificate: Certificate, by_tls: bool) -> None:
    options = ["--certfile", certificate.certfile, "--keyfile", certificate.keyfile] if by_tls else []
    with serve(*options) as server:
        for end in (CLOSE, RESET):
            with socket.create_connection(("127.0.0.1", server.port)) as checking:
                checking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, end)
    assert server.wait() == 0
    assert server.output == []
    assert [line for line in server.lines if "[info]" not in line] == []
    assert by_tls or len(server.lines) == 3


# -- what passes


def test_a_client_is_not_asked_for_content_that_the_application_does_not_want(tmp_path: Path) -> None:
    with serve() as server, start_front_end("HAProxy", tmp_path, "one", {ONE: address(server)}) as front:
        with front.connect() as client:
            answer = client.ask(get("/refuse", "Content-Length: 1000", "Expect: 100-continue", method="POST"))
        assert (answer.status, answer.content) == (413, b"too much")  # and no 100 before it
        assert front.ask(post(b"content", target="/echo")).status == 200


# -- requests whose connection ends before there is an answer


RETRIES = """\
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
"""


def ask_a_server_that_dies(client: Client, gate: Gate, server: ServerProcess, method: str) -> Answer:
    """Return the answer to a request in the middle of which the server is killed."""
    client.send(get(gate.path("/wait"), "Content-Length: 0", method=method))
    gate.accept()
    server.kill()
    return client.read()


@pytest.mark.parametrize(("method", "replaced"), [("POST", {}), ("GET", {RETRIES: ""})])
def test_the_first_request_of_a_client_is_answered_with_502(
    tmp_path: Path, gate: Gate, method: str, replaced: dict[str, str]
) -> None:
    with serve() as server:
        with start_front_end("HAProxy", tmp_path, "one", {ONE: address(server), **replaced}) as front:
            with front.connect() as client:
                assert ask_a_server_that_dies(client, gate, server, method).status == 502


@pytest.mark.parametrize(("method", "replaced"), [("POST", {}), ("GET", {RETRIES: ""})])
def test_a_later_request_of_a_client_is_not_answered_at_all(
    tmp_path: Path, gate: Gate, method: str, replaced: dict[str, str]
) -> None:
    """HAProxy closes, as a server would that has had enough of a connection: the client may decide."""
    with serve() as server:
        with start_front_end("HAProxy", tmp_path, "one", {ONE: address(server), **replaced}) as front:
            with front.connect() as client, pytest.raises(Truncated) as caught:
                assert client.ask(get("/echo")).status == 200
                ask_a_server_that_dies(client, gate, server, method)
    assert caught.value.received == b""

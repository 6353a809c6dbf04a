"""Handler classes of pywsgi's, and handle(): who brings a parser of their own gets it, and is told so."""

from __future__ import annotations

import io
from typing import Any

import gevent
import pytest
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler

from greenserve import WSGIServer
from greenserve.observe.logs import StreamLog
from tests.certificates import Authority, Certificate
from tests.functional.client import LIMIT, get, post
from tests.functional.running import ANSWERED, LOCAL, both, exchange, open_socket, running
from tests.functional.secure import Tls
from tests.functional.serving import ErrorLog, Gate, Recorder, answering, turn_hub, wait_until

application = answering(b"content")


class Handler(WSGIHandler):
    """What Odoo and gevent-websocket do: they override parts of pywsgi's handler."""

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ["handler.class"] = type(self)
        return environ

    def finalize_headers(self) -> None:
        super().finalize_headers()
        self.response_headers.append((b"X-Handler", b"yes"))


@both
def test_a_handler_class_of_pywsgi_s_is_used(kind: Any) -> None:
    recorder = Recorder()
    with running(kind(LOCAL, recorder, log=None, error_log=io.StringIO(), handler_class=Handler)) as server:
        with open_socket(server.address) as client:
            client.sendall(post(b"content", target="/a%20b") + get("/last", "Connection: close"))
            received = client.makefile("rb").read()
    assert received.count(b"\r\nX-Handler: yes\r\n") == 2
    assert recorder.contents == [b"content", b""]
    assert recorder.paths == ["/a b", "/last"]
    assert {environ["handler.class"] for environ in recorder.environs} == {Handler}
    assert recorder.environs[0]["SERVER_PORT"] == str(server.server_port)


@both
def test_a_handler_class_may_be_the_class_s(kind: Any) -> None:
    class Server(kind):  # type: ignore[misc]
        handler_class = Handler

    with running(Server(LOCAL, application, log=None, error_log=io.StringIO())) as server:
        assert b"\r\nX-Handler: yes\r\n" in exchange(server.address)


def test_the_log_says_once_whose_parser_it_is() -> None:
    log = io.StringIO()
    with running(WSGIServer(LOCAL, application, log=None, error_log=log, handler_class=Handler)) as server:
        for _ in range(3):
            exchange(server.address)
    (line,) = log.getvalue().splitlines()
    assert "served by Handler, with its own parser, not greenserve's" in line


def test_without_one_nothing_is_said_and_greenserve_parses() -> None:
    log = io.StringIO()
    with running(WSGIServer(LOCAL, application, log=None, error_log=log)) as server:
        assert b"\r\nServer: greenserve\r\n" in exchange(server.address)
    assert log.getvalue() == ""


@both
def test_the_access_log_is_written_by_the_handler_too(kind: Any) -> None:
    log = io.StringIO()
    with running(kind(LOCAL, application, log=log, error_log=io.StringIO(), handler_class=Handler)) as server:
        exchange(server.address, get("/logged", "Connection: close"))
        wait_until(log.getvalue, "the line")
    assert '"GET /logged HTTP/1.1" 200 ' in log.getvalue()


@both
def test_a_subclass_may_handle_connections_itself(kind: Any) -> None:
    handled: list[Any] = []

    class Server(kind):  # type: ignore[misc]
        def handle(self, sock: Any, address: Any) -> None:
            handled.append((sock.getpeername(), address))
            sock.sendall(b"handled: " + sock.recv(100))

    with running(Server(LOCAL, application, log=None, error_log=io.StringIO())) as server:
        assert exchange(server.address, b"question") == b"handled: question"
    assert handled[0][0] == handled[0][1]


@both
def test_a_subclass_may_wrap_the_handling(kind: Any) -> None:
    handled: list[Any] = []

    class Server(kind):  # type: ignore[misc]
        def handle(self, sock: Any, address: Any) -> None:
            handled.append(address)
            super().handle(sock, address)

    with running(Server(LOCAL, application, log=None, error_log=io.StringIO())) as server:
        assert exchange(server.address).endswith(ANSWERED)
    assert len(handled) == 1


def test_a_replaced_handle_is_used_and_named() -> None:
    log = io.StringIO()
    server = WSGIServer(LOCAL, application, log=None, error_log=log)
    server.set_handle(lambda sock, address: sock.sendall(b"handled: " + sock.recv(100)))
    with running(server):
        assert exchange(server.address, b"question") == b"handled: question"
    assert "served by the program's own handle()" in log.getvalue()


@pytest.mark.parametrize("spawn", [gevent.spawn, 5, "default"])
def test_a_handler_class_works_with_every_kind_of_spawn(spawn: Any) -> None:
    server = WSGIServer(
        LOCAL, application, log=None, error_log=io.StringIO(), handler_class=Handler, spawn=spawn
    )
    with running(server):
        for _ in range(10):
            assert exchange(server.address).endswith(ANSWERED)


@both
def test_a_pool_bounds_what_a_handler_class_serves_and_stop_waits_for_it(kind: Any) -> None:
    gate, pool = Gate(), Pool(1)
    server = kind(LOCAL, gate, log=None, error_log=io.StringIO(), handler_class=Handler, spawn=pool)
    with running(server), open_socket(server.address) as first, open_socket(server.address) as second:
        first.sendall(get("/1", "Connection: close"))
        gate.wait_for("/1")
        assert len(pool) == 1
        second.sendall(get("/2", "Connection: close"))
        turn_hub()
        assert gate.order == ["/1"]
        gate.let_go("/1")
        gate.wait_for("/2")
        stopping = gevent.spawn(server.stop, timeout=LIMIT)
        turn_hub()
        assert not stopping.dead
        gate.let_go("/2")
        for client in (first, second):
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")
        stopping.get(timeout=LIMIT)
        assert len(pool) == 0


def test_an_error_of_a_foreign_handler_ends_its_connection_only(capsys: pytest.CaptureFixture[str]) -> None:
    class Server(WSGIServer):
        def handle(self, sock: Any, address: Any) -> None:
            if sock.recv(100) == b"fail":
                raise RuntimeError("raised by handle()")
            sock.sendall(b"handled")

    with running(Server(LOCAL, application, log=None, error_log=io.StringIO())) as server:
        assert exchange(server.address, b"fail") == b""
        assert exchange(server.address, b"question") == b"handled"
    assert "raised by handle()" in capsys.readouterr().err


@pytest.mark.parametrize(("octets", "level"), [(b"", "debug"), (b"no TLS at all", "info")])
def test_a_handshake_that_fails_is_a_line_and_no_news_if_nothing_was_said(
    authority: Authority, certificate: Certificate, octets: bytes, level: str
) -> None:
    log = ErrorLog()
    tls = Tls(authority, certificate)
    arguments = {"handler_class": Handler, "error_log": StreamLog(log, "debug"), **tls.arguments}
    with running(WSGIServer(LOCAL, application, log=None, **arguments)) as server:
        with tls.context().wrap_socket(open_socket(server.address), server_hostname="localhost") as client:
            client.sendall(get("/", "Connection: close"))
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        with open_socket(server.address) as client:
            client.sendall(octets)
        wait_until(lambda: log.matching("TLS"), "the line")
    (line,) = log.matching("TLS")
    assert f"[{level}] TLS handshake with " in line


@both
def test_an_exception_behind_a_handler_class_is_answered(kind: Any) -> None:
    def broken(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise ValueError("raised by the application")

    hub = gevent.get_hub()
    hub.print_exception = lambda *details: None
    try:
        with running(kind(LOCAL, broken, log=None, error_log=io.StringIO(), handler_class=Handler)) as server:
            answer = exchange(server.address, get("/", "Connection: close"))
    finally:
        del hub.print_exception
    assert answer.startswith(b"HTTP/1.1 500 ")

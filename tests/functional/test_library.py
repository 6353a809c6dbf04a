"""The library call as a replacement for pywsgi's: what holds for both classes is tested with both."""

from __future__ import annotations

import io
import socket
import ssl
from contextlib import closing
from typing import Any

import gevent
import gevent.pywsgi
import gevent.socket
import pytest
from gevent.event import Event
from gevent.pool import Pool

from greenserve import WSGIServer
from tests.functional.client import LIMIT, get
from tests.functional.running import ANSWERED, LOCAL, both, exchange, open_socket, running
from tests.functional.serving import Gate, answering, turn_hub, wait_until
from tests.functional.test_listener import needs_ipv6
from tests.listening import free_port

application = answering(b"content")


def local(listener: Any) -> Any:
    """Return where a client finds a server with this `address`."""
    return listener if not isinstance(listener, tuple) else ("127.0.0.1", listener[1])


@pytest.fixture(name="free_port")
def port() -> int:
    return free_port()


# -- listeners


def expect_content(server: Any) -> None:
    """See that `server` answers while it runs, and nobody does afterwards."""
    with running(server):
        assert server.started
        address = local(server.address)
        assert exchange(address).endswith(ANSWERED)
    assert not server.started
    with pytest.raises(ConnectionRefusedError):
        open_socket(address)


@both
@pytest.mark.parametrize("form", [lambda port: ("127.0.0.1", port), lambda port: f"127.0.0.1:{port}", int])
def test_a_listener_is_a_tuple_or_a_text_or_a_port(kind: Any, free_port: int, form: Any) -> None:
    server = kind(form(free_port), application, log=None)
    expect_content(server)


@both
def test_a_listener_may_be_a_listening_socket_of_gevent(kind: Any) -> None:
    with gevent.socket.socket() as sock:
        sock.bind(LOCAL)
        sock.listen()
        server = kind(sock, application, log=None)
        assert server.address == sock.getsockname()
        expect_content(server)


@pytest.mark.parametrize("library", [socket, gevent.socket])
@pytest.mark.parametrize("listening", [True, False])
def test_a_listener_may_be_any_bound_socket(library: Any, listening: bool) -> None:
    with library.socket() as sock:
        sock.bind(LOCAL)
        if listening:
            sock.listen()
        server = WSGIServer(sock, application, log=None)
        assert server.address == sock.getsockname()
        expect_content(server)


@both
def test_a_backlog_is_not_for_a_socket_that_is_bound(kind: Any) -> None:
    with socket.create_server(LOCAL) as sock, pytest.raises(TypeError, match="backlog"):
        kind(sock, application, backlog=5, log=None)


@both
def test_a_tls_socket_is_not_a_listener(kind: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with closing(context.wrap_socket(socket.socket(), server_side=True)) as sock:
        with pytest.raises(TypeError, match="(?i)ssl"):
            kind(sock, application, log=None)


def test_several_listeners_are_one_server(tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    with socket.create_server(LOCAL) as sock:
        server = WSGIServer([LOCAL, sock, f"unix:{path}"], application, log=None)
        with running(server):
            addresses = [listener.getsockname() for listener in server.listeners.sockets]
            assert len({str(address) for address in addresses}) == 3
            for address in addresses:
                assert exchange(address).endswith(ANSWERED)


@both
def test_positions_are_pywsgi_s(kind: Any) -> None:
    log, errors = io.StringIO(), io.StringIO()
    server = kind(LOCAL, application, 5, "default", log, errors, None, {"given": "yes"})
    assert server.backlog == 5 if kind is not WSGIServer else server.listeners.backlog == 5
    assert (server.log, server.error_log, server.environ["given"]) == (log, errors, "yes")


# -- attributes


@both
def test_attributes_before_and_after_the_start(kind: Any) -> None:
    server = kind(LOCAL, application, log=None)
    assert (server.started, server.closed) == (False, True)
    assert (server.address, server.server_host, server.server_port) == (LOCAL, "127.0.0.1", 0)
    assert not hasattr(server, "socket")
    assert server.application is application
    server.start()
    try:
        assert (server.started, server.closed) == (True, False)
        assert server.server_host == "127.0.0.1"
        assert server.server_port == server.address[1] == server.socket.getsockname()[1] > 0
        assert f"fileno={server.socket.fileno()}" in repr(server)
        assert f"127.0.0.1:{server.server_port}" in repr(server)
    finally:
        server.stop()
    assert (server.started, server.closed) == (False, True)


@needs_ipv6
@pytest.mark.parametrize("listener", [("", 0), ":0", 0, "[::1]:0", ("::1", 0, 0, 0)], ids=repr)
def test_an_address_has_two_parts_whatever_the_family(listener: Any) -> None:
    server = WSGIServer(listener, application, log=None)
    host, port = server.address
    assert port == 0
    with running(server):
        host, port = server.address
        assert (host, port) == (server.server_host, server.server_port) == server.socket.getsockname()[:2]
        assert port > 0
        assert exchange(("::1", port)).endswith(ANSWERED)
        assert f"[{host}]:{port}" in repr(server)
    assert server.address == (host, port)


@needs_ipv6
def test_the_address_of_a_ready_made_socket_has_two_parts_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        server = WSGIServer(sock, application, log=None)
        assert server.address == sock.getsockname()[:2] == (server.server_host, server.server_port)


@both
def test_init_socket_binds_before_the_start(kind: Any) -> None:
    server = kind(LOCAL, application, log=None)
    server.init_socket()
    port = server.server_port
    assert port > 0
    assert not server.started
    with running(server):
        assert server.server_port == port
        assert exchange(server.address).endswith(ANSWERED)


@both
def test_a_block_ends_the_server(kind: Any) -> None:
    with kind(LOCAL, application, log=None) as server:
        server.start()
        assert exchange(server.address).endswith(ANSWERED)
    assert (server.started, server.closed) == (False, True)


@both
def test_an_application_may_be_the_class_s(kind: Any) -> None:
    class Server(kind):  # type: ignore[misc]
        application = staticmethod(application)

    expect_content(Server(LOCAL, log=None))


@both
def test_start_and_stop_may_be_called_again(kind: Any, free_port: int) -> None:
    server = kind(("127.0.0.1", free_port), application, log=None)
    server.stop()
    for _ in range(2):
        server.start()
        server.start()
        assert exchange(server.address).endswith(ANSWERED)
        server.stop()
        server.stop()
        assert not server.started


# -- ending


@both
def test_serve_forever_starts_and_returns_when_it_is_stopped(kind: Any) -> None:
    server = kind(LOCAL, application, log=None)
    serving = gevent.spawn(server.serve_forever)
    wait_until(lambda: server.started, "the start")
    assert exchange(server.address).endswith(ANSWERED)
    assert not serving.dead
    server.stop()
    serving.get(timeout=LIMIT)
    assert server.closed


@both
def test_serve_forever_stops_when_its_greenlet_is_killed(kind: Any) -> None:
    server = kind(LOCAL, application, log=None)
    serving = gevent.spawn(server.serve_forever)
    wait_until(lambda: server.started, "the start")
    serving.kill()
    assert (server.started, server.closed) == (False, True)


@both
def test_close_leaves_requests_in_peace(kind: Any) -> None:
    gate = Gate()
    with running(kind(LOCAL, gate, log=None)) as server, open_socket(server.address) as client:
        client.sendall(get("/", "Connection: close"))
        gate.wait_for("/")
        server.close()
        assert (server.started, server.closed) == (False, True)
        gate.let_go("/")
        assert client.makefile("rb").read().endswith(b"\r\n\r\n/")


def test_stop_in_a_request_does_not_wait_for_that_request() -> None:
    stopped: list[bool] = []

    def stopping(environ: Any, start_response: Any) -> list[bytes]:
        stopped.append(server.stop(LIMIT))
        start_response("200 OK", [])
        return [b"the last words"]

    server = WSGIServer(LOCAL, stopping, log=None)
    serving = gevent.spawn(server.serve_forever)
    wait_until(lambda: server.started, "the start")
    answer = exchange(server.address, get())
    assert answer.endswith(b"\r\n\r\nthe last words")
    assert b"\r\nConnection: close\r\n" in answer
    serving.get(timeout=LIMIT)
    assert stopped == [True]


@pytest.mark.parametrize("spawn", [Pool, int])
def test_stop_waits_for_stop_timeout_and_then_ends_what_is_bounded(spawn: Any) -> None:
    ended = Event()

    def waiting(environ: Any, start_response: Any) -> list[bytes]:
        try:
            gevent.sleep(600)
        except gevent.GreenletExit:
            ended.set()
            raise
        return []

    class Server(WSGIServer):
        stop_timeout = 0.01

    server = Server(LOCAL, waiting, log=None, spawn=spawn(5))
    with running(server), open_socket(server.address) as client:
        client.sendall(get())
        wait_until(lambda: server.lender.serving(), "the request being served")
        assert server.stop() is False
        assert ended.wait(LIMIT)


# -- spawn


@pytest.mark.parametrize(
    "spawn", [gevent.spawn, gevent.spawn_raw, gevent.Greenlet.spawn, None, 3, 0, "default"]
)
def test_requests_are_served_in_the_way_that_spawn_says(spawn: Any) -> None:
    expect_content(WSGIServer(LOCAL, application, log=None, spawn=spawn))


@pytest.mark.parametrize("spawn", [gevent.spawn, gevent.Greenlet.spawn])
def test_a_callable_spawns_a_greenlet_for_each_request(spawn: Any) -> None:
    greenlets: list[Any] = []

    def spawn_one(*arguments: Any) -> Any:
        greenlets.append(spawn(*arguments))
        return greenlets[-1]

    found: list[Any] = []

    def finding(environ: Any, start_response: Any) -> list[bytes]:
        found.append(gevent.getcurrent())
        return application(environ, start_response)

    with running(WSGIServer(LOCAL, finding, log=None, spawn=spawn_one)) as server:
        for _ in range(2):
            assert exchange(server.address).endswith(ANSWERED)
    assert found == greenlets


def test_a_pool_holds_the_requests_that_are_served_and_no_idle_connection() -> None:
    gate, pool = Gate(), Pool(2)
    with running(WSGIServer(LOCAL, gate, log=None, spawn=pool)) as server:
        assert server.pool is pool
        with open_socket(server.address) as idle:
            idle.sendall(get("/first"))
            gate.wait_for("/first")
            assert (len(pool), pool.full()) == (1, False)
            gate.let_go("/first")
            assert idle.recv(65536).endswith(b"/first")
            wait_until(lambda: len(pool) == 0, "the pool being empty")


def test_a_pool_that_is_full_keeps_the_others_waiting() -> None:
    gate, pool = Gate(), Pool(1)
    with running(WSGIServer(LOCAL, gate, log=None, spawn=pool)) as server:
        last = "Connection: close"
        asking = [gevent.spawn(exchange, server.address, get(f"/{number}", last)) for number in range(3)]
        for served in range(1, 4):
            wait_until(lambda served=served: len(gate.order) == served, "the next being served")
            assert pool.full()
            turn_hub()
            assert len(gate.order) == served
            gate.let_go(gate.order[-1])
        assert all(b" 200 OK" in each.get(timeout=LIMIT) for each in asking)
    assert sorted(gate.order) == ["/0", "/1", "/2"]

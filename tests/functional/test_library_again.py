"""A server that is started again: at the same place, and with nothing left of its former run."""

from __future__ import annotations

import gc
import socket
import weakref
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent.socket
import pytest

from greenserve import ListenError, WSGIServer
from tests.functional.client import get
from tests.functional.running import ANSWERED, LOCAL, both, exchange, open_socket, running
from tests.functional.serving import Gate, answering, wait_until
from tests.functional.test_listener import needs_ipv6

application = answering(b"content")

#: Both ways to end what start() began: with a drain, and without.
ends = pytest.mark.parametrize("end", ["stop", "close"])


# -- the place


@both
@ends
def test_port_0_is_the_same_port_again(kind: Any, end: str) -> None:
    server = kind(LOCAL, application, log=None)
    with running(server):
        address = server.address
    getattr(server, end)()
    assert server.address == address
    for _ in range(2):
        with running(server):
            assert server.address == address == server.socket.getsockname()
            assert server.server_port == address[1]
            assert exchange(address).endswith(ANSWERED)


@ends
def test_each_of_several_ports_is_the_same_again(end: str) -> None:
    server = WSGIServer([LOCAL, LOCAL, ":0"], application, log=None)
    ports = []
    for _ in range(2):
        server.start()
        ports.append([listener.getsockname()[1] for listener in server.listeners.sockets])
        for port in ports[-1]:
            assert exchange(("127.0.0.1", port)).endswith(ANSWERED)
        getattr(server, end)()
    server.stop()
    assert len(set(ports[0])) == 3
    assert ports[0] == ports[1]


def test_a_port_that_somebody_has_taken_meanwhile_is_an_error_and_no_other_port() -> None:
    server = WSGIServer(LOCAL, application, log=None)
    with running(server):
        address = server.address
    with socket.create_server(address):
        with pytest.raises(ListenError, match=f"{address[1]}: the address is in use"):
            server.start()
        assert not server.started
    with running(server):
        assert exchange(address).endswith(ANSWERED)


@both
def test_the_place_of_a_ready_made_socket_is_bound_again(kind: Any) -> None:
    with gevent.socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(LOCAL)
        sock.listen()
        address = sock.getsockname()
        server = kind(sock, application, log=None)
        for _ in range(3):
            with running(server):
                assert server.address == address
                assert exchange(address).endswith(ANSWERED)
            assert (server.started, server.closed) == (False, True)


@needs_ipv6
@pytest.mark.parametrize("dual", [True, False])
def test_a_ready_made_socket_of_both_families_is_one_again(dual: bool) -> None:
    kind = socket.AF_INET6
    with socket.create_server(("::", 0), family=kind, dualstack_ipv6=dual) as sock:
        server = WSGIServer(sock, application, log=None)
        server.close()
        with running(server):
            option = server.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            assert bool(option) is not dual


def test_a_ready_made_unix_socket_cannot_be_made_again_and_the_error_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        server = WSGIServer([sock, LOCAL], application, log=None)
        with running(server):
            assert exchange(path).endswith(ANSWERED)
        for _ in range(2):
            with pytest.raises(ListenError, match=f"'{path}' again: .* closed"):
                server.start()
            assert (server.started, server.closed) == (False, True)


def test_an_inherited_descriptor_is_used_again() -> None:
    with socket.create_server(LOCAL) as sock:
        server = WSGIServer(f"fd://{sock.fileno()}", application, log=None)
        for _ in range(2):
            with running(server):
                assert exchange(sock.getsockname()).endswith(ANSWERED)


# -- what served before


@ends
def test_deadlines_are_looked_after_once(end: str) -> None:
    server = WSGIServer(LOCAL, application, log=None, keepalive_timeout=0.08)
    server.start()
    former = server.sweeper
    getattr(server, end)()
    with running(server):
        seen = former.idle_deadline
        sweeps = []
        while len(sweeps) < 4:
            wait_until(lambda: server.sweeper.idle_deadline not in sweeps, "the next sweep")
            sweeps.append(server.sweeper.idle_deadline)
        assert former.idle_deadline == seen


@ends
def test_spare_greenlets_of_the_former_run_are_let_go(end: str) -> None:
    with closing(WSGIServer(LOCAL, application, log=None)) as server:
        server.start()
        exchange(server.address)
        (spare,) = server.lender.spare
        former = weakref.ref(spare)
        del spare
        getattr(server, end)()
        with running(server):
            wait_until(lambda: gc.collect() is not None and former() is None, "the end of the greenlet")


def test_a_request_in_flight_outlasts_close_and_start() -> None:
    gate = Gate()
    with running(WSGIServer(LOCAL, gate, log=None)) as server, open_socket(server.address) as client:
        client.sendall(get("/", "Connection: close"))
        gate.wait_for("/")
        server.close()
        server.start()
        gate.let_go("/")
        assert client.makefile("rb").read().endswith(b"\r\n\r\n/")
        server.application = application
        assert exchange(server.address).endswith(ANSWERED)

"""Listening sockets that exist already: inherited descriptors, and sockets of the caller."""

from __future__ import annotations

import _socket
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import gevent.socket
import pytest

from greenserve.errors import ListenError
from greenserve.net.address import DescriptorAddress
from greenserve.net.listener import adopt_listener, bind_listener
from tests.listening import connect, exchange

# Inherited descriptors


def test_an_inherited_descriptor_is_duplicated(bound: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        sock = bound(DescriptorAddress(parent.fileno()))
        assert sock.fileno() != parent.fileno()
        assert sock.gettimeout() == 0
        assert exchange(sock, socket.AF_INET, parent.getsockname())[0] == "127.0.0.1"
        sock.close()
        connect(socket.AF_INET, parent.getsockname()).close()  # the other one still listens


def test_an_inherited_descriptor_does_not_leak_into_further_programs(bound: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        os.set_inheritable(parent.fileno(), True)
        sock = bound(DescriptorAddress(parent.fileno()))
        assert not os.get_inheritable(parent.fileno())
        assert not os.get_inheritable(sock.fileno())


def test_standard_input_can_be_the_listener() -> None:
    program = (
        "from greenserve.net.address import parse_address, peer_of\n"
        "from greenserve.net.listener import bind_listener\n"
        "sock = bind_listener(parse_address('fd://0'))\n"
        "print(peer_of(sock._accept()[1], sock.family)[0])\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as parent, connect(socket.AF_INET, parent.getsockname()):
        result = subprocess.run(
            [sys.executable, "-c", program], stdin=parent, stdout=subprocess.PIPE, timeout=60
        )
    assert (result.returncode, result.stdout) == (0, b"127.0.0.1\n")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_descriptor_that_does_not_listen_is_an_error(kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as idle:
        idle.bind(("127.0.0.1", 0))
        with pytest.raises(ListenError, match="not a listening stream socket"):
            bind_listener(DescriptorAddress(idle.fileno()))
        assert idle.getsockname()[1]  # it was not closed


def test_a_descriptor_of_a_file_is_an_error(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file, pytest.raises(ListenError, match="it is not a socket"):
        bind_listener(DescriptorAddress(file.fileno()))


@pytest.mark.parametrize("number", [999999, 2**40])
def test_a_descriptor_that_is_not_there_is_an_error(number: int) -> None:
    with pytest.raises(ListenError, match=f"fd://{number}: there is no such descriptor"):
        bind_listener(DescriptorAddress(number))


# Sockets of the caller


@pytest.mark.parametrize("make", [socket.socket, gevent.socket.socket, _socket.socket])
@pytest.mark.parametrize("listening", [True, False])
def test_the_callers_socket_is_taken_over(make: Any, listening: bool) -> None:
    theirs = make(socket.AF_INET, socket.SOCK_STREAM)
    theirs.bind(("127.0.0.1", 0))
    if listening:
        theirs.listen(5)
    ours = adopt_listener(theirs)
    assert isinstance(ours, _socket.socket)
    assert ours.fileno() == theirs.fileno()
    assert ours.gettimeout() == 0
    assert exchange(ours, socket.AF_INET, theirs.getsockname())[0] == "127.0.0.1"
    del ours
    assert theirs.getsockname()[1]  # still open
    theirs.close()


def test_the_callers_unix_socket_is_taken_over(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as theirs:
        theirs.bind(path)
        assert exchange(adopt_listener(theirs), socket.AF_UNIX, path) == ("", "")


def test_a_tls_socket_is_refused_as_pywsgi_refuses_it() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with socket.socket() as plain, context.wrap_socket(plain, do_handshake_on_connect=False) as wrapped:
        with pytest.raises(TypeError, match="^Expected a regular socket, not SSLSocket: "):
            adopt_listener(wrapped)


@pytest.mark.parametrize("thing", [object(), None, 5])
def test_what_is_no_socket_is_a_type_error(thing: Any) -> None:
    with pytest.raises(TypeError, match="Expected a socket"):
        adopt_listener(thing)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_socket_that_is_not_bound_is_an_error(family: int) -> None:
    with socket.socket(family) as unbound, pytest.raises(ListenError, match="bound to no address"):
        adopt_listener(unbound)


def test_a_datagram_socket_is_an_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        with pytest.raises(ListenError, match="not a stream socket"):
            adopt_listener(datagrams)


@pytest.mark.parametrize("make", [socket.socket, gevent.socket.socket, _socket.socket])
def test_a_closed_socket_is_an_os_error(make: Any) -> None:
    closed = make(socket.AF_INET, socket.SOCK_STREAM)
    closed.close()
    with pytest.raises(OSError):
        adopt_listener(closed)


def test_a_socket_that_cannot_listen_is_an_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connect(socket.AF_INET, server.getsockname()) as used,
    ):
        with pytest.raises(ListenError, match="cannot listen on 127"):
            adopt_listener(used)

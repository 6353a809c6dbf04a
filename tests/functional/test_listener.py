"""Listening TCP sockets, with real clients on this machine."""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from greenserve.errors import ListenError
from greenserve.net import listener as listener_module
from greenserve.net.address import TcpAddress, parse_address, peer_of
from greenserve.net.listener import bind_listener, listener_name
from tests.listening import accept, connect, exchange


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def test_a_listener_is_plain_non_blocking_and_closed_on_exec(bound: Any) -> None:
    sock = bound(TcpAddress("127.0.0.1", 0))
    assert type(sock) is _socket.socket
    assert sock.gettimeout() == 0
    assert fcntl.fcntl(sock.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK
    assert not os.get_inheritable(sock.fileno())
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    with pytest.raises(BlockingIOError):
        sock._accept()


def test_a_connection_has_nodelay_and_its_peer_is_named(bound: Any) -> None:
    sock = bound(TcpAddress("127.0.0.1", 0))
    with connect(socket.AF_INET, sock.getsockname()) as client:
        accepted, name = accept(sock)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert peer_of(name, sock.family) == ("127.0.0.1", str(client.getsockname()[1]))
        accepted.close()


def test_port_0_is_any_free_port(bound: Any) -> None:
    first, second = (bound(TcpAddress("127.0.0.1", 0)) for _ in range(2))
    assert first.getsockname()[1] != second.getsockname()[1]
    assert listener_name(first) == f"127.0.0.1:{first.getsockname()[1]}"


@needs_ipv6
@pytest.mark.parametrize("value", [":0", "*:0", "0", ("", 0), 0], ids=repr)
def test_no_host_listens_on_both_families(bound: Any, value: Any) -> None:
    sock = bound(parse_address(value))
    port = sock.getsockname()[1]
    assert listener_name(sock) == f"*:{port}"
    assert exchange(sock, socket.AF_INET, ("127.0.0.1", port))[0] == "127.0.0.1"
    assert exchange(sock, socket.AF_INET6, ("::1", port))[0] == "::1"


@needs_ipv6
def test_the_ipv6_wildcard_listens_on_ipv6_alone(bound: Any) -> None:
    sock = bound(parse_address("[::]:0"))
    port = sock.getsockname()[1]
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    assert listener_name(sock) == f"[::]:{port}"
    assert exchange(sock, socket.AF_INET6, ("::1", port))[0] == "::1"
    with pytest.raises(ConnectionRefusedError):
        connect(socket.AF_INET, ("127.0.0.1", port))


@needs_ipv6
def test_an_ipv6_address(bound: Any) -> None:
    sock = bound(parse_address("[::1]:0"))
    port = sock.getsockname()[1]
    assert exchange(sock, socket.AF_INET6, ("::1", port))[0] == "::1"
    assert listener_name(sock) == f"[::1]:{port}"


@pytest.mark.parametrize("refusal", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_without_ipv6_both_families_means_ipv4(
    bound: Any, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    listen = listener_module._listen_on_tcp

    def without_ipv6(family: int, *rest: Any) -> Any:
        return OSError(refusal, "no IPv6") if family == socket.AF_INET6 else listen(family, *rest)

    monkeypatch.setattr(listener_module, "_listen_on_tcp", without_ipv6)
    sock = bound(parse_address(":0"))
    assert sock.getsockname()[0] == "0.0.0.0"
    assert exchange(sock, socket.AF_INET, ("127.0.0.1", sock.getsockname()[1]))[0] == "127.0.0.1"


def test_a_name_listens_on_its_ipv4_address(bound: Any) -> None:
    sock = bound(parse_address("localhost:0"))
    assert exchange(sock, socket.AF_INET, sock.getsockname())[0] == "127.0.0.1"


@needs_ipv6
def test_a_name_skips_an_address_that_this_machine_does_not_have(
    bound: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, 1, 6, "", ("192.0.2.254", 0)), (socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0))]
    monkeypatch.setattr(_socket, "getaddrinfo", lambda *arguments: found)
    assert bound(parse_address("name.example:0")).getsockname()[0] == "::1"


def test_an_unknown_name_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(_socket, "getaddrinfo", refuse)
    with pytest.raises(ListenError, match=r"cannot listen on nowhere\.invalid:80: .* not known \(Name or"):
        bind_listener(parse_address("nowhere.invalid:80"))


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_a_port_in_use_names_the_address(bound: Any, host: str) -> None:
    port = bound(TcpAddress("127.0.0.1", 0)).getsockname()[1]
    with pytest.raises(ListenError, match=rf"cannot listen on .*:{port}: the address is in use"):
        bind_listener(parse_address((host, port)))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.254:0: this machine has no such address"):
        bind_listener(TcpAddress("192.0.2.254", 0))


def test_a_privileged_port_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(listener_module, "_listen_on_tcp", lambda *arguments: refusal)
    with pytest.raises(ListenError, match=r"127\.0\.0\.1:80: ports below 1024 need a privilege"):
        bind_listener(TcpAddress("127.0.0.1", 80))


def test_binding_makes_no_hub() -> None:
    program = (
        "from gevent._hub_local import get_hub_if_exists\n"
        "from greenserve.net.address import parse_address\n"
        "from greenserve.net.listener import bind_listener\n"
        "bind_listener(parse_address('localhost:0')).close()\n"
        "assert get_hub_if_exists() is None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

"""Ports to listen on, and clients for listening sockets: connect, be accepted, send an octet."""

from __future__ import annotations

import _socket
import os
import socket
from contextlib import suppress
from itertools import count
from typing import Any

from greenserve.net.address import peer_of

LIMIT = 5.0  # seconds; nothing here takes a tenth of that

#: Below those that the kernel gives to clients and to who asks for any port (net.ipv4.ip_local_port_range).
PORTS = range(10_000, 32_000)

#: Where this process goes on looking for a port; the tests that run beside it in another one begin elsewhere.
candidates = count(os.getpid() * 211)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses, and that nobody gets before the caller listens on it.

    The kernel would give one that it has chosen to the next client as well, once it is closed again.
    """
    while True:
        port = PORTS[next(candidates) % len(PORTS)]
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def connect(family: int, address: Any) -> socket.socket:
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(LIMIT)
    try:
        client.connect(address)
    except OSError:
        client.close()
        raise
    return client


def accept(listener: _socket.socket) -> tuple[_socket.socket, Any]:
    """Accept what is in the queue: a client on this machine is there once its connect() has returned."""
    fileno, address = listener._accept()  # type: ignore[attr-defined]
    return _socket.socket(fileno=fileno), address


def exchange(listener: _socket.socket, family: int, address: Any) -> tuple[str, str]:
    """Send one octet through `listener`; return who the peer was."""
    with connect(family, address) as client:
        accepted, name = accept(listener)
        client.sendall(b"x")
        accepted.settimeout(LIMIT)
        assert accepted.recv(10) == b"x"
        accepted.close()
    return peer_of(name, listener.family)

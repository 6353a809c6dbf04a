"""Clients for listening sockets: connect, be accepted, send an octet."""

from __future__ import annotations

import _socket
import socket
from typing import Any

from greenserve.net.address import peer_of

LIMIT = 5.0  # seconds; nothing here takes a tenth of that


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

"""Servers that a test has made itself, and clients for any kind of listener, in the test's own hub."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.socket

from greenserve import WSGIServer
from tests.functional.client import LIMIT, get


@contextmanager
def running(server: WSGIServer) -> Iterator[WSGIServer]:
    """Start `server` and stop it at the end, whatever the test did."""
    server.start()
    try:
        yield server
    finally:
        server.kill()
        server.stop(LIMIT)


def open_socket(address: Any) -> Any:
    """Return a gevent socket connected to `address`: a tuple, or the path of a Unix socket."""
    if isinstance(address, tuple):
        return gevent.socket.create_connection(address[:2], timeout=LIMIT)
    sock = gevent.socket.socket(socket.AF_UNIX)
    sock.settimeout(LIMIT)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def exchange(address: Any, octets: bytes = b"") -> bytes:
    """Return all that a server at `address` sends after `octets`, or after a GET, until it closes."""
    with open_socket(address) as sock:
        sock.sendall(octets or get("/", "Connection: close"))
        received = b""
        while block := sock.recv(65536):
            received += block
        return received

"""Servers that a test has made itself, and clients for any kind of listener, in the test's own hub."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent.pywsgi
import gevent.socket
import pytest

from greenserve import WSGIServer
from tests.functional.client import LIMIT, get

#: Any free port of this machine.
LOCAL = ("127.0.0.1", 0)

#: The end of the answer whose content is ``content``.
ANSWERED = b"\r\n\r\ncontent"

#: Runs a test with pywsgi's class and with ours: what it finds is what pywsgi's users are used to.
both = pytest.mark.parametrize("kind", [gevent.pywsgi.WSGIServer, WSGIServer], ids=["pywsgi", "greenserve"])


@contextmanager
def running(server: Any) -> Iterator[Any]:
    """Start `server`, ours or pywsgi's, and stop it at the end, whatever the test did."""
    server.start()
    try:
        yield server
    finally:
        if isinstance(server, WSGIServer):
            server.kill()  # what is still open is open because the test failed
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

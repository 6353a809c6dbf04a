"""The loop that everything is compared with: gevent's StreamServer, one recv, one canned sendall.

It knows no HTTP.  What it is to wait for and to send comes from a file, a `Canned` as JSON: the octets
of the right answer, and how much content comes behind each head.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from gevent.server import StreamServer

from benchmarks.canned import Canned
from benchmarks.servers import arguments

Handler = Callable[[Any], None]


def answer_heads(canned: Canned, sock: Any) -> None:
    """Take what one recv brings for one request."""
    octets = canned.joined
    while sock.recv(65536):
        sock.sendall(octets)


def answer_one(canned: Canned, sock: Any) -> None:
    """Close behind the first answer."""
    if sock.recv(65536):
        sock.sendall(canned.joined)


def answer_contents(canned: Canned, sock: Any) -> None:
    """Read the content to its end; the head arrives in one piece."""
    octets = canned.joined
    while data := sock.recv(65536):
        missing = data.index(b"\r\n\r\n") + 4 + canned.content - len(data)
        while missing > 0 and (data := sock.recv(65536)):
            missing -= len(data)
        if missing:
            return
        sock.sendall(octets)


def answer_pipelined(canned: Canned, sock: Any) -> None:
    """Count the heads that have arrived; one may be cut."""
    octets, end = canned.joined, b"\r\n\r\n"
    rest = b""
    while data := sock.recv(65536):
        data = rest + data
        rest = data[data.rfind(end) + 4 :] if end in data else data
        sock.sendall(octets * data.count(end))


def answer_in_pieces(canned: Canned, sock: Any) -> None:
    """Send the pieces of the answer one by one."""
    while sock.recv(65536):
        for octets, times in canned.pieces:
            for _ in range(times):
                sock.sendall(octets)


def answer_late(canned: Canned, sock: Any) -> None:
    octets = canned.joined
    while sock.recv(65536):
        gevent.sleep(canned.pause)
        sock.sendall(octets)


def handler_for(canned: Canned) -> Handler:
    if canned.closes:
        return partial(answer_one, canned)
    if canned.content:
        return partial(answer_contents, canned)
    if canned.pipelined:
        return partial(answer_pipelined, canned)
    if canned.in_pieces:
        return partial(answer_in_pieces, canned)
    return partial(answer_late if canned.pause else answer_heads, canned)


def main() -> None:
    given = arguments.parse()
    canned = Canned.from_json(Path(given.application).read_text())
    handler = handler_for(canned)

    def handle(sock: Any, address: object) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            handler(sock)
        except OSError:
            pass  # the client has gone, which is how a run ends

    tls = {"certfile": given.certfile, "keyfile": given.keyfile} if given.certfile else {}
    StreamServer((arguments.HOST, given.port), handle, backlog=arguments.BACKLOG, **tls).serve_forever()


if __name__ == "__main__":
    main()

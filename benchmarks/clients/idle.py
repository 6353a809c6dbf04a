"""Opens connections, asks once on each of them, and keeps them open and idle until its input ends.

Prints one line of JSON when all are idle, another one at the end, which says how many are still open.
Its input says that the memory has been looked at.
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no port is left waiting

#: Seconds for one answer, and for all connections together: a server whose every request looks at every
#: connection takes the square of their number.
TIMEOUT = 5.0
PATIENCE = 30.0


@dataclass
class Opening:
    """Connections on which one answer of `size` octets has been read each, and why there are no more."""

    connections: list[socket.socket] = field(default_factory=list)
    size: int = 0
    error: str = ""


def open_idle(port: int, length: int) -> tuple[socket.socket, int]:
    """Return a connection on which an answer with `length` octets of content has been read, and its size."""
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.sendall(REQUEST)
        return sock, read_answer(sock, length)
    except OSError:
        sock.close()
        raise


def read_answer(sock: socket.socket, length: int) -> int:
    """Read an answer with `length` octets of content; return the octets of all of it.  Raises OSError."""
    answer = b""
    while len(answer.partition(b"\r\n\r\n")[2]) < length:
        data = sock.recv(65536)
        if not data:
            raise OSError("closed without an answer")
        answer += data
    return len(answer)


def open_all(port: int, count: int, length: int) -> Opening:
    """Open `count` connections, or as many as there are before an error."""
    opening = Opening()
    ends = time.monotonic() + PATIENCE
    try:
        while len(opening.connections) < count:
            sock, opening.size = open_idle(port, length)
            opening.connections.append(sock)
            if time.monotonic() > ends:
                raise TimeoutError(f"no more in {PATIENCE:g} s")
    except OSError as error:
        opening.error = f"{len(opening.connections)} of {count} connections opened: {error}"
    return opening


def raise_descriptors() -> None:
    """Let this process have as many descriptors as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def count_open(connections: list[socket.socket]) -> int:
    """Return how many of them nothing has arrived on, neither octets nor an end."""
    poll = select.poll()
    for sock in connections:
        poll.register(sock, select.POLLIN)
    return len(connections) - len(poll.poll(0))


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--length", type=int, required=True)
    given = parser.parse_args()
    raise_descriptors()
    opening = open_all(given.port, given.count, given.length)
    say(error=opening.error)
    sys.stdin.read()
    say(open=count_open(opening.connections))


if __name__ == "__main__":
    main()

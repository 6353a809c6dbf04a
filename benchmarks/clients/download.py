"""Fetches one path over some connections for some time, and prints what came as one line of JSON.

The content of the answers is thrown away in the kernel (MSG_TRUNC), so that the client is not what is
measured; that it is right has been looked at before.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import time
from dataclasses import dataclass, field

#: Where what MSG_TRUNC throws away would go.
NOWHERE = bytearray(1 << 20)


@dataclass
class Tally:
    """What has arrived since `begins`."""

    begins: float
    octets: int = 0
    latencies: list[float] = field(default_factory=list)
    error: str = ""


class Download:
    """One connection that asks again as soon as an answer is complete."""

    def __init__(self, port: int, request: bytes, selector: selectors.BaseSelector) -> None:
        self.port = port
        self.request = request
        self.selector = selector
        self.head = b""
        self.missing = 0
        self.connect()

    def connect(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), 10)
        self.selector.register(self.sock, selectors.EVENT_READ, self)
        self.ask()

    def ask(self) -> None:
        self.asked = time.perf_counter()
        self.sock.sendall(self.request)

    def go_on(self) -> None:
        """Ask again, on a new connection if the answer said that this one ends."""
        if not self.closes:
            self.ask()
            return
        self.selector.unregister(self.sock)
        self.sock.close()
        self.connect()

    def receive(self, tally: Tally) -> None:
        """Take what is there.  Raises ValueError for an answer that is none, OSError."""
        now = time.perf_counter()
        if self.missing:
            received = content = self.sock.recv_into(
                NOWHERE, min(self.missing, len(NOWHERE)), socket.MSG_TRUNC
            )
            self.missing -= content
        else:
            data = self.sock.recv(65536)
            received, content = len(data), self.take_head(data)
        if not received:
            raise ValueError("the connection ended in the middle of an answer")
        if now >= tally.begins:
            tally.octets += content
        if not self.missing and not self.head:
            if now >= tally.begins:
                tally.latencies.append(now - self.asked)
            self.go_on()

    def take_head(self, data: bytes) -> int:
        """Return how much content is behind the head, 0 as long as the head has no end."""
        self.head += data
        head, end, content = self.head.partition(b"\r\n\r\n")
        if not end:
            return 0
        lines = head.lower().split(b"\r\n")
        if b" 200 " not in lines[0] + b" ":
            raise ValueError(f"answered {lines[0][:60]!r}")
        lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        if not lengths:
            raise ValueError("an answer without Content-Length")
        self.head = b""
        self.closes = b"connection: close" in lines
        self.missing = lengths[0] - len(content)
        return len(content)


def run(port: int, path: str, connections: int, warm_up: float, seconds: float) -> Tally:
    """Download for so long and return what came."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    begins = time.perf_counter() + warm_up
    tally = Tally(begins)
    with selectors.DefaultSelector() as selector:
        downloads = [Download(port, request, selector) for _ in range(connections)]
        while time.perf_counter() < begins + seconds and not tally.error:
            for key, _ in selector.select(0.05):
                try:
                    key.data.receive(tally)
                except (OSError, ValueError) as error:  # noqa: PERF203 -- it ends the loop
                    tally.error = str(error)
    for each in downloads:
        each.sock.close()
    return tally


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    tally = run(given.port, given.path, given.connections, given.warm_up, given.seconds)
    seconds = time.perf_counter() - tally.begins
    values = {"octets": tally.octets, "latencies": tally.latencies, "error": tally.error}
    print(json.dumps({"seconds": seconds, **values}))


if __name__ == "__main__":
    main()

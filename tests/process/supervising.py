"""systemd, as far as a service talks to it: the socket that it sends its messages to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.process.masters import SECONDS


class Notified:
    """What a service has said, message by message; `address` is for NOTIFY_SOCKET."""

    def __init__(self, folder: Path, abstract: bool) -> None:
        path = str(folder / "notify")
        self.address = f"@{path[1:]}" if abstract else path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(f"\0{path[1:]}" if abstract else path)
        self.messages: list[dict[str, str]] = []

    def read(self, timeout: float) -> None:
        """Take in one message.  Raises TimeoutError."""
        self.sock.settimeout(timeout)
        lines = self.sock.recv(65536).decode().splitlines()
        self.messages.append(dict(line.split("=", 1) for line in lines))

    def wait_for(self, **fields: str) -> dict[str, str]:
        """Return the first message with these fields among those to come, or not asked for yet."""
        deadline = time.monotonic() + SECONDS
        while True:
            while self.messages:
                message = self.messages.pop(0)
                if fields.items() <= message.items():
                    return message
            try:
                self.read(max(0.0, deadline - time.monotonic()))
            except (TimeoutError, BlockingIOError):
                raise AssertionError(f"{fields} was not said") from None

    def rest(self) -> list[dict[str, str]]:
        """Return what has been said and not been asked for."""
        with suppress(TimeoutError, BlockingIOError):
            while True:
                self.read(0.0)
        found, self.messages = self.messages, []
        return found


@contextmanager
def notified(folder: Path, abstract: bool = False) -> Iterator[Notified]:
    """Be the one that is told."""
    told = Notified(folder, abstract)
    with closing(told.sock):
        yield told

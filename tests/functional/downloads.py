"""Applications that return files, and a count of what is sent by sendfile(2)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tests.functional.client import Client

CONTENT = bytes(range(256)) * 1200  # 300 KiB: more than one block
LARGE = 16 << 20  # more than all buffers between the two ends


class Sendfile:
    """`os.sendfile` with the bytes of each call counted."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, *arguments: int) -> int:
        sent = os.sendfile(*arguments)
        self.counts.append(sent)
        return sent

    @property
    def total(self) -> int:
        return sum(self.counts)


class Download:
    """An application that returns what `open_file` gives, wrapped; the last one is `file`."""

    def __init__(
        self, open_file: Callable[[], Any], *fields: tuple[str, str], status: str = "200 OK"
    ) -> None:
        self.open_file = open_file
        self.fields = list(fields)
        self.status = status
        self.file: Any = None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        start_response(self.status, self.fields)
        self.file = self.open_file()
        return environ["wsgi.file_wrapper"](self.file)


def lengths(count: int) -> tuple[str, str]:
    return ("Content-Length", str(count))


def count_to_end(client: Client) -> int:
    """Return how many octets come before the end of the connection."""
    count = len(client.buffer)
    while block := client.sock.recv(1 << 20):
        count += len(block)
    return count

"""Clients that keep asking, and believe nothing: every answer is checked, no request is sent twice.

Half of them stay on their connection for as long as the server lets them, the others take a new one for
each request; each sends GET and POST in turn.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.pipes import wait_for

SECONDS = 30.0
CLIENTS = 4


class Load:
    """What the clients have sent: `sent` in all, `answered` by each process, and what has `failed`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent = 0
        self.answered: Counter[int] = Counter()
        self.failed: list[str] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()

    def go_on_for(self, count: int) -> None:
        """Wait until `count` more requests have been answered."""
        enough = self.answered.total() + count
        wait_for(lambda: self.answered.total() >= enough or self.failed, f"{count} answers")

    def visit(self, number: int) -> None:
        """Ask again and again, on one connection or on many, until it is time to end."""
        connection = self._connection()
        requests = 0
        while not self._ending.is_set():
            requests += 1
            if number % 2:
                connection.close()
                connection = self._connection()
            began = time.monotonic()
            try:
                self._ask(connection, f"{number}.{requests}".encode() if requests % 2 else None)
            except (OSError, http.client.HTTPException) as error:
                after = time.monotonic() - began
                kind = "a new" if number % 2 else "its"
                self._fail(
                    f"request {requests} of client {number} on {kind} connection: {error!r}, {after:.3f} s"
                )
                connection.close()
                connection = self._connection()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def _ask(self, connection: http.client.HTTPConnection, content: bytes | None) -> None:
        method, path = ("GET", "/pid") if content is None else ("POST", "/echo")
        with self._lock:
            self.sent += 1
        connection.request(method, path, content)
        with closing(connection.getresponse()) as answer:
            answered = answer.read()
        if answer.status != 200 or (content is not None and answered != content):
            self._fail(f"{method} {path}: {answer.status} {answered!r}")
            return
        with self._lock:
            self.answered[int(answered) if content is None else 0] += 1

    def _fail(self, what: str) -> None:
        with self._lock:
            self.failed.append(what)

    def end(self) -> None:
        """Send nothing more, once what is under way is answered."""
        self._ending.set()


@contextmanager
def loading(port: int) -> Iterator[Load]:
    """Have clients ask the server at `port`; at the end none of their requests may have failed."""
    load = Load(port)
    threads = [threading.Thread(target=load.visit, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()
        for thread in threads:
            thread.join()
    assert load.failed == [], f"{len(load.failed)} of {load.sent} failed"
    assert load.sent == load.answered.total() > 0

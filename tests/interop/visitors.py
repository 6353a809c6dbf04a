"""Clients that ask one request after another while servers behind the front end come and go."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from tests.interop.front_end import SECONDS, FrontEnd
from tests.pipes import wait_for

VISITORS = 4
ENOUGH = 40  # answers


class Visitors:
    """What the visitors of a front end have got: so many `answers` from each server, and `failures`."""

    def __init__(self, front: FrontEnd, methods: Sequence[str]) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._front = front
        self._methods = methods
        self._stopping = threading.Event()

    def wait_for(self, name: str) -> None:
        """Wait until the server with this name has answered all visitors, and some of them again."""
        enough = self.answers[name] + ENOUGH
        wait_for(lambda: self.answers[name] >= enough, f"answers of {name}")

    def visit(self) -> None:
        """Ask for ``/name`` until it is time to stop, on a connection that lasts."""
        port = self._front.port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
            while not self._stopping.is_set():
                for method in self._methods:
                    self._ask(connection, method)

    def _ask(self, connection: http.client.HTTPConnection, method: str) -> None:
        try:
            connection.request(method, "/name", b"content" if method == "POST" else None)
            answer = connection.getresponse()
            content = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{method}: {error!r}")
            connection.close()
            return
        if answer.status != 200:
            self.failures.append(f"{method}: {answer.status} {content}")
            return
        self.answers[content] += 1

    def stop(self) -> None:
        self._stopping.set()


@contextmanager
def visiting(front: FrontEnd, *methods: str) -> Iterator[Visitors]:
    """Have visitors of a front end, several at a time, who use these methods in turn."""
    visitors = Visitors(front, methods)
    threads = [threading.Thread(target=visitors.visit) for _ in range(VISITORS)]
    for thread in threads:
        thread.start()
    try:
        yield visitors
    finally:
        visitors.stop()
        for thread in threads:
            thread.join()

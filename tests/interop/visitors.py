"""Clients that ask one request after another while servers behind the front end come and go."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from tests.interop.front_end import SECONDS, FrontEnd
from tests.pipes import wait_for


class Visitors:
    """What the visitors of a front end have got: an answer each of `names`, and `failures`."""

    def __init__(self, front: FrontEnd, methods: Sequence[str]) -> None:
        self.names: set[str] = set()
        self.failures: list[str] = []
        self._front = front
        self._methods = methods
        self._stopping = threading.Event()

    def wait_for_name(self, name: str) -> None:
        """Wait for an answer of the server with this name."""
        wait_for(lambda: name in self.names or self._stopping.is_set(), f"an answer of {name}")

    def visit(self) -> None:
        """Ask for ``/name`` until it is time to stop, on a connection that lasts."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._front.port, timeout=SECONDS)) as connection:
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
        self.names.add(content)

    def stop(self) -> None:
        self._stopping.set()


@contextmanager
def visiting(front: FrontEnd, *methods: str, count: int = 6) -> Iterator[Visitors]:
    """Have `count` visitors of a front end at a time, who use these methods in turn."""
    visitors = Visitors(front, methods)
    threads = [threading.Thread(target=visitors.visit) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield visitors
    finally:
        visitors.stop()
        for thread in threads:
            thread.join()

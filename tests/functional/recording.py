"""A server whose requests are recorded, as those of a worker are: `recording`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gevent.event import Event

from greenserve import WSGIServer
from greenserve.process.flight import FlightRecorder
from greenserve.process.recorded import record_requests
from tests.functional.client import LIMIT, get
from tests.functional.running import LOCAL, running

#: The largest head that is accepted.
HEAD_SIZE = 1000

#: More octets than the kernel takes for a client that does not read.
LARGE = 1 << 24


class Recorded:
    """A server whose requests are recorded.

    The parts of a path are what the application does: `wait` until `go` is set, and `again` until that is;
    `read` the content; with `large` it returns more than the kernel takes, with `write` it calls write() with
    that.  In `seen` are the targets that were in flight when it was called, or something was written to the
    error log.
    """

    def __init__(self, records: int) -> None:
        self.recorder = FlightRecorder(records, HEAD_SIZE)
        self.seen: list[list[str]] = []
        self.go, self.again = Event(), Event()

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.seen.append(self.targets)
        content = b""
        for part in environ["PATH_INFO"].split("/"):
            if part in ("wait", "again"):
                assert (self.go if part == "wait" else self.again).wait(LIMIT)
            elif part == "read":
                environ["wsgi.input"].read()
            elif part == "large":
                content = bytes(LARGE)
            elif part == "write":
                start_response("200 OK", [("Content-Length", str(LARGE))])(bytes(LARGE))
        environ["wsgi.input"].read()
        if "write" in environ["PATH_INFO"]:
            return []
        start_response("200 OK", [("Content-Length", str(len(content)))])
        return [content]

    def write(self, line: str) -> None:
        """Write to the error log."""
        if line.strip():
            self.seen.append(self.targets)

    def flush(self) -> None:
        pass

    @property
    def targets(self) -> list[str]:
        return [request.text.split(" ")[1] for request in self.recorder.requests()]

    @property
    def phases(self) -> list[int]:
        return [request.phase for request in self.recorder.requests()]


@contextmanager
def recording(records: int = 4, listener: Any = LOCAL, **settings: Any) -> Iterator[tuple[Recorded, Any]]:
    recorded = Recorded(records)
    settings = {"limit_request_head": HEAD_SIZE, **settings}
    server = WSGIServer(listener, recorded, log=None, error_log=recorded, **settings)
    record_requests(server, recorded.recorder, [])
    with running(server):
        yield recorded, server


def ask(sock: Any, target: str) -> None:
    sock.sendall(get(target))
    assert sock.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")

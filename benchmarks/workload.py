"""A workload: what is asked, over how many connections, how it is measured, and what the figure means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from benchmarks.applications import plain
from benchmarks.canned import Canned
from benchmarks.request import Content, Request

MEGABYTE = 1_000_000  # of figures in MB/s


class Method(Enum):
    """How a workload is measured; `benchmarks.measure` has a function for each."""

    WRK = "wrk"
    H2LOAD = "h2load"
    CROWD = "crowd"  # benchmarks/clients/crowd.py
    DOWNLOAD = "download"  # benchmarks/clients/download.py
    IDLE = "idle"  # benchmarks/clients/idle.py
    START_UP = "start-up"
    FRESH_MEMORY = "fresh memory"
    USED_MEMORY = "used memory"


LOADS = frozenset({Method.WRK, Method.H2LOAD, Method.CROWD, Method.DOWNLOAD})

HELLO = Request("/", Content(plain.HELLO))


@dataclass(frozen=True)
class Workload:
    """`connections` are open at the same time; there are `rounds` at most."""

    name: str
    title: str
    request: Request = HELLO
    method: Method = Method.WRK
    application: str = "plain:application"
    connections: int = 64
    pipelined: int = 1
    tls: bool = False
    access_log: bool = False
    pause: float = 0.0  # seconds that the application sleeps
    requests: int = 0  # how many are sent, where that is what is given
    unit: str = "requests/s"
    rounds: int | None = None

    @property
    def lower_is_better(self) -> bool:
        return self.method not in LOADS

    def in_unit(self, answers_per_second: float) -> float:
        """Return the figure for so many answers in a second."""
        if self.unit != "MB/s":
            return answers_per_second
        return answers_per_second * (self.request.content or len(self.request.answer)) / MEGABYTE

    def canned(self) -> Canned:
        """Return what the raw loop sends in this workload: the right answer."""
        request = self.request
        streamed = request.path == "/stream"
        fields = [
            "HTTP/1.1 200 OK",
            "Server: raw",
            "Date: Sat, 01 Jan 2000 00:00:00 GMT",
            "Content-Type: text/plain",
            "Transfer-Encoding: chunked" if streamed else f"Content-Length: {len(request.answer)}",
        ]
        if request.closes:
            fields.append("Connection: close")
        head = "\r\n".join([*fields, "", ""]).encode()
        block, times = request.answer.block, request.answer.times
        pieces: tuple[tuple[bytes, int], ...] = ((head, 1), (block, times))
        if streamed:
            pieces = ((head, 1), (b"%x\r\n%b\r\n" % (len(block), block), times), (b"0\r\n\r\n", 1))
        return Canned(
            pieces,
            content=request.content,
            pause=self.pause,
            closes=request.closes,
            pipelined=self.pipelined > 1,
            in_pieces=times > 1,
        )

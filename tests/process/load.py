"""The load: visitors who keep asking, and believe nothing.  ``python -m tests.process.load PORT GRACE``

Every answer is checked octet by octet; nothing is sent twice.  What becomes of each request is counted once:
answered, failed, or `met_close`: sent on a connection idle for longer than the grace, which met its end.
A line with the counts is written now and then, the whole report when the standard input ends.
"""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.process.load_site import expected_answer

SECONDS = 20.0  # an answer that does not come by then is a lost one
REPORT_INTERVAL = 0.05

#: Content of a POST: most are small, some do not fit into what is read at once.
SIZES = (0, 1, 200, 200, 5_000, 5_000, 40_000, 200_000)

#: What is not checked, because nobody can know it before.
UNKNOWN_FIELDS = {"date", "server", "connection", "x-worker", "x-answered", "keep-alive"}


class Lost(Exception):
    """A request without the answer that it should have."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


@dataclass
class Counts:
    """What has become of the requests; `sent` is the sum of the others, once all is done."""

    sent: int = 0
    answered: int = 0
    met_close: int = 0
    connections: int = 0
    #: Ends of idle connections that were seen before anything was sent.
    seen_ends: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    workers: dict[str, int] = field(default_factory=dict)


class Connection:
    """One connection of a visitor's."""

    def __init__(self, port: int) -> None:
        try:
            self.sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        except OSError as error:
            raise Lost(
                "refused" if isinstance(error, ConnectionRefusedError) else "connect", repr(error)
            ) from None
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.own_port = self.sock.getsockname()[1]
        self.opened = self.idle_since = time.monotonic()
        self.idle = 0.0  # how long it had been so when a request arrived
        self.answers = 0
        self.worker = 0
        self.buffer = b""

    def has_ended(self) -> bool:
        """Whether the server has closed it.  Raises Lost for octets that nobody has asked for."""
        if not select.select([self.sock], [], [], 0)[0]:
            return False
        try:
            octets = self.sock.recv(1000)
        except ConnectionResetError:
            return True
        if octets:
            raise Lost("unsolicited", repr(octets[:200]))
        return True

    def send(self, octets: bytes) -> None:
        """Send; who has closed is found out by reading."""
        try:
            self.sock.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an answer may be there all the same
        except OSError as error:
            raise Lost("send", repr(error)) from None
        finally:
            self.idle = self.idle or time.monotonic() - self.idle_since  # the octets are there by now

    def recv(self, what: str) -> bytes:
        """Return some octets."""
        try:
            octets = self.sock.recv(65536)
        except TimeoutError:
            raise Lost("timeout", f"{what}, behind {self.buffer[:200]!r}") from None
        except OSError as error:
            raise Lost(
                "reset" if isinstance(error, ConnectionResetError) else "receive", f"{what}: {error!r}"
            ) from None
        if not octets:
            raise Lost("cut" if self.buffer else "end", f"{what}, behind {self.buffer[:200]!r}")
        return octets

    def read_answer(self, number: str, expected: bytes) -> bool:
        """Read an answer and check it; return whether the connection goes on."""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.recv("instead of a head")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        known = {name: value for name, value in fields.items() if name not in UNKNOWN_FIELDS}
        wanted = {
            "content-type": "application/octet-stream",
            "content-length": str(len(expected)),
            "x-request": number,
        }
        if status != "HTTP/1.1 200 OK" or known != wanted or len(lines) != len(fields):
            raise Lost("head", repr(head))
        content = [self.buffer]
        missing = len(expected) - len(self.buffer)
        while missing > 0:
            content.append(self.recv(f"instead of {missing} octets"))
            missing -= len(content[-1])
        if b"".join(content) != expected:
            raise Lost("content", repr(b"".join(content)[:300]))
        self.buffer = b""
        self.worker = int(fields["x-worker"])
        self.answers += 1
        # It has been idle for longer than it seems from here, if this process had to wait for its turn.
        self.idle_since = float(fields.get("x-answered", time.monotonic()))
        return fields.get("connection", "").lower() != "close"

    def close(self) -> None:
        self.sock.close()


@dataclass(frozen=True)
class Manner:
    """How a kind of visitor behaves; times are drawn anew for each request."""

    name: str
    count: int
    #: Seconds before the next request, or between connecting and the first one.
    pause: Callable[[], float]
    persistent: bool = True
    #: Seconds between the pieces in which a request is sent.
    slowness: float = 0.0
    #: What the application is asked to do, as a query.
    query: Callable[[], str] = str
    #: Whether an idle connection is looked at before it is used, as the pools of clients do.
    looks: bool = False


def at_once() -> float:
    return 0.0


def shortly() -> float:
    return random.choice((0.0, 0.0, 0.02, 0.1))


def now_and_then() -> float:
    """Within the grace mostly; else far beyond it."""
    return random.choice((0.02, 0.1, 0.2, 0.3, 0.4, random.uniform(0.8, 1.4)))


MANNERS = (
    Manner("busy", 3, at_once, query=lambda: random.choice(("", "", "", "?wait=0.02"))),
    Manner("pausing", 4, now_and_then),
    Manner("pausing, then looking", 3, now_and_then, looks=True),
    Manner("new", 4, lambda: random.uniform(0.0, 0.01), persistent=False),
    Manner("new, silent at first", 3, lambda: random.uniform(0.0, 0.3), persistent=False),
    Manner("sending slowly", 3, at_once, slowness=0.03),
    Manner("receiving for long", 3, shortly, query=lambda: f"?stream={random.uniform(0.05, 1.2):.2f}"),
)

VISITORS = sum(manner.count for manner in MANNERS)


class Visitor(threading.Thread):
    """Sends one request after the other, GET and POST in turn, until it is told to end."""

    def __init__(self, load: Load, number: int, manner: Manner) -> None:
        super().__init__()
        self.load = load
        self.number = number
        self.manner = manner
        self.connection: Connection | None = None

    def run(self) -> None:
        requests = 0
        while not self.load.ending.is_set():
            requests += 1
            self.ask(self.number * 1_000_000 + requests, "GET" if requests % 2 else "POST")
        self.leave()

    def leave(self) -> None:
        """Have no connection any more."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, number: int, method: str) -> None:
        """Send one request, once, and see what becomes of it."""
        began = time.monotonic()
        try:
            self.prepare()
            assert self.connection is not None
            self.connection.idle = 0.0
            began = time.monotonic()
            stays = self.exchange(self.connection, str(number), method)
        except Lost as lost:
            self.note_loss(lost, number, method, began)
            self.leave()
            return
        self.load.note_answer(self.connection.worker)
        if not (stays and self.manner.persistent):
            self.leave()

    def prepare(self) -> None:
        """Have a connection that is not known to have ended, and wait before it is used."""
        if self.connection is None:
            self.connect()
        self.load.ending.wait(self.manner.pause())
        assert self.connection is not None
        if self.manner.looks and self.connection.has_ended():
            self.leave()
            self.load.note(seen_ends=1)
            self.connect()

    def connect(self) -> None:
        self.load.note(connections=1)
        self.connection = Connection(self.load.port)

    def exchange(self, connection: Connection, number: str, method: str) -> bool:
        """Send a request and read its answer; return whether the connection goes on."""
        content = random.randbytes(random.choice(SIZES)) if method == "POST" else b""
        head = f"{method} /n/{number}{self.manner.query()} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Length: {len(content)}\r\n\r\n" if method == "POST" else "\r\n"
        octets = head.encode() + content
        if self.manner.slowness:
            for start, end in ((0, 20), (20, len(head)), (len(head), len(octets) // 2 + 1)):
                if start < end:
                    connection.send(octets[start:end])
                    time.sleep(self.manner.slowness)
            octets = octets[max(len(head), len(octets) // 2 + 1) :]
        connection.send(octets)
        return connection.read_answer(number, expected_answer(method, number, content))

    def note_loss(self, lost: Lost, number: int, method: str, began: float) -> None:
        """Count a request that has no answer, on the line where it belongs."""
        connection = self.connection
        idle = connection.idle if connection else 0.0
        if idle > self.load.grace and lost.kind in ("end", "reset"):
            self.load.note(sent=1, met_close=1)
            return
        self.load.note_failure(
            {
                "kind": lost.kind,
                "detail": lost.detail,
                "visitor": f"{self.manner.name} {self.number}",
                "request": f"{method} {number}",
                "idle": round(idle, 4),
                "began": began,
                "ended": time.monotonic(),
                "opened": connection.opened if connection else None,
                "answers": connection.answers if connection else 0,
                "worker": connection.worker if connection else 0,
                "port": connection.own_port if connection else 0,
            }
        )
        if lost.kind == "refused":
            self.load.ending.wait(0.05)  # nobody is there: no need to find it out a thousand times


class Load:
    """All visitors, and what they have counted."""

    def __init__(self, port: int, grace: float) -> None:
        self.port = port
        self.grace = grace
        self.ending = threading.Event()
        self.counts = Counts()
        self._lock = threading.Lock()
        manners = [manner for manner in MANNERS for _ in range(manner.count)]
        self.visitors = [Visitor(self, number, manner) for number, manner in enumerate(manners, 1)]

    def note(self, **more: int) -> None:
        """Add to the counts."""
        with self._lock:
            for name, number in more.items():
                setattr(self.counts, name, getattr(self.counts, name) + number)

    def note_answer(self, worker: int) -> None:
        """Count a request that was answered as it should be."""
        with self._lock:
            counts = self.counts
            counts.sent += 1
            counts.answered += 1
            counts.workers[str(worker)] = counts.workers.get(str(worker), 0) + 1

    def note_failure(self, failure: dict[str, Any]) -> None:
        """Count a request that has failed."""
        with self._lock:
            self.counts.sent += 1
            self.counts.failed.append(failure)

    def say(self) -> None:
        """Write the counts so far."""
        with self._lock:
            print(json.dumps([self.counts.sent, self.counts.answered, len(self.counts.failed)]), flush=True)


def main() -> None:
    """Be the load until the standard input ends."""
    load = Load(int(sys.argv[1]), float(sys.argv[2]))
    for visitor in load.visitors:
        visitor.start()
    while not select.select([sys.stdin], [], [], REPORT_INTERVAL)[0]:
        load.say()
    load.ending.set()
    for visitor in load.visitors:
        visitor.join()
    load.say()
    print(json.dumps(vars(load.counts)), flush=True)


if __name__ == "__main__":
    main()

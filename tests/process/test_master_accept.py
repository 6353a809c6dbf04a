"""How connections spread over the workers: to the one that has least to do, whoever wakes first."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections import Counter
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.process.masters import SECONDS, is_asleep, start_master, wait_until, write_application

LONG = """
    import os

    def application(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"%d\\n" % os.getpid())
        environ["wsgi.input"].read(1)
        return []
"""

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"


class LongRequest:
    """A request that is being served until it is told to end."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.sock.sendall(HEAD)

    def pid(self) -> int:
        """Return the process that serves it, once it does."""
        received = b""
        while not (found := re.search(rb"\r\n(\d+)\n", received)):
            block = self.sock.recv(4096)
            assert block, received
            received += block
        return int(found[1])

    def close(self) -> None:
        self.sock.sendall(b"x")
        while self.sock.recv(4096):
            pass
        self.sock.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_application(tmp_path, LONG)


def test_long_requests_are_spread_evenly_when_they_come_one_by_one(folder):
    with start_master(folder) as master, ExitStack() as stack:
        workers = set(master.wait_ready(2))
        served: Counter[int] = Counter()
        for _ in range(1000):
            wait_until(lambda: all(map(is_asleep, workers)), "workers that wait for a newcomer")
            request = stack.enter_context(closing(LongRequest(master.port)))
            served[request.pid()] += 1
        assert set(served) == workers
        assert max(served.values()) - min(served.values()) <= 50, served


def test_a_thousand_that_come_at_once_are_spread_as_well(folder):
    """As far as the workers get their turns: on one processor, of which both get as much as the other."""
    processor = {min(os.sched_getaffinity(0))}
    with start_master(folder, "--worker-connections", "2000") as master, ExitStack() as stack:
        workers = set(master.wait_ready(2))
        for pid in workers:
            os.sched_setaffinity(pid, processor)
            os.kill(pid, signal.SIGSTOP)
            stack.callback(os.kill, pid, signal.SIGCONT)  # else it would not end
        requests = [stack.enter_context(closing(LongRequest(master.port))) for _ in range(1000)]
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        served = Counter(request.pid() for request in requests)
        assert set(served) == workers
        assert min(served.values()) >= 400, served


def test_the_one_that_has_more_to_do_leaves_newcomers_to_the_other(folder):
    """Where whoever wakes first takes them, it is two thirds of them, both times taken together."""
    with start_master(folder) as master:
        first, second = master.wait_ready(2)
        left = sum(left_to(master.port, *each) for each in ((first, second), (second, first)))
        assert left >= 320, left


def left_to(port: int, free: int, busy: int) -> int:
    """Give one of two workers 200 long requests; return how many of 200 others the free one gets then."""
    with ExitStack() as stack:
        os.kill(free, signal.SIGSTOP)
        try:
            ahead = [stack.enter_context(closing(LongRequest(port))) for _ in range(200)]
            assert {request.pid() for request in ahead} == {busy}
        finally:
            os.kill(free, signal.SIGCONT)
        count = 0
        for _ in range(200):
            wait_until(lambda: is_asleep(free), "a free one that waits for a newcomer")
            count += stack.enter_context(closing(LongRequest(port))).pid() == free
        return count


def test_a_worker_that_stands_still_does_not_hold_up_newcomers(folder):
    with start_master(folder) as master, ExitStack() as stack:
        first, second = master.wait_ready(2)
        # The one that goes on has more to do: it would leave newcomers to the other one.
        os.kill(first, signal.SIGSTOP)
        try:
            requests = [stack.enter_context(closing(LongRequest(master.port))) for _ in range(20)]
            assert {request.pid() for request in requests} == {second}
        finally:
            os.kill(first, signal.SIGCONT)


def test_each_worker_has_sockets_of_its_own_with_reuse_port(folder):
    with start_master(folder, "--reuse-port") as master:
        workers = master.wait_ready(2)
        inodes = [listening(pid, master.port) for pid in workers]
        assert [len(each) for each in inodes] == [1, 1]
        assert inodes[0] != inodes[1]
        assert listening(master.pid, master.port) == inodes[0] | inodes[1]


def test_a_queue_of_its_own_waits_for_the_successor_of_a_dead_worker(folder):
    with start_master(folder, "--reuse-port") as master, ExitStack() as stack:
        workers = master.wait_ready(2)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        requests = [stack.enter_context(closing(LongRequest(master.port))) for _ in range(40)]
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        new = set(master.wait_ready(4)[2:])
        served = Counter(request.pid() for request in requests)
        assert set(served) == new


def test_fewer_workers_serve_all_queues_with_reuse_port(folder):
    with start_master(folder, "--reuse-port", workers=3) as master, ExitStack() as stack:
        master.wait_ready(3)
        master.send_signal(signal.SIGTTOU)
        wait_until(
            lambda: (
                set().union(*(listening(pid, master.port) for pid in master.workers))
                == listening(master.pid, master.port)
                and len(master.workers) == 2
            ),
            "two workers that have all sockets",
        )
        for _ in range(30):
            stack.enter_context(closing(LongRequest(master.port))).pid()


def listening(pid: int, port: int) -> set[str]:
    """Return the inodes of the sockets that listen on `port` and that a process has open."""
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    wanted = {line[9] for line in table if line[1].endswith(f":{port:04X}") and line[3] == "0A"}
    links = set()
    with suppress(OSError):  # it ends just now
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                links.add(os.readlink(path))
    return {inode for inode in wanted if f"socket:[{inode}]" in links}

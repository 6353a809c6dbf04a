"""Python calls and allocations for one keep-alive GET: guards that no noise of the machine can move.

The request is served in the hub (`spawn=None`): a greenlet has a profiler of its own, and lending one
costs the same number of calls.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import gevent
import pytest
from gevent import socket

from greenserve.server.server import WSGIServer

CALLS = 15
BLOCKS = 20  # 17 to 19, depending on the version of Python
REQUEST = b"GET /path?query=1 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]


@contextmanager
def client_of(server: WSGIServer) -> Iterator[Any]:
    server.start()
    client = socket.create_connection(("127.0.0.1", server.server_port), timeout=10)
    try:
        yield client
    finally:
        client.close()
        server.stop()


def ask(client: Any) -> bytes:
    """Send the request and return the answer, whose content ends with an exclamation mark."""
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"!"):
        piece = client.recv(65536)
        assert piece, answer
        answer += piece
    return answer


def test_python_calls_for_one_request_stay_within_the_budget() -> None:
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        filename = frame.f_code.co_filename
        if event == "call" and ("greenserve/" in filename or frame.f_code is application.__code__):
            calls[frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name] += 1

    server = WSGIServer(("127.0.0.1", 0), application, log=None, spawn=None)
    with client_of(server) as client:
        ask(client)  # the caches are filled
        hub = gevent.get_hub()
        hub.loop.run_callback(sys.setprofile, count)
        try:
            assert ask(client).startswith(b"HTTP/1.1 200 OK\r\n")
        finally:
            hub.loop.run_callback(sys.setprofile, None)
            gevent.sleep(0)
    assert calls["application"] == 1, "the profiler did not see the request"
    assert sum(calls.values()) <= CALLS, calls


def test_what_is_allocated_for_one_request_stays_within_the_budget() -> None:
    alive: list[int] = []

    def counting(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        alive.append(sys.getallocatedblocks())
        return application(environ, start_response)

    server = WSGIServer(("127.0.0.1", 0), counting, log=None)
    with client_of(server) as client:
        gc.disable()  # it would free what has nothing to do with it
        try:
            parked = []
            for _ in range(20):
                ask(client)
                gevent.sleep(0)
                parked.append(sys.getallocatedblocks())
        finally:
            gc.enable()
    # Blocks of memory for the environ, the head, the response: those of one request, and no others.
    blocks = min(during - before for before, during in zip(parked, alive[1:], strict=False))
    assert 0 < blocks <= BLOCKS


@pytest.mark.parametrize("requests", [2000])
def test_no_object_is_left_behind_by_a_request(requests: int) -> None:
    server = WSGIServer(("127.0.0.1", 0), application, log=None)
    with client_of(server) as client:
        for _ in range(50):
            ask(client)
        gc.collect()
        gc.disable()  # what only the collector could free would count
        try:
            before = len(gc.get_objects())
            for _ in range(requests):
                ask(client)
            left = len(gc.get_objects()) - before
        finally:
            gc.enable()
    assert left < requests / 20, f"{left} objects left behind by {requests} requests"

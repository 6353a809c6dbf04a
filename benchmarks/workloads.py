"""The workloads, in the order in which they are measured."""

from __future__ import annotations

from benchmarks.applications import page, plain
from benchmarks.request import BROWSER_FIELDS, BROWSER_PATH, Content, Request
from benchmarks.workload import HELLO, Method, Workload

UPLOAD = 10 * 1024 * 1024
DOWNLOAD = Content(plain.MEGABYTE, 100)
BROWSER = Request(BROWSER_PATH, HELLO.answer, BROWSER_FIELDS)
PAGE = Request(BROWSER_PATH, Content(page.rendered(1, "7", "abcdef0123456789")), BROWSER_FIELDS)


def posted(octets: int) -> Request:
    """Return a request that posts so many octets and is told how many have arrived."""
    return Request("/receive", Content(str(octets).encode()), content=octets)


REQUESTS = [
    Workload("hello", "13 bytes"),
    Workload("browser", "ten fields of a browser, path and cookie new each time", BROWSER),
    Workload("answer-10k", "10 KB answer", Request("/10k", Content(plain.TEN_KILOBYTES))),
    Workload("post-10k", "10 KB POST", posted(10 * 1024)),
    Workload(
        "stream",
        "20 streamed blocks of 100 bytes",
        Request("/stream", Content(plain.STREAMED_BLOCK, plain.STREAMED_BLOCKS)),
    ),
    Workload("close", "a connection per request", Request("/", HELLO.answer, closes=True)),
    Workload("pipelined", "pipelined, 16 deep", pipelined=16),
    Workload("tls", "HTTP/1.1 over TLS", tls=True),
    Workload("access-log", "13 bytes with the access log on, to a file", access_log=True),
    Workload(
        "sleep",
        "an application that sleeps 10 ms, 512 connections",
        Request("/pause", HELLO.answer),
        connections=512,
        pause=plain.PAUSE,
    ),
    Workload("flask", "a Flask route with a template", PAGE, application="flask_site:application"),
    Workload("django", "a Django view with a template", PAGE, application="django_site:application"),
]

CONNECTIONS = [
    Workload("connections-1", "13 bytes, one connection", connections=1, rounds=2),
    Workload(
        "connections-1000", "13 bytes, 1 000 connections", method=Method.H2LOAD, connections=1000, rounds=2
    ),
    Workload(
        "connections-10000",
        "13 bytes, 10 000 connections",
        method=Method.CROWD,
        connections=10_000,
        rounds=2,
    ),
]

BULK = [
    Workload(
        "answer-1m",
        "1 MB answer",
        Request("/1m", Content(plain.MEGABYTE)),
        method=Method.DOWNLOAD,
        unit="MB/s",
        rounds=2,
    ),
    Workload(
        "download",
        "100 MB through wsgi.file_wrapper, 4 connections",
        Request("/download", DOWNLOAD),
        method=Method.DOWNLOAD,
        connections=4,
        unit="MB/s",
        rounds=2,
    ),
    Workload("upload", "10 MB upload, 4 connections", posted(UPLOAD), connections=4, unit="MB/s", rounds=2),
]

COSTS = [
    *(
        Workload(
            f"idle-{count}",
            f"memory per idle connection, {count:_} of them".replace("_", " "),
            method=Method.IDLE,
            connections=count,
            unit="bytes",
            rounds=1,
        )
        for count in (1000, 8000, 15_000)
    ),
    Workload("start-up", "from the start to the first answer", method=Method.START_UP, unit="ms"),
    Workload(
        "memory-fresh",
        "resident memory of the worker after the first answer",
        method=Method.FRESH_MEMORY,
        unit="MB",
        rounds=1,
    ),
    Workload(
        "memory-used",
        "resident memory of the worker after a million requests",
        method=Method.USED_MEMORY,
        unit="MB",
        requests=1_000_000,
        rounds=1,
    ),
]

WORKLOADS = {workload.name: workload for workload in [*REQUESTS, *CONNECTIONS, *BULK, *COSTS]}

QUICK = ("hello", "browser")

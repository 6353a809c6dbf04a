"""The WSGI application of all workloads but two, by path.  Whatever is not a path of `VIEWS` is answered
with thirteen bytes, so that the path that matters most costs one dictionary look-up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.util import FileWrapper

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

HELLO = b"Hello, world!"
KILOBYTE = bytes(range(32, 96)) * 16
TEN_KILOBYTES = KILOBYTE * 10
MEGABYTE = KILOBYTE * 1024
STREAMED_BLOCK = b"one of the twenty blocks that are sent as they are made; ".ljust(99, b".") + b"\n"
STREAMED_BLOCKS = 20
PAUSE = 0.01  # seconds
PIECE = 65536

#: Names the file that is downloaded.
FILE_VARIABLE = "BENCHMARK_FILE"


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    view = VIEWS.get(environ["PATH_INFO"])
    if view is not None:
        return view(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]


def answer(start_response: StartResponse, content: bytes) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))])
    return [content]


def ten_kilobytes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, TEN_KILOBYTES)


def megabyte(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, MEGABYTE)


def download(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Send a file through the server's wrapper, or through the standard library's where it has none."""
    path = os.environ[FILE_VARIABLE]
    start_response(
        "200 OK",
        [("Content-Type", "application/octet-stream"), ("Content-Length", str(os.path.getsize(path)))],
    )
    wrapper = environ.get("wsgi.file_wrapper", FileWrapper)
    wrapped: Iterable[bytes] = wrapper(open(path, "rb"), PIECE)
    return wrapped


def receive(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the whole content, as an upload is read, and answer with its length."""
    read = environ["wsgi.input"].read
    length = missing = int(environ["CONTENT_LENGTH"])
    while missing and (piece := read(min(missing, PIECE))):
        missing -= len(piece)
    return answer(start_response, b"%d" % (length - missing))


def stream(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (STREAMED_BLOCK for _ in range(STREAMED_BLOCKS))


def pause(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sleep before the answer: an application that waits for a database."""
    time.sleep(PAUSE)
    return answer(start_response, HELLO)


def process(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Say which process serves: its memory is what is measured."""
    return answer(start_response, b"%d" % os.getpid())


VIEWS: dict[str, Callable[[Environ, StartResponse], Iterable[bytes]]] = {
    "/10k": ten_kilobytes,
    "/1m": megabyte,
    "/download": download,
    "/receive": receive,
    "/stream": stream,
    "/pause": pause,
    "/process": process,
}

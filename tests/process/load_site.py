"""The application that is asked under load: what it answers is known beforehand, octet by octet.

`/n/NUMBER` answers with `expected_answer`; `?wait=SECONDS` waits before it, `?stream=SECONDS` gives it away
in pieces.  `/census` tells what the process holds.  ``LOAD_SITE_LEAK`` octets are kept of every request.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

PIECES = 8

LEAK = int(os.environ.get("LOAD_SITE_LEAK", "0"))
_leaked: list[bytes] = []


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a request of the load's, or tell about this process."""
    path = environ["PATH_INFO"]
    if path == "/census":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(take_census()).encode()]
    if LEAK:
        _leaked.append(os.urandom(LEAK))
    number = path.removeprefix("/n/")
    content = environ["wsgi.input"].read()
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    if "wait" in query:
        time.sleep(float(query["wait"]))
    answer = expected_answer(environ["REQUEST_METHOD"], number, content)
    fields = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(len(answer))),
        ("X-Request", number),
        ("X-Worker", str(os.getpid())),
    ]
    if "stream" not in query:
        fields.append(("X-Answered", repr(time.monotonic())))
    start_response("200 OK", fields)
    return stream(answer, float(query["stream"])) if "stream" in query else [answer]


def expected_answer(method: str, number: str, content: bytes) -> bytes:
    """Return the content of the answer to a request."""
    if method == "GET":
        return f"number {number}\n".encode() * (1 + int(number) % 50)
    return f"{number} {len(content)} {hashlib.sha256(content).hexdigest()}\n".encode() + content[:1000]


def stream(answer: bytes, seconds: float) -> Iterable[bytes]:
    """Give the answer away bit by bit, in `seconds`."""
    size = len(answer) // PIECES + 1
    for start in range(0, len(answer), size):
        if start:
            time.sleep(seconds / PIECES)
        yield answer[start : start + size]


def take_census() -> dict[str, int]:
    """Return what this process has of the things that may be left behind, and what it knows of."""
    gc.collect()
    found = {"LentGreenlet": 0, "RecordedConnection": 0, "Connection": 0}
    known = 0
    for each in gc.get_objects():
        name = type(each).__name__
        if name in found:
            found[name] += 1
        elif name == "Lender":
            known += len(each.greenlets)
    return {
        "pid": os.getpid(),
        "greenlets": found["LentGreenlet"],
        "greenlets known": known,
        "connections": found["RecordedConnection"] + found["Connection"],
    }

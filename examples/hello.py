"""The plain PEP 3333 callable, and the example that `make serve` shows.

    greenserve examples/hello.py

A list needs no Content-Length: the server counts it.
"""

from __future__ import annotations


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"Hello, world!\n"]

"""What is served behind nginx and HAProxy: `plain_site`, and requests that a test holds in its hand.

The last part of the path says what is done.  The query is a port of the test (`front_end.Gate`): the
request connects to it, and what happens next is decided there.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from tests.interop import plain_site

Environ = dict[str, Any]

SECONDS = 60  # for a test that does not answer
ANNOUNCED = 1000  # the length that `short` does not keep


def knock(environ: Environ) -> socket.socket:
    """Return a connection to the test."""
    return socket.create_connection(("127.0.0.1", int(environ["QUERY_STRING"])), timeout=SECONDS)


def wait(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Tell the test which process this is, and answer when it says so."""
    with knock(environ) as gate:
        gate.sendall(b"%d" % os.getpid())
        gate.recv(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answer"]


def feed(environ: Environ, start_response: Any, *fields: tuple[str, str]) -> Iterator[bytes]:
    """Send an event for each line of the test's, as long as there are any."""
    start_response("200 OK", [("Content-Type", "text/event-stream"), *fields])
    with knock(environ) as gate, gate.makefile("rb") as lines:
        for line in lines:
            yield b"data: " + line + b"\n"


def feed_unbuffered(environ: Environ, start_response: Any) -> Iterator[bytes]:
    """The same, with the field by which an application tells nginx not to wait for more."""
    return feed(environ, start_response, ("X-Accel-Buffering", "no"))


def receive(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Show the test each line of the content, as it comes; the answer says how it was framed."""
    with knock(environ) as gate:
        for line in environ["wsgi.input"]:
            gate.sendall(line)
    start_response("200 OK", [("Content-Type", "text/plain")])
    framing: str = environ.get("CONTENT_LENGTH") or environ["HTTP_TRANSFER_ENCODING"]
    return [framing.encode()]


def short(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Stop before the announced end."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(ANNOUNCED))])
    return [b"the beginning"]


def name(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer with the name that the environment gives this process."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["NAME"].encode()]


PATHS = {
    "name": name,
    "wait": wait,
    "feed": feed,
    "feed-unbuffered": feed_unbuffered,
    "receive": receive,
    "short": short,
}


def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer by the last part of the path; what is not known here is for `plain_site`."""
    name = environ["PATH_INFO"].rpartition("/")[2]
    return PATHS.get(name, plain_site.PATHS.get(f"/{name}", plain_site.echo))(environ, start_response)

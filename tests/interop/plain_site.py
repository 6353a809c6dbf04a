"""What curl, requests and http.client talk to: plain PEP 3333, one function for each path.

FILE in the environment names the file that ``/file`` serves, whole or in ranges.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from typing import Any

Environ = dict[str, Any]


def echo(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer with what the server has made of the request."""
    content = environ["wsgi.input"].read()
    names = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "RAW_URI", "SERVER_PROTOCOL", "CONTENT_TYPE")
    described = {name: environ.get(name) for name in (*names, "CONTENT_LENGTH", "REMOTE_PORT")}
    described |= {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    described |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(described).encode()]


def stream(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer block by block; the length is not known beforehand."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"line %d\n" % number for number in range(1000))


def cut(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Fail in the middle of an answer."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"the beginning"
    raise RuntimeError("cut on purpose")


def file(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer with the file, or with one range of it (RFC 9110, 14.2)."""
    served = open(os.environ["FILE"], "rb")
    size = os.fstat(served.fileno()).st_size
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", environ.get("HTTP_RANGE", ""))
    first, last = (int(asked[1]), int(asked[2] or size - 1)) if asked else (0, size - 1)
    fields = [("Content-Length", str(last + 1 - first)), ("Accept-Ranges", "bytes")]
    if asked:
        fields.append(("Content-Range", f"bytes {first}-{last}/{size}"))
    served.seek(first)
    start_response("206 Partial Content" if asked else "200 OK", fields)
    return environ["wsgi.file_wrapper"](served)


def redirect(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Send the client on to ``/echo``, with the status that the query names."""
    start_response(f"{environ['QUERY_STRING']} Elsewhere", [("Location", "/echo?redirected")])
    return [b"elsewhere"]


def count(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Count the visits of a client in two cookies."""
    cookies = dict(pair.split("=") for pair in environ.get("HTTP_COOKIE", "").split("; ") if pair)
    visits = int(cookies.get("visits", 0)) + 1
    fields = [("Set-Cookie", f"visits={visits}; Path=/"), ("Set-Cookie", "second=yes; Path=/")]
    start_response("200 OK", fields)
    return [json.dumps(cookies).encode()]


def refuse(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer without having read the content."""
    start_response("413 Content Too Large", [("Content-Type", "text/plain")])
    return [b"too much"]


def status(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer with the status that the query names, and content that some of them cannot have."""
    start_response(f"{environ['QUERY_STRING']} Asked For", [("X-Kind", "status")])
    return [b"content"]


PATHS = {
    "/": echo,
    "/echo": echo,
    "/stream": stream,
    "/cut": cut,
    "/file": file,
    "/redirect": redirect,
    "/count": count,
    "/refuse": refuse,
    "/status": status,
}


def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer by path; paths that are not known are echoed."""
    return PATHS.get(environ["PATH_INFO"], echo)(environ, start_response)

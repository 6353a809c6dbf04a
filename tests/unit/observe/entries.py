"""One request as the access log sees it, to be changed by each test."""

from __future__ import annotations

import base64
import calendar
from typing import Any

from hypothesis import strategies as st

from greenserve.observe.access_format import AccessEntry

ENVIRON = {
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/root", "PATH_INFO": "/a b", "RAW_URI": "/root/a%20b?x=1",
    "QUERY_STRING": "x=1", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "server.example",
    "SERVER_PORT": "8000", "REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "50001",
    "HTTP_HOST": "www.example:8000", "HTTP_REFERER": "http://example/start", "HTTP_USER_AGENT": "curl/8.5",
    "HTTP_X_REQUEST_ID": "r-17", "HTTP_COOKIE": "a=1; session=abc=; empty=",
    "HTTP_AUTHORIZATION": "Basic " + base64.b64encode(b"frank:secret").decode(),
    "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "12", "HTTP_EMPTY": "", "wsgi.url_scheme": "https",
    "wsgi.multithread": False, "app.user": "Zoë", "own": "mine",
}  # fmt: skip
# 10 October 2000, 13:55:36.123456 UTC
STARTED = calendar.timegm((2000, 10, 10, 13, 55, 36)) + 0.123456
octets = st.text(st.characters(max_codepoint=0xFF))
surrogates = st.characters(categories=["Cs"])
anything = st.text(st.characters() | surrogates)


def build_entry(changes: dict[str, Any] | None = None, **values: Any) -> AccessEntry:
    environ = {**ENVIRON, **(changes or {})}
    fields = [("Content-Type", "text/html"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")]
    defaults: dict[str, Any] = {
        "environ": environ,
        "status": "200 OK",
        "fields": fields,
        "sent": 2326,
        "started": STARTED,
        "elapsed": 1.234567,
        "peer": "203.0.113.9",
    }
    return AccessEntry(**{**defaults, **values})


def build_refused_entry() -> AccessEntry:
    return build_entry(environ={}, status="400 Bad Request", fields=[], sent=11)

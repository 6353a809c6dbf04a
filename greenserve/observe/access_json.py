"""The access log as JSON (RFC 8259), an object on each line.

Durations are in seconds, times in UTC (RFC 3339); what is not known is null.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from json.encoder import encode_basestring_ascii

from greenserve.observe.access_format import AccessFormat, Values
from greenserve.observe.access_text import basic_user
from greenserve.observe.clock import Clock
from greenserve.observe.logs import to_text

STATUS_CODES = frozenset(map(str, range(100, 1000)))  # what may be a number in JSON
JSON_CLOCK = Clock("%Y-%m-%dT%H:%M:%S", time.gmtime)

SOURCES = (
    "started", "elapsed", "status[:3]", "sent",
    'get("REMOTE_ADDR") or peer or None',
    'get("REQUEST_METHOD")',
    """f"{get('SCRIPT_NAME', '')}{get('PATH_INFO', '')}" if "PATH_INFO" in environ else None""",
    'get("QUERY_STRING")',
    'get("SERVER_PROTOCOL") if "REQUEST_METHOD" in environ else None',
    'get("HTTP_HOST")', 'get("HTTP_REFERER")', 'get("HTTP_USER_AGENT")', 'get("HTTP_X_REQUEST_ID")',
    'basic_user(environ) if "HTTP_AUTHORIZATION" in environ else None',
)  # fmt: skip


class JsonFormat(AccessFormat):
    """Octets beyond ASCII are shown as UTF-8 where they are that, else as Latin-1."""

    def __init__(self) -> None:
        AccessFormat.__init__(self, SOURCES, SOURCES, {"basic_user": basic_user})

    def lines(self, gathered: list[Values]) -> str:
        """Return an object for each, on a line of its own."""
        return "".join(map(_line, gathered))


def _line(values: Values) -> str:
    try:
        line = _object(values, encode_basestring_ascii)
    except TypeError:  # the application put something else than text into the environ
        return _object(values, _quote_octets)
    # The first look takes a tenth of the second one's time.
    return _object(values, _quote_octets) if "\\" in line and "\\u00" in line else line


def _quote_octets(value: object) -> str:
    text = to_text(value)
    try:
        text = text.encode("latin-1").decode()
    except UnicodeError:
        pass
    return encode_basestring_ascii(text)


def _object(values: Values, quote: Callable[[str], str]) -> str:
    started, elapsed, code, sent, *rest = values
    clock = JSON_CLOCK
    second = clock.text if clock.since <= started < clock.until else clock.render(started)
    millisecond = "%03d" % (started % 1 * 1e3)  # noqa: UP031 - half the time of a format specifier
    status = code if code in STATUS_CODES else "null"  # nothing was answered
    texts = ["null" if value is None else quote(value) for value in rest]
    address, method, path, query, protocol, host, referer, agent, request_id, user = texts
    return (
        f'{{"time":"{second}.{millisecond}Z","remote_addr":{address},'
        f'"method":{method},"path":{path},"query":{query},"protocol":{protocol},"status":{status},'
        f'"bytes":{sent},"duration":{elapsed:.6f},"host":{host},"referer":{referer},'
        f'"user_agent":{agent},"request_id":{request_id},"user":{user}}}\n'
    )


json_format = JsonFormat()

"""A request and its answer, as gunicorn's hooks and loggers ask for them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from greenserve.observe.access_format import AccessEntry

#: Where fields are in an environ.
FIELD_KEYS = ("HTTP_", "CONTENT_TYPE", "CONTENT_LENGTH")


class Request:
    """What hooks and loggers ask of gunicorn's request; they may hang on it what they like."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.method: str = environ["REQUEST_METHOD"]
        self.uri: str = environ["RAW_URI"]
        self.path = self.uri.partition("?")[0]
        self.query: str = environ["QUERY_STRING"]
        self.version = (1, 0) if environ["SERVER_PROTOCOL"] == "HTTP/1.0" else (1, 1)
        self.scheme: str = environ["wsgi.url_scheme"]
        self.peer_addr = self.remote_addr = (environ["REMOTE_ADDR"], environ["REMOTE_PORT"])
        self._environ = environ

    @cached_property
    def headers(self) -> list[tuple[str, str]]:
        """The fields, their names in upper case as gunicorn has them."""
        keys = (key for key in self._environ if key.startswith(FIELD_KEYS))
        return [(key.removeprefix("HTTP_").replace("_", "-"), self._environ[key]) for key in keys]


class Answer:
    """What hooks and loggers ask of gunicorn's response."""

    def __init__(self, entry: AccessEntry) -> None:
        self.status = entry.status or "499 Client Closed Request"  # whoever reads this wants a number
        self.status_code = int(self.status[:3])
        self.headers = entry.fields
        self.sent = self.response_length = entry.sent

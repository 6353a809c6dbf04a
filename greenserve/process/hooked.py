"""The hooks around a request: `pre_request` and `post_request`, with what gunicorn's hooks look at.

Under gunicorn's own master they are given the same objects.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from greenserve.config.hooks import Hook
from greenserve.observe.access import AccessEntry
from greenserve.wsgi.run import Application

#: Where the environ has the request that the hooks were given.
REQUEST = "greenserve.request"

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


def hooked(application: Application, worker: Any, pre_request: Hook | None) -> Application:
    """Return `application` behind the hook; what that raises is the request's own exception."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        request = environ[REQUEST] = Request(environ)
        if pre_request is not None:
            pre_request(worker, request)
        return application(environ, start_response)

    return call


def answered(
    log_access: Callable[[AccessEntry], None] | None, worker: Any, post_request: Hook
) -> Callable[[AccessEntry], None]:
    """Return what is to be called when a request has ended: the access log, if there is one, and the hook."""

    def ended(entry: AccessEntry) -> None:
        if log_access is not None:
            log_access(entry)
        request = entry.environ.get(REQUEST)
        if request is not None:  # the application has been asked
            post_request(worker, request, entry.environ, Answer(entry))

    return ended

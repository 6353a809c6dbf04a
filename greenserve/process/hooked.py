"""The hooks around a request: `pre_request` and `post_request`, with what gunicorn's hooks look at.

Under gunicorn's own master they are given the same objects.
"""

from __future__ import annotations

from typing import Any

from greenserve.config.hooks import Hook
from greenserve.observe.access_format import AccessEntry, Record
from greenserve.observe.exchange import Answer, Request
from greenserve.wsgi.run import Application

#: Where the environ has the request that the hooks were given.
REQUEST = "greenserve.request"


def hooked(application: Application, worker: Any, pre_request: Hook | None) -> Application:
    """Return `application` behind the hook; what that raises is the request's own exception."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        request = environ[REQUEST] = Request(environ)
        if pre_request is not None:
            pre_request(worker, request)
        return application(environ, start_response)

    return call


def answered(log_access: Record | None, worker: Any, post_request: Hook) -> Record:
    """Return what is to be called when a request has ended: the access log, if there is one, and the hook."""

    def ended(environ: dict[str, Any], *rest: Any) -> None:
        if log_access is not None:
            log_access(environ, *rest)
        request = environ.get(REQUEST)
        if request is not None:  # the application has been asked
            post_request(worker, request, environ, Answer(AccessEntry(environ, *rest)))

    return ended

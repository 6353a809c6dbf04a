"""The warm-up: the application answers a request before its worker is ready."""

from __future__ import annotations

import io
import traceback
from typing import Any

from greenserve.errors import AppImportError
from greenserve.protocol.head import Limits, parse_head
from greenserve.wsgi.run import Application, application_traceback


def warm_up(application: Application, target: str, environ: dict[str, Any]) -> None:
    """Have `application` answer ``GET target``; `environ` is what all requests have in common.

    Raises AppImportError where it fails, or answers with an error of its own (5xx).
    """
    limits = Limits(65536, 100, 65536, 65536, "drop")
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: greenserve (warm-up)\r\n\r\n"
    environ = dict(environ)
    parse_head(request.encode("latin-1"), 0, limits, environ)
    environ.update({"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "0", "wsgi.input": io.BytesIO()})
    statuses: list[str] = []

    def start_response(status: str, fields: Any, exc_info: Any = None) -> Any:
        statuses.append(status)
        return lambda data: None

    try:
        answer_whole(application, environ, start_response)
    except Exception as error:
        where = application_traceback(error) or error.__traceback__
        origin = "".join(traceback.format_exception(type(error), error, where))
        raise AppImportError(f"the warm-up request for {target} failed", origin) from None
    if not statuses or statuses[-1].startswith("5"):
        status = repr(statuses[-1]) if statuses else "nothing"
        raise AppImportError(f"the warm-up request for {target} was answered with {status}")


def answer_whole(application: Application, environ: dict[str, Any], start_response: Any) -> None:
    """Have a request answered to its end (PEP 3333)."""
    iterable = application(environ, start_response)
    try:
        for _ in iterable:
            pass
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()

"""Calling the application (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from greenserve.wsgi.response import Response

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def run_application(application: Application, environ: dict[str, Any], response: Response) -> None:
    """Call the application and send what it returns; close() is called on it whatever happens.

    What the application raises passes through.
    """
    iterable = application(environ, response.start_response)
    if type(iterable) is list:
        response.send_list(iterable)  # a plain list has no close()
        return
    try:
        response.send_iterable(iterable)
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


def application_traceback(error: BaseException) -> TracebackType | None:
    """Return the traceback of `error` from the application's first frame on; None if it has no part in it."""
    traceback = error.__traceback__
    while traceback is not None:
        if not str(traceback.tb_frame.f_globals.get("__name__")).startswith("greenserve."):
            return traceback
        traceback = traceback.tb_next
    return None

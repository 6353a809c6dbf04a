"""What the application raised while it was imported, without the frames that imported it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import StackSummary, TracebackException, format_exception_only

from greenserve.errors import AppImportError

OUR_FILES = (
    __file__,
    os.path.join(os.path.dirname(__file__), "load.py"),
    importlib.import_module.__code__.co_filename,
)


@contextmanager
def running(what: str) -> Iterator[None]:
    """Turn whatever the application raises meanwhile into an AppImportError; an interrupt stays one."""
    try:
        yield
    except (AppImportError, KeyboardInterrupt):
        raise
    except (
        BaseException
    ) as error:  # an application may raise SystemExit or gevent.Timeout while it is imported
        raise AppImportError(f"{what} failed: {summary(error)}", origin_of(error)) from error


def summary(error: BaseException) -> str:
    """Return an exception in one line."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"syntax error in {error.filename}, line {error.lineno}: {error.msg}"
    return format_exception_only(error)[0].splitlines()[0]


def origin_of(error: BaseException) -> str:
    """Return the traceback of an exception with the application's frames; "" if it has none of them.

    A syntax error has no frame, but the line that it is in.
    """
    shown = TracebackException.from_exception(error)
    keep_own_frames(shown)
    if shown.stack:
        return "".join(shown.format())
    return "".join(shown.format_exception_only()) if isinstance(error, SyntaxError) else ""


def has_own_frames(error: BaseException) -> bool:
    """Whether the application has a part in the traceback of an exception."""
    return bool(own_frames(TracebackException.from_exception(error)))


def keep_own_frames(shown: TracebackException) -> None:
    """Take our frames and those of importlib out of a traceback, and out of those that it hangs on."""
    shown.stack = own_frames(shown)
    # ExceptionGroup, and with it the last attribute, came with Python 3.11.
    for other in (shown.__cause__, shown.__context__, *(getattr(shown, "exceptions", None) or ())):
        if other is not None:
            keep_own_frames(other)


def own_frames(shown: TracebackException) -> StackSummary:
    """Return the frames of a traceback that are the application's."""
    return StackSummary.from_list([frame for frame in shown.stack if not is_ours(frame.filename)])


def is_ours(filename: str) -> bool:
    """Whether a frame in this file is a part of the import, and not of what is imported."""
    return filename in OUR_FILES or filename.startswith("<frozen importlib")

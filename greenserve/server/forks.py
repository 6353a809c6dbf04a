"""Processes that the application forks while it answers: where one ends, it is no second server."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from greenlet import getcurrent

_forked: Any = None


def _note_fork() -> None:
    """Note in a child which greenlet it goes on in."""
    global _forked
    _forked = getcurrent()


os.register_at_fork(after_in_child=_note_fork)


def end_child(error: BaseException) -> None:
    """End this process, as Python would, if it was forked in this greenlet and `error` is to end it.

    It would answer its parent's request, and accept connections from its parent's sockets from then on.
    """
    if not isinstance(error, SystemExit) or getcurrent() is not _forked:
        return
    status = error.code
    with suppress(Exception):  # whatever the streams are
        if not (status is None or isinstance(status, int)):
            print(status, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status & 0xFF if isinstance(status, int) else status is not None)

"""The single place that calls gevent.monkey.

Only the command patches, before it imports anything else: a module that has taken the blocking
functions out of `socket`, `ssl` or `threading` keeps them.  The library call leaves the process as it
is.
"""

from __future__ import annotations

import sys


def patch() -> None:
    """Make the standard library cooperative; a second call changes nothing."""
    from gevent import monkey

    monkey.patch_all()


def is_patched() -> bool:
    """Whether sockets and threads of the standard library are gevent's, whoever patched them.  Imports
    nothing.
    """
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and all(monkey.is_module_patched(name) for name in ("socket", "threading"))

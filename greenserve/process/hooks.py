"""Calling the hooks: an exception in one of them is logged with its traceback, and ends nothing.

Two are left as they are, because what they raise has a meaning: `pre_request`, whose exception is that of
the request (500), and `ssl_context`, whose result is used.  SystemExit ends the process that a hook runs in.
"""

from __future__ import annotations

from typing import Any

from greenserve.config.hooks import ARGUMENTS, Hook, Hooks, nothing
from greenserve.observe.logs import ErrorLog

__all__ = ["ARGUMENTS", "Hook", "Hooks", "guarded", "nothing"]

LEFT_ALONE = ("pre_request", "ssl_context")


def guarded(hooks: Hooks, log: ErrorLog) -> Hooks:
    """Return `hooks` with each given one guarded; the others cost what they cost before."""
    given = hooks.given().items()
    return Hooks(**{name: hook if name in LEFT_ALONE else guard(name, hook, log) for name, hook in given})


def guard(name: str, hook: Hook, log: ErrorLog) -> Hook:
    """Return `hook` as a function that logs what it raises."""

    def call(*arguments: Any) -> None:
        try:
            hook(*arguments)
        except Exception:
            log.exception("the hook %s failed", name)

    return call

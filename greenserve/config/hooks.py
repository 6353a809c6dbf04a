"""Hooks: what the configuration file can have called at the turns of a server's life.

Names and arguments are gunicorn's; `post_patch` is ours.  Arities are checked when the file is read.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

Hook = Callable[..., Any]

#: The arguments of each hook, of which `post_request` may leave out the last one or two.
ARGUMENTS = {
    "on_starting": ("server",),
    "on_reload": ("server",),
    "when_ready": ("server",),
    "pre_fork": ("server", "worker"),
    "post_fork": ("server", "worker"),
    "post_patch": ("worker",),
    "post_worker_init": ("worker",),
    "worker_int": ("worker",),
    "worker_abort": ("worker",),
    "worker_exit": ("server", "worker"),
    "child_exit": ("server", "worker"),
    "pre_exec": ("server",),
    "nworkers_changed": ("server", "new_value", "old_value"),
    "on_exit": ("server",),
    "pre_request": ("worker", "req"),
    "post_request": ("worker", "req", "environ", "resp"),
    "ssl_context": ("config", "default_ssl_context_factory"),
}


def nothing(*arguments: object) -> None:
    """Do nothing: the hook that was not given."""


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What is called at each turn; those that were not given do nothing.

    The three at the end are None when they were not given, so that a request pays nothing for them.
    """

    on_starting: Hook = nothing
    on_reload: Hook = nothing
    when_ready: Hook = nothing
    pre_fork: Hook = nothing
    post_fork: Hook = nothing
    post_patch: Hook = nothing
    post_worker_init: Hook = nothing
    worker_int: Hook = nothing
    worker_abort: Hook = nothing
    worker_exit: Hook = nothing
    child_exit: Hook = nothing
    pre_exec: Hook = nothing
    nworkers_changed: Hook = nothing
    on_exit: Hook = nothing
    pre_request: Hook | None = None
    post_request: Hook | None = None
    ssl_context: Hook | None = None

    def given(self) -> dict[str, Hook]:
        """Return the hooks that were given, by name."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: hook for name, hook in found.items() if hook is not nothing and hook is not None}


def read_hooks(given: Mapping[str, object]) -> Hooks:
    """Return the hooks in `given`, whose names are those of `ARGUMENTS`; None is one that is not given.

    Raises ValueError, with the hook's name before the reason, for one that cannot be called as it will be.
    """
    return Hooks(**{name: read_hook(name, hook) for name, hook in given.items() if hook is not None})


def read_hook(name: str, hook: object) -> Hook:
    """Return `hook` as something that takes all arguments of the hook `name`.  Raises ValueError."""
    arguments = ARGUMENTS[name]
    if not callable(hook):
        raise ValueError(f"{name}: not a function")
    if takes(hook, len(arguments)):
        return hook
    if name == "post_request":
        for count in (3, 2):
            if takes(hook, count):
                return shortened(hook, count)
    raise ValueError(f"{name}: a function that takes {' and '.join(arguments)} is wanted")


def takes(hook: Hook, count: int) -> bool:
    """Whether `hook` can be called with `count` positional arguments."""
    try:
        inspect.signature(hook).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a function in C that says nothing about its arguments
        return True
    return True


def shortened(hook: Hook, count: int) -> Hook:
    """Return a function that gives `hook` the first `count` of its arguments."""

    def call(*arguments: object) -> Any:
        return hook(*arguments[:count])

    return call

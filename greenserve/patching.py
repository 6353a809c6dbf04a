"""The single place that calls gevent.monkey.

Only the command and the worker class for gunicorn patch, before they import anything else: a module that
has taken the blocking functions out of `socket`, `ssl` or `threading` keeps them.  The library call
leaves the process as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def patch() -> None:
    """Make the standard library cooperative; a second call changes nothing, or adds what is missing."""
    from gevent import monkey

    with entry_points_read_once():
        if is_patched() and not monkey.is_module_patched("os"):
            monkey.patch_os()
            monkey.patch_signal()
            monkey.patch_subprocess()
        else:
            monkey.patch_all()


def patch_parent() -> None:
    """Patch all but what has to do with children: os.fork, os.waitpid, SIGCHLD, subprocess.

    gevent's waits for every child there is, and tells a hub that turns; the parent's does not.
    """
    from gevent import monkey

    with entry_points_read_once():
        monkey.patch_all(os=False, signal=False, subprocess=False)


@contextmanager
def entry_points_read_once() -> Iterator[None]:
    """Have the metadata of the installed distributions read once meanwhile, and not with each question.

    gevent asks for its plugins at each of the 25 events of a patch.  With 55 distributions the answers take
    half of the time of a patch.
    """
    from gevent import events

    metadata: Any = None
    read: Any = None
    found: list[Any] = []

    def select(**wanted: Any) -> Any:
        if metadata.entry_points is not select:  # it is over, and somebody has kept this
            return read(**wanted)
        if not found:
            found.append(read())
        return found[0].select(**wanted)

    def replace(event: object) -> None:
        # With the first event, as gevent does: what this imports may not be there before.
        nonlocal metadata, read
        if read is None:
            from importlib import metadata

            read, metadata.entry_points = metadata.entry_points, select

    events.subscribers.append(replace)
    try:
        yield
    finally:
        events.subscribers.remove(replace)
        if read is not None and metadata.entry_points is select:
            metadata.entry_points = read


def patch_tls() -> None:
    """Patch ssl alone: a class that somebody derives from one of it calls itself for ever, patched later."""
    from gevent import monkey

    monkey.patch_ssl()


def is_patched() -> bool:
    """Whether sockets and threads of the standard library are gevent's, whoever patched them.  Imports
    nothing.
    """
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and all(monkey.is_module_patched(name) for name in ("socket", "threading"))


def get_original(module: str, name: str) -> Any:
    """Return what `name` in `module` was before it was patched, if it is."""
    from gevent import monkey

    return monkey.get_original(module, name)


def reinit() -> None:
    """Make a hub that was inherited by a fork usable in the child, if there is one."""
    if "gevent" in sys.modules:
        import gevent

        gevent.reinit()


def end_hub() -> bool:
    """End the hub of this thread, if there is one, and return whether there was."""
    if "gevent" not in sys.modules:
        return False
    from gevent._hub_local import get_hub_if_exists  # the one way to ask without making one

    hub = get_hub_if_exists()
    if hub is not None:
        hub.destroy(destroy_loop=True)
    return hub is not None


@contextmanager
def trace_hub() -> Iterator[list[str]]:
    """Give a list that has the place in somebody's code where a hub is made meanwhile, if one is."""
    if "gevent" not in sys.modules:
        yield []
        return
    from gevent.hub import Hub

    places: list[str] = []
    make = Hub.__init__

    def make_and_tell(self: Any, *args: Any, **kwargs: Any) -> None:
        places.append(place_of_caller())
        make(self, *args, **kwargs)

    Hub.__init__ = make_and_tell
    try:
        yield places
    finally:
        Hub.__init__ = make


def place_of_caller() -> str:
    """Return the innermost line of the stack that is not gevent's, ours, or the standard library's."""
    import gevent

    own = (os.path.dirname(gevent.__file__), os.path.dirname(__file__))
    standard, packages = os.path.dirname(os.__file__), (f"{os.sep}site-packages{os.sep}", "dist-packages")
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        is_standard = file.startswith((standard, "<frozen")) and not any(each in file for each in packages)
        if not is_standard and not file.startswith(own):
            return f"{file}, line {frame.f_lineno}, in {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "nobody knows where"

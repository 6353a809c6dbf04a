"""What greenlets are lent to, without a connection: requests that do what a test tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from greenlet import getcurrent

from tests.functional.serving import wait_until

LIMIT = 10


class Request:
    """Something to be served: `action` is called in the greenlet that serves it."""

    def __init__(self, action: Callable[[], Any] = lambda: None) -> None:
        self.action = action
        self.greenlets: list[Any] = []
        self.served = 0
        self.abandoned = 0
        self.notes: list[str] = []

    def serve(self) -> None:
        self.greenlets.append(getcurrent())
        self.action()
        self.served += 1

    def abandon(self) -> None:
        self.abandoned += 1

    def note_wait(self) -> None:
        self.notes.append("waits")

    def note_end(self) -> None:
        self.notes.append("has ended")

    def wait_for(self, times: int = 1) -> None:
        """Wait until it has been served that often."""
        wait_until(lambda: self.served == times, "the end of a request")


class Held(Request):
    """One that is not done until it is let go."""

    def __init__(self) -> None:
        self.event = Event()
        super().__init__(self.event.wait)

    def let_go(self) -> None:
        self.event.set()
        self.wait_for()


def in_hub(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `function` returns, or raise what it raises, when it is called in the hub."""
    result = AsyncResult()

    def call() -> None:
        try:
            result.set(function(*arguments))
        except BaseException as error:
            result.set_exception(error)

    gevent.get_hub().loop.run_callback(call)
    return result.get(timeout=LIMIT)

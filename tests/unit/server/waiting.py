"""Slots without a server: a hub that does as it is told, connections that only wait, a pool of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenserve.server.slots import Slots


class Hub:
    """Keeps the callbacks of its loop, and runs them when it is told to."""

    def __init__(self) -> None:
        self.loop = self
        self.callbacks: list[Callable[[], Any]] = []

    def run_callback(self, callback: Callable[..., Any], *arguments: Any) -> None:
        self.callbacks.append(lambda: callback(*arguments))

    def run(self) -> None:
        """Run what is to be run, and what that asks for, until there is nothing left."""
        for _ in range(1000):
            if not self.callbacks:
                return
            self.callbacks.pop(0)()
        raise AssertionError("the loop is never at rest")


class Waiter:
    """A connection with a complete head."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.is_waiting = True

    def use_slot(self) -> None:
        assert self.is_waiting
        self.is_waiting = False
        self.site.events.append(self.name)
        self.site.busy_then.append(self.site.slots.busy)


class Site:
    """Slots, and what happens with them in `events`: the names of those served, "free" and "turn"."""

    def __init__(self, cap: float, pool: Any = None, hub: Any = None) -> None:
        self.events: list[str] = []
        self.busy_then: list[int] = []
        self.hub = Hub() if hub is None else hub
        self.newcomers: list[str] = []
        self.slots = Slots(self.hub, cap, pool, self.on_free, self.on_turn)

    def on_free(self) -> None:
        self.events.append("free")
        self.slots.resume()

    def on_turn(self) -> None:
        self.events.append("turn")
        if self.newcomers:
            self.arrive(self.newcomers.pop(0))

    def wait(self, *names: str) -> list[Waiter]:
        waiters = [Waiter(self, name) for name in names]
        for waiter in waiters:
            self.slots.wait(waiter)  # type: ignore[arg-type]
        return waiters

    def arrive(self, name: str) -> None:
        """Have a complete head arrive: it takes a slot, or waits."""
        if self.slots.busy < self.slots.limit:
            self.slots.busy += 1
            self.events.append(name)
        else:
            self.wait(name)

    def take(self, count: int) -> None:
        """Take slots, as connections do that need not wait."""
        self.slots.busy += count

    def give_back(self) -> None:
        """Give one back, as connections do."""
        self.slots.busy -= 1
        if self.slots.wanted:
            self.slots.look_soon()

    def take_events(self) -> list[str]:
        """Return what has happened since the last call."""
        self.hub.run()
        events, self.events[:] = list(self.events), []
        return events


class Semaphore:
    """That of a pool: it calls its links once, when something is given back."""

    def __init__(self) -> None:
        self.links: list[Any] = []
        self.rawlink = self.links.append

    def unlink(self, callback: Any) -> None:
        if callback in self.links:
            self.links.remove(callback)

    def notify(self) -> None:
        while self.links:
            self.links.pop(0)(self)


class FakePool:
    """A pool that others use, too."""

    def __init__(self, is_full: bool) -> None:
        self.is_full = is_full
        self._semaphore = Semaphore()

    def full(self) -> bool:
        return self.is_full

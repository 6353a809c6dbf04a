"""The sweeper, with a clock and an event loop that stand still unless they are told otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from greenserve import Config
from greenserve.server.deadlines import LONGEST_INTERVAL, SHORTEST_INTERVAL, Sweeper

NEVER = float("inf")
OFF: dict[str, Any] = {
    f"{name}_timeout": 0.0
    for name in ("first_byte", "head", "body", "keepalive", "write", "handshake", "linger")
}


class Timer:
    def __init__(self, after: float, repeat: float, ref: bool) -> None:
        self.after, self.repeat, self.ref = after, repeat, ref
        self.callback: Callable[[], None] | None = None
        self.closed = False

    def start(self, callback: Callable[[], None]) -> None:
        self.callback = callback

    def stop(self) -> None:
        self.callback = None

    def close(self) -> None:
        assert self.callback is None, "closed while it runs"
        self.closed = True


class Loop:
    """A hub and its loop; `timers` are those that were asked for."""

    def __init__(self) -> None:
        self.loop = self
        self.timers: list[Timer] = []

    def timer(self, after: float, repeat: float = 0.0, ref: bool = True) -> Timer:
        self.timers.append(Timer(after, repeat, ref))
        return self.timers[-1]


class Item:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired = 0

    def expire(self) -> None:
        self.expired += 1


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def loop() -> Loop:
    return Loop()


def sweeper(loop: Loop, items: Any = (), then: Callable[[], None] = lambda: None, **limits: float) -> Sweeper:
    return Sweeper(loop, items, Config.from_keywords(**{**OFF, **limits}), then)


def test_its_timer_repeats_and_keeps_no_event_loop_alive(clock: Clock, loop: Loop) -> None:
    made = sweeper(loop, head_timeout=2.0)
    made.start()
    made.start()
    (timer,) = loop.timers
    assert (timer.after, timer.repeat, timer.ref) == (0.5, 0.5, False)
    assert timer.callback == made.sweep
    made.stop()
    made.stop()
    assert timer.closed


def test_only_what_is_overdue_expires(clock: Clock, loop: Loop) -> None:
    past, now, later, never = (Item(clock.now + after) for after in (-1, 0, 0.001, NEVER))
    swept: list[float] = []
    made = sweeper(loop, {past, now, later, never}, lambda: swept.append(clock.now))
    made.sweep()
    assert [item.expired for item in (past, now, later, never)] == [1, 1, 0, 0]
    assert swept == [clock.now]


def test_what_expires_may_leave_the_others_meanwhile(clock: Clock, loop: Loop) -> None:
    class Leaving(Item):
        def expire(self) -> None:
            super().expire()
            items.discard(self)

    items = {Leaving(clock.now - 1) for _ in range(3)}
    made, before = sweeper(loop, items), list(items)
    made.sweep()
    assert [item.expired for item in before] == [1] * 3
    assert items == set()


@pytest.mark.parametrize(
    ("shortest", "interval"),
    [(600.0, LONGEST_INTERVAL), (2.0, 0.5), (0.001, SHORTEST_INTERVAL)],
)
@pytest.mark.parametrize("name", OFF)
def test_it_looks_four_times_in_the_shortest_limit_within_bounds(
    loop: Loop, name: str, shortest: float, interval: float
) -> None:
    assert sweeper(loop, **{name: shortest}).interval == interval


def test_what_goes_idle_has_its_full_time(clock: Clock, loop: Loop) -> None:
    made = sweeper(loop, keepalive_timeout=2.0)
    made.start()
    assert made.idle_deadline == 1000.0 + 0.5 + 2.0  # it may go idle right before the next sweep
    clock.now += 0.5
    made.sweep()
    assert made.idle_deadline == 1000.5 + 0.5 + 2.0


def test_without_a_limit_nothing_that_is_idle_has_a_deadline(clock: Clock, loop: Loop) -> None:
    made = sweeper(loop)
    made.start()
    made.sweep()
    assert made.idle_deadline == NEVER

"""The bound on requests and the line of those that wait, with a hub that does as it is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Pool

from greenserve.server.slots import Slots
from tests.unit.server.waiting import FakePool, Site, Waiter

# -- how many there are


@pytest.mark.parametrize(
    ("cap", "busy", "full"), [(1, 0, False), (1, 1, True), (3, 2, False), (3, 3, True), (3, 4, True)]
)
def test_all_slots_may_be_taken(cap: int, busy: int, full: bool) -> None:
    site = Site(cap)
    site.take(busy)
    assert site.slots.is_full() is full


def test_without_a_bound_they_never_are() -> None:
    site = Site(math.inf)
    site.take(10**9)
    assert not site.slots.is_full()


def test_none_is_taken_to_begin_with() -> None:
    slots = Site(1).slots
    assert (slots.busy, list(slots.line), slots.paused, slots.wanted) == (0, [], False, False)


@pytest.mark.parametrize("cap", [1, 3, math.inf])
def test_who_comes_takes_a_slot_where_one_is_free(cap: float) -> None:
    site = Site(cap)
    names = ["a", "b", "c", "d"]
    for name in names:
        site.arrive(name)
    served = names[: min(4, int(min(cap, 4)))]
    assert site.take_events() == served
    for name in names[len(served) :]:
        site.give_back()
        assert site.take_events() == [name]
    assert site.slots.busy == len(served)


def test_newcomers_do_not_overtake_those_who_wait() -> None:
    site = Site(1)
    site.arrive("a")
    site.arrive("b")
    site.give_back()
    site.arrive("c")  # the slot is free, and promised
    assert site.take_events() == ["a", "b"]
    site.give_back()
    assert site.take_events() == ["c"]
    site.give_back()
    site.arrive("d")
    assert site.events == ["d"], "nobody waits any more"


def test_with_a_pool_nobody_takes_a_slot_by_himself() -> None:
    site = Site(10, FakePool(False))
    site.arrive("a")
    assert site.events == []
    assert site.take_events() == ["a"]


# -- the line


def test_who_waits_is_served_from_the_hub_and_takes_a_slot() -> None:
    site = Site(2)
    (waiter,) = site.wait("a")
    assert (site.events, list(site.slots.line)) == ([], [waiter]), "not before the hub comes round"
    assert site.take_events() == ["a"]
    assert (site.slots.busy, site.busy_then, list(site.slots.line)) == (1, [1], [])


def test_those_who_wait_are_served_in_their_order_and_within_the_bound() -> None:
    site = Site(2)
    site.wait("a", "b", "c", "d")
    assert site.take_events() == ["a", "b"]
    assert site.slots.busy == 2
    site.give_back()
    assert site.take_events() == ["c"]
    site.wait("e")
    assert site.take_events() == []
    site.give_back()
    site.give_back()
    assert site.take_events() == ["d", "e"]
    assert max(site.busy_then) == 2


def test_all_slots_are_given_out_that_have_become_free() -> None:
    site = Site(3)
    site.take(3)
    site.wait("a", "b", "c", "d")
    for _ in range(3):
        site.give_back()
    assert site.take_events() == ["a", "b", "c"]


def test_who_has_gone_takes_no_slot_and_holds_up_nobody() -> None:
    site = Site(1)
    site.take(1)
    gone, other, _, last = site.wait("gone", "other", "a", "last")
    gone.is_waiting = other.is_waiting = last.is_waiting = False
    site.give_back()
    assert site.take_events() == ["a"]
    assert site.slots.busy == 1
    site.give_back()
    assert site.take_events() == []
    assert (site.slots.busy, list(site.slots.line)) == (0, [])


def test_looking_in_vain_changes_nothing() -> None:
    site = Site(1)
    site.slots.look_soon()
    assert site.take_events() == []
    site.take(1)
    site.wait("a")
    site.slots.look_soon()
    assert site.take_events() == []
    assert site.slots.busy == 1


# -- accepting


def test_after_a_pause_it_is_told_that_there_is_room() -> None:
    site = Site(2)
    site.take(2)
    site.slots.pause()
    assert site.slots.paused
    assert site.take_events() == []
    site.give_back()
    assert site.events == [], "not before the hub comes round"
    assert site.take_events() == ["free"]
    site.give_back()
    assert site.take_events() == [], "once"


def test_a_pause_may_be_forgotten() -> None:
    site = Site(1)
    site.take(1)
    site.slots.pause()
    site.slots.resume()
    assert not site.slots.wanted
    site.give_back()
    site.slots.look_soon()
    assert site.take_events() == []


def test_a_slot_is_wanted_while_somebody_waits_or_accepting_is_paused() -> None:
    site = Site(1)
    site.take(1)
    site.wait("a")
    assert site.slots.wanted
    site.give_back()
    assert site.take_events() == ["a"]
    assert not site.slots.wanted
    site.slots.pause()
    assert site.slots.wanted
    site.give_back()
    assert site.take_events() == ["free"]
    assert not site.slots.wanted


def test_without_a_pause_nothing_is_told() -> None:
    site = Site(1)
    site.take(1)
    site.wait("a")
    site.give_back()
    assert site.take_events() == ["a"]
    site.give_back()
    site.slots.look_soon()
    assert site.take_events() == []


def test_there_is_no_room_for_newcomers_while_others_wait_or_all_slots_are_taken() -> None:
    site = Site(1)
    site.take(1)
    site.wait("a", "b")
    site.slots.pause()
    site.slots.look_soon()
    assert site.take_events() == []
    site.give_back()
    assert site.take_events() == ["turn", "a"]
    site.give_back()
    assert site.take_events() == ["turn", "b"]
    site.give_back()
    assert site.take_events() == ["free"]


def test_a_newcomer_stands_at_the_end_of_the_line() -> None:
    site = Site(1)
    site.take(1)
    site.wait("a", "b")
    site.slots.pause()
    site.newcomers = ["c", "d", "e"]
    served = []
    for _ in range(6):
        site.give_back()
        served.append(site.take_events())
    assert served == [["turn", "a"], ["turn", "b"], ["turn", "c"], ["turn", "d"], ["turn", "e"], ["free"]]


def test_a_newcomer_is_let_in_while_the_line_is_not_empty_yet() -> None:
    """Who comes to an empty line would take the slot that was about to be given."""
    lengths: list[int] = []

    class Watching(Site):
        def on_turn(self) -> None:
            lengths.append(len(self.slots.line))

    site = Watching(1)
    site.take(1)
    site.wait("a")
    site.slots.pause()
    site.give_back()
    site.take_events()
    assert lengths == [1]


# -- a pool


def test_a_full_pool_has_no_slots() -> None:
    pool = FakePool(True)
    site = Site(10, pool)
    assert site.slots.is_full()
    pool.is_full = False
    assert not site.slots.is_full()
    site.take(10)
    assert site.slots.is_full()


def test_who_waits_for_a_pool_is_served_once_it_has_room() -> None:
    pool = FakePool(True)
    site = Site(10, pool)
    site.wait("a", "b")
    assert site.take_events() == []
    pool.is_full = False
    pool._semaphore.notify()
    assert site.events == [], "not before the hub comes round"
    assert site.take_events() == ["a", "b"]


def test_a_pool_that_is_full_again_is_waited_for_again() -> None:
    pool = FakePool(True)
    site = Site(10, pool)
    site.wait("a")
    for _ in range(3):
        assert site.take_events() == []
        pool._semaphore.notify()
    pool.is_full = False
    assert site.take_events() == ["a"]


def test_a_pool_is_asked_once_however_many_wait() -> None:
    pool = FakePool(True)
    site = Site(10, pool)
    for name in ("a", "b", "c"):
        site.wait(name)
        assert site.take_events() == []
    site.slots.pause()
    assert len(pool._semaphore.links) == 1
    pool._semaphore.notify()
    assert site.take_events() == []
    assert len(pool._semaphore.links) == 1, "it was full again, and is asked again"


def test_after_a_pause_it_is_told_that_the_pool_has_room() -> None:
    pool = FakePool(True)
    site = Site(10, pool)
    site.slots.pause()
    pool._semaphore.notify()
    assert site.take_events() == []
    pool.is_full = False
    pool._semaphore.notify()
    assert site.take_events() == ["free"]
    assert pool._semaphore.links == []


def test_a_pool_is_not_waited_for_when_nobody_does() -> None:
    pool = FakePool(False)
    site = Site(10, pool)
    site.wait("a")
    assert site.take_events() == ["a"]
    pool.is_full = True
    site.slots.look_soon()
    assert site.take_events() == []
    assert pool._semaphore.links == []


@pytest.fixture
def pool() -> Iterator[Any]:
    """A pool of gevent's, filled by somebody else until `go_on` is set."""
    pool = Pool(2)
    pool.go_on = Event()
    for _ in range(2):
        pool.spawn(pool.go_on.wait)
    yield pool
    pool.go_on.set()
    assert pool.join(10)


def test_who_waits_for_a_pool_of_gevent_s_is_served_once_it_has_room(pool: Any) -> None:
    served = Event()

    class Served(Waiter):
        def use_slot(self) -> None:
            super().use_slot()
            served.set()

    site = Site(math.inf, pool, gevent.get_hub())
    site.slots.wait(Served(site, "a"))  # type: ignore[arg-type]
    gevent.idle()
    assert site.slots.is_full()
    assert site.events == []
    pool.go_on.set()
    assert served.wait(10)
    assert site.events == ["a"]


def test_after_a_pause_it_is_told_that_a_pool_of_gevent_s_has_room(pool: Any) -> None:
    told = Event()
    slots = Slots(gevent.get_hub(), math.inf, pool, told.set, lambda: None)
    slots.pause()
    slots.look_soon()
    gevent.idle()
    assert not told.is_set()
    pool.go_on.set()
    assert told.wait(10)

"""Requests that are due in one round of the event loop: who serves them, when, and what ends a round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from greenserve.server.lending import MOST_DUE, MOST_HELD, Lender
from tests.functional.serving import wait_until
from tests.unit.server.served import Held, Request, in_hub
from tests.unit.server.test_lending import variable


@pytest.fixture
def lender() -> Iterator[Lender]:
    lender = Lender(gevent.get_hub(), 10, lambda stray: None)
    yield lender
    lender.close()
    wait_until(lambda: not lender.greenlets, "the end of all greenlets")


def lend_soon(lender: Lender, *requests: Request) -> None:
    """Have requests served that have arrived in the same round."""

    def arrive() -> None:
        for request in requests:
            lender.lend_soon(request)
        assert not any(request.greenlets for request in requests), "not before all have been looked at"

    in_hub(arrive)


def test_one_greenlet_serves_all_that_are_due_in_their_order(lender: Lender) -> None:
    order: list[int] = []
    requests = [Request(lambda number=number: order.append(number)) for number in range(5)]
    lend_soon(lender, *requests)
    requests[-1].wait_for()
    assert order == [0, 1, 2, 3, 4]
    (greenlet,) = lender.greenlets
    assert [request.greenlets for request in requests] == [[greenlet]] * 5
    assert lender.spare == [greenlet]


def test_many_are_served_before_more_is_read(lender: Lender) -> None:
    requests = [Request() for _ in range(MOST_DUE + 1)]
    served: list[int] = []

    def arrive() -> None:
        for request in requests:
            lender.lend_soon(request)
            served.append(sum(each.served for each in requests))

    in_hub(arrive)
    assert served == [*[0] * (MOST_DUE - 1), MOST_DUE, MOST_DUE]
    requests[-1].wait_for()


def test_those_that_hold_much_are_served_before_more_is_read(lender: Lender) -> None:
    first, second, third, last = requests = [Request() for _ in range(4)]
    served: list[int] = []

    def arrive() -> None:
        for request, octets in ((first, MOST_HELD - 1), (second, 1), (third, MOST_HELD - 1)):
            lender.lend_soon(request)
            lender.hold(octets)
            served.append(sum(each.served for each in requests))
        lender.lend_soon(last)

    in_hub(arrive)
    assert served == [0, 2, 2]
    last.wait_for()
    assert third.served == 1


def test_they_are_served_before_the_event_loop_waits_for_anything(lender: Lender) -> None:
    request = Request()
    lend_soon(lender, request)
    request.wait_for()  # with nothing else that would turn the loop but this wait's own deadline
    assert request.served == 1


def test_one_that_waits_does_not_hold_up_the_others(lender: Lender) -> None:
    first, last = Request(), Request()
    held = [Held(), Held()]
    lend_soon(lender, first, held[0], held[1], last)
    last.wait_for()
    assert (first.served, held[0].served, held[1].served) == (1, 0, 0)
    assert first.greenlets == held[0].greenlets
    assert len({each.greenlets[0] for each in (*held, last)}) == 3
    assert lender.serving() == {each: each.greenlets[0] for each in held}
    for each in held:
        each.let_go()


def test_context_and_locals_are_new_for_each_of_them(lender: Lender) -> None:
    found: list[Any] = []

    def action() -> None:
        greenlet = getcurrent()
        found.append((variable.get(), dict(greenlet.spawn_tree_locals or {})))
        variable.set("of another request")
        greenlet.spawn_tree_locals["of"] = "another request"

    requests = [Request(action) for _ in range(3)]
    lend_soon(lender, *requests)
    requests[-1].wait_for()
    assert found == [("nothing", {})] * 3


@pytest.mark.parametrize("doom", ["kill", "link", "raise"])
def test_a_greenlet_that_is_to_end_leaves_the_rest_to_another_one(lender: Lender, doom: str) -> None:
    def action() -> None:
        if doom == "kill":
            getcurrent().kill(block=False)
        elif doom == "link":
            getcurrent().rawlink(lambda greenlet: None)
        else:
            raise gevent.GreenletExit

    first, second, third = Request(action), Request(), Request()
    lend_soon(lender, first, second, third)
    third.wait_for()
    assert second.greenlets == third.greenlets != first.greenlets
    wait_until(lambda: first.greenlets[0].dead, "the end of the first greenlet")


def test_where_no_greenlet_is_kept_each_of_them_has_a_fresh_one(lender: Lender) -> None:
    lender.spare_limit = 0
    requests = [Request() for _ in range(3)]
    lend_soon(lender, *requests)
    requests[-1].wait_for()
    assert len({id(request.greenlets[0]) for request in requests}) == 3


def test_what_is_due_at_the_end_is_served(lender: Lender) -> None:
    requests = [Request(), Request()]

    def arrive_and_close() -> None:
        for request in requests:
            lender.lend_soon(request)
        lender.close()

    in_hub(arrive_and_close)
    requests[-1].wait_for()
    assert [request.served for request in requests] == [1, 1]


def test_a_greenlet_that_cannot_be_made_costs_that_request_alone(lender: Lender, monkeypatch: Any) -> None:
    requests = [Request(), Request(), Request()]
    lend, failed = lender.lend, []

    def lend_or_fail(request: Any) -> None:
        if request is requests[0]:
            failed.append(request)
            raise MemoryError
        lend(request)

    monkeypatch.setattr(lender, "lend", lend_or_fail)
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *args: None)
    lend_soon(lender, *requests)
    requests[-1].wait_for()
    assert failed == [requests[0]]
    assert [request.served for request in requests] == [0, 1, 1]


def test_what_a_request_schedules_comes_to_run_though_nothing_else_happens(lender: Lender) -> None:
    done = Event()
    lend_soon(lender, Request(done.set))
    assert done.wait(30)


def test_who_waits_is_told_so_and_told_its_end(lender: Lender) -> None:
    quick, held = Request(), Held()
    lend_soon(lender, quick, held, last := Request())
    last.wait_for()
    assert (quick.notes, held.notes, last.notes) == ([], ["waits"], [])
    held.let_go()
    assert held.notes == ["waits", "has ended"]
    lend_soon(lender, again := Request())
    again.wait_for()
    assert again.notes == []


def test_who_waits_behind_one_that_has_waited_is_told_so_too(lender: Lender) -> None:
    first, second = Held(), Held()
    lend_soon(lender, first)

    def both() -> None:
        first.event.set()  # its greenlet goes on first, and finds that one is due
        lender.lend_soon(second)

    in_hub(both)
    first.wait_for()
    wait_until(lambda: second.greenlets, "the second one")
    assert second.notes == ["waits"]
    second.let_go()


def test_what_comes_after_those_that_were_due_is_told(lender: Lender) -> None:
    told: list[int] = []
    requests = [Request() for _ in range(3)]
    lender.after_due = lambda: told.append(sum(request.served for request in requests))
    lend_soon(lender, *requests)
    wait_until(lambda: told, "the call")
    assert told == [3]

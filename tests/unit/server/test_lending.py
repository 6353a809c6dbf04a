"""Greenlets that are lent: whose they are, what is cleaned, what discards them, how many are kept."""

from __future__ import annotations

import contextvars
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from greenserve.server.lending import Lender, LentGreenlet, forget_request
from tests.functional.serving import turn_hub, wait_until
from tests.unit.server.served import LIMIT, Held, Request, in_hub


@pytest.fixture
def strays() -> list[BaseException]:
    """What has hit waiting greenlets."""
    return []


@pytest.fixture
def lender(strays: list[BaseException]) -> Iterator[Lender]:
    lender = Lender(gevent.get_hub(), 10, strays.append)
    yield lender
    lender.close()
    wait_until(lambda: not lender.greenlets, "the end of all greenlets")


def lend(lender: Lender, request: Any) -> Any:
    """Have a request served, as far as it goes without waiting; return the greenlet that has it."""
    in_hub(lender.lend, request)
    assert (len(request.greenlets), request.abandoned) == (1, 0), "served at once"
    return request.greenlets[0]


def serve(lender: Lender, action: Callable[[], Any] = lambda: None) -> Any:
    """Have a request served to its end; return the greenlet that did it."""
    request = Request(action)
    greenlet = lend(lender, request)
    assert request.served
    return greenlet


def fill(lender: Lender, count: int) -> list[Any]:
    """Have `count` requests served at the same time, and then none; return their greenlets."""
    requests = [Held() for _ in range(count)]
    greenlets = [lend(lender, request) for request in requests]
    for request in requests:
        request.let_go()
    return greenlets


def wait_for_end(*greenlets: Any) -> None:
    wait_until(lambda: all(greenlet.dead for greenlet in greenlets), "the end of some greenlets")


# -- whose they are


def test_a_request_is_served_at_once_in_a_greenlet_of_gevent_s(lender: Lender) -> None:
    greenlet = serve(lender)
    assert isinstance(greenlet, gevent.Greenlet)
    assert isinstance(greenlet, LentGreenlet)
    assert isinstance(greenlet.minimal_ident, int)


def test_a_greenlet_is_used_again(lender: Lender) -> None:
    greenlet = serve(lender)
    assert [serve(lender) for _ in range(5)] == [greenlet] * 5
    assert lender.spare == [greenlet]
    assert lender.greenlets == {greenlet}


def test_requests_at_the_same_time_have_greenlets_of_their_own(lender: Lender) -> None:
    requests = [Held() for _ in range(3)]
    greenlets = [lend(lender, request) for request in requests]
    assert len(set(greenlets)) == 3
    assert not any(request.served for request in requests)
    requests[1].let_go()
    assert serve(lender) is greenlets[1]
    requests[0].let_go()
    requests[2].let_go()
    assert set(fill(lender, 3)) == set(greenlets)


def test_who_is_served_by_whom(lender: Lender) -> None:
    first, second = Held(), Held()
    assert lender.serving() == {}
    expected = {request: lend(lender, request) for request in (first, second)}
    assert lender.serving() == expected
    first.let_go()
    del expected[first]
    assert lender.serving() == expected
    second.let_go()
    assert lender.serving() == {}


def test_a_greenlet_says_what_it_is_doing(lender: Lender) -> None:
    request = Held()
    greenlet = lend(lender, request)
    assert f"serving {request!r}" in repr(greenlet)
    assert not greenlet.waiting
    request.let_go()
    assert "waiting" in repr(greenlet)
    assert greenlet.waiting


# -- what is cleaned between two requests

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


def test_context_and_locals_are_new_for_each_request(lender: Lender) -> None:
    found: list[Any] = []

    def action() -> None:
        greenlet = getcurrent()
        found.append((variable.get(), dict(greenlet.spawn_tree_locals or {})))
        variable.set("of another request")
        greenlet.spawn_tree_locals["of"] = "another request"

    assert serve(lender, action) is serve(lender, action)
    assert found == [("nothing", {})] * 2


def test_nothing_of_a_request_is_kept(lender: Lender) -> None:
    class Something:
        """It may be large, or hold a descriptor."""

    def request_something() -> tuple[Request, list[Any]]:
        something = Something()
        request = Request(lambda: variable.set(something))  # type: ignore[arg-type]
        return request, [weakref.ref(something), weakref.ref(request)]

    request, references = request_something()
    greenlet = lend(lender, request)
    del request
    gc.collect()
    assert greenlet.waiting
    assert [reference() for reference in references] == [None, None]


def test_a_request_behind_another_of_the_same_connection_starts_anew() -> None:
    found: list[Any] = []

    def serve_two() -> None:
        greenlet = getcurrent()
        variable.set("of the first")
        greenlet.spawn_tree_locals["of"] = "the first"
        forget_request(greenlet)
        found.append((variable.get(), greenlet.spawn_tree_locals))

    gevent.spawn(serve_two).get(timeout=LIMIT)
    assert found == [("nothing", {})]


def test_the_hub_has_nothing_to_forget() -> None:
    """Where there is no greenlet for a request, there is no context of its own."""
    hub = gevent.get_hub()
    before = dict(vars(hub))
    forget_request(hub)
    assert vars(hub) == before
    token = variable.set("of the caller")
    forget_request(getcurrent())
    assert variable.get() == "of the caller"
    variable.reset(token)


# -- what discards a waiting greenlet


class Mistake(Exception):
    """Thrown into the wrong greenlet."""


STRAYS: dict[str, Callable[[Any], Any]] = {
    "switch": lambda greenlet: greenlet.switch(),
    "switch-with-a-value": lambda greenlet: greenlet.switch("value"),
    "throw": lambda greenlet: greenlet.throw(Mistake),
    "timeout": lambda greenlet: greenlet.throw(gevent.Timeout(5)),
    "exit": lambda greenlet: greenlet.throw(),
    "system-exit": lambda greenlet: greenlet.throw(SystemExit),
    "interrupt": lambda greenlet: greenlet.throw(KeyboardInterrupt),
    "kill": lambda greenlet: greenlet.kill(block=False),
    "kill-with-an-error": lambda greenlet: greenlet.kill(Mistake, block=False),
}
TOLD = {
    "throw": Mistake,
    "timeout": gevent.Timeout,
    "system-exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "kill-with-an-error": Mistake,
}


@pytest.mark.parametrize("name", STRAYS)
def test_whatever_hits_a_waiting_greenlet_ends_it_and_no_request(
    name: str, lender: Lender, strays: list[BaseException]
) -> None:
    greenlet = serve(lender)
    in_hub(STRAYS[name], greenlet)
    assert lender.spare == []
    assert serve(lender) is not greenlet
    wait_for_end(greenlet)
    assert len(lender.greenlets) == 1
    assert [type(stray) for stray in strays] == ([TOLD[name]] if name in TOLD else [])


@pytest.mark.parametrize("name", STRAYS)
def test_a_greenlet_that_was_hit_is_not_lent_a_moment_later(name: str, lender: Lender) -> None:
    """Gevent kills from the event loop: by then another request could have it."""
    greenlet = serve(lender)
    request = Held()

    def hit_and_lend() -> None:
        STRAYS[name](greenlet)
        lender.lend(request)

    in_hub(hit_and_lend)
    turn_hub()
    assert request.greenlets[0] is not greenlet
    assert not request.served, "it waits undisturbed"
    request.let_go()


def test_one_of_several_is_discarded_alone(lender: Lender) -> None:
    first, second, third = fill(lender, 3)
    in_hub(second.throw, Mistake)
    assert lender.spare == [first, third]
    assert lender.greenlets == {first, third}


def test_a_timeout_that_was_forgotten_hits_no_other_request(
    lender: Lender, strays: list[BaseException]
) -> None:
    timeouts = []
    greenlet = serve(lender, lambda: timeouts.append(gevent.Timeout.start_new(0.001)))
    wait_until(lambda: strays == timeouts, "the timeout")
    assert greenlet.dead
    assert serve(lender) is not greenlet


def test_a_kill_that_comes_late_hits_no_other_request(lender: Lender, strays: list[BaseException]) -> None:
    greenlet = serve(lender, lambda: getcurrent().kill(block=False))
    wait_for_end(greenlet)
    assert lender.spare == [] and lender.greenlets == set()
    assert serve(lender) is not greenlet
    assert strays == []


def test_a_request_that_survives_being_killed_is_the_last_of_its_greenlet(lender: Lender) -> None:
    reached: list[type[BaseException]] = []

    def action() -> None:
        try:
            Event().wait()
        except BaseException as error:
            reached.append(type(error))

    request = Request(action)
    greenlet = lend(lender, request)
    greenlet.kill(timeout=LIMIT)
    assert reached == [gevent.GreenletExit]
    assert request.served
    assert greenlet.dead and lender.greenlets == set()


@pytest.mark.parametrize("error", [Mistake, SystemExit, gevent.GreenletExit])
def test_a_serve_that_raises_ends_its_greenlet_and_nothing_else(
    error: type[BaseException], lender: Lender, strays: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *arguments: told.append(arguments[1]))

    def action() -> None:
        raise error

    spare = fill(lender, 2)
    greenlet = lend(lender, Request(action))
    wait_for_end(greenlet)
    assert [lender.spare] == [[each for each in spare if each is not greenlet]]
    assert lender.greenlets == set(lender.spare)
    assert lender.serving() == {}
    assert greenlet.assignment is None, "who keeps the greenlet does not keep the connection"
    assert told == [error] * (error is not gevent.GreenletExit)
    assert strays == []


# -- links


@pytest.mark.parametrize("name", ["link", "rawlink", "link_value"])
@pytest.mark.parametrize("busy", [False, True])
def test_a_link_fires_when_the_request_is_over(busy: bool, name: str, lender: Lender) -> None:
    fired: list[Any] = []
    request = Held()
    greenlet = lend(lender, request) if busy else serve(lender)
    getattr(greenlet, name)(fired.append)
    turn_hub()
    assert fired == [greenlet] * (not busy), "a greenlet without a request ends soon"
    request.let_go() if busy else serve(lender)
    wait_until(lambda: fired == [greenlet], "the link")
    assert greenlet.dead and greenlet not in lender.spare


def test_who_joins_a_greenlet_waits_for_its_request_only(lender: Lender) -> None:
    request = Held()
    greenlet = lend(lender, request)
    joining = gevent.spawn(greenlet.join)
    turn_hub()
    assert not joining.dead
    request.let_go()
    joining.get(timeout=LIMIT)


# -- how many are kept


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (1, 1), (2, 2), (5, 5), (6, 5)])
def test_no_more_are_kept_than_allowed(limit: int, kept: int, lender: Lender) -> None:
    lender.spare_limit = limit
    greenlets = fill(lender, 5)
    wait_until(lambda: len(lender.greenlets) == kept, "the end of the others")
    assert len(lender.spare) == kept
    assert sum(not greenlet.dead for greenlet in greenlets) == kept


def test_half_of_those_that_were_not_needed_end_each_time(lender: Lender) -> None:
    greenlets = fill(lender, 10)
    lender.shrink()
    assert len(lender.spare) == 10, "they have not been spare for long"
    left = []
    for _ in range(6):
        lender.shrink()
        left.append(len(lender.spare))
    assert left == [5, 2, 1, 0, 0, 0]
    wait_for_end(*greenlets)
    assert lender.greenlets == set()


def test_those_that_were_needed_stay(lender: Lender) -> None:
    fill(lender, 10)
    lender.shrink()
    for needed, left in ((6, 8), (6, 7), (7, 7), (0, 3)):
        fill(lender, needed)
        lender.shrink()
        assert len(lender.spare) == left, needed
    assert all(not greenlet.dead for greenlet in lender.spare)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_those_that_came_back_to_their_places_stay(count: int, lender: Lender) -> None:
    greenlets = fill(lender, count)
    for _ in range(3):
        lender.shrink()
        before = list(lender.spare)
        requests = [Held() for _ in range(count)]
        for request in requests:
            lend(lender, request)
        for request in reversed(requests):
            request.let_go()
        assert lender.spare == before
    lender.shrink()
    assert len(lender.spare) == count
    assert not any(greenlet.dead for greenlet in greenlets)


def test_at_the_end_those_that_wait_end_and_the_others_after_their_request(lender: Lender) -> None:
    spare = fill(lender, 3)
    request = Held()
    greenlet = lend(lender, request)
    lender.close()
    assert lender.spare == []
    wait_for_end(*(each for each in spare if each is not greenlet))
    assert not greenlet.dead and not request.served
    request.let_go()
    wait_for_end(greenlet)
    late = serve(lender)
    wait_for_end(late)
    assert late not in spare and lender.greenlets == set()

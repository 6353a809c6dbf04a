"""Greenlets from a pool or any callable that spawns, and no greenlet at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Pool
from greenlet import getcurrent

from greenserve.server.lending import DirectCaller, Spawner
from tests.functional.serving import turn_hub, wait_until
from tests.unit.server.served import LIMIT, Request


class Failure(Exception):
    """What spawning may raise, or serving."""


SPAWNS: dict[str, Callable[[], Any]] = {
    "pool": lambda: Pool(3),
    "callable": lambda: gevent.spawn,
    "raw": lambda: gevent.spawn_raw,
    "in-place": lambda: lambda function, *arguments: function(*arguments),
}


@pytest.mark.parametrize("make", SPAWNS.values(), ids=SPAWNS)
def test_each_busy_period_is_spawned(make: Callable[[], Any]) -> None:
    spawner = Spawner(make())
    request = Request()
    for times in (1, 2, 3):
        spawner.lend(request)
        request.wait_for(times)
    turn_hub()
    assert (request.served, request.abandoned) == (3, 0)
    assert spawner.serving() == {}


def test_a_pool_has_the_greenlets() -> None:
    pool = Pool(3)
    spawner = Spawner(pool)
    go_on = Event()
    requests = [Request(go_on.wait) for _ in range(3)]
    for request in requests:
        spawner.lend(request)
    assert (len(pool), pool.full()) == (3, True)
    wait_until(lambda: all(request.greenlets for request in requests), "all of them being served")
    assert {greenlet for request in requests for greenlet in request.greenlets} == set(pool)
    go_on.set()
    assert pool.join(LIMIT)
    assert [request.served for request in requests] == [1, 1, 1]


def test_who_is_served_by_whom() -> None:
    spawner = Spawner(gevent.spawn)
    events = [Event(), Event()]
    first, second = (Request(event.wait) for event in events)
    spawner.lend(first)
    spawner.lend(second)
    assert spawner.serving() == {}, "it is being spawned"
    wait_until(lambda: first.greenlets and second.greenlets, "both of them being served")
    assert spawner.serving() == {first: first.greenlets[0], second: second.greenlets[0]}
    events[0].set()
    first.wait_for()
    assert spawner.serving() == {second: second.greenlets[0]}
    events[1].set()
    second.wait_for()
    assert spawner.serving() == {}


def test_what_is_told_of_them_is_a_copy() -> None:
    spawner = Spawner(gevent.spawn)
    spawner.serving()[Request()] = gevent.Greenlet()
    assert spawner.serving() == {}


@pytest.mark.parametrize("error", [Failure(), SystemExit()], ids=repr)
def test_where_nothing_can_be_spawned_the_connection_is_given_up(error: BaseException) -> None:
    def spawn(*arguments: Any) -> Any:
        raise error

    request = Request()
    with pytest.raises(type(error)) as raised:
        Spawner(spawn).lend(request)
    assert raised.value is error
    assert (request.served, request.abandoned) == (0, 1)


@pytest.mark.parametrize("spawn", [gevent.spawn, Pool(3)], ids=["callable", "pool"])
def test_a_greenlet_that_is_killed_before_it_runs_gives_up_the_connection(spawn: Any) -> None:
    killed: list[Any] = []

    def spawn_and_kill(*arguments: Any) -> Any:
        greenlet = getattr(spawn, "spawn", spawn)(*arguments)
        killed.append(greenlet)
        greenlet.kill(block=False)
        return greenlet

    spawner = Spawner(spawn_and_kill)
    request = Request()
    spawner.lend(request)
    wait_until(lambda: request.abandoned, "the connection being given up")
    turn_hub()
    assert (request.greenlets, request.abandoned) == ([], 1)
    assert spawner.serving() == {}
    assert killed[0].dead


@pytest.mark.filterwarnings("error")
def test_a_greenlet_that_is_killed_while_it_runs_has_had_its_connection() -> None:
    pool = Pool(3)
    spawner = Spawner(pool)
    request = Request(Event().wait)
    spawner.lend(request)
    wait_until(lambda: request.greenlets, "it being served")
    pool.kill(timeout=LIMIT)
    turn_hub()
    assert (request.served, request.abandoned) == (0, 0), "serve() sees to that itself"
    assert spawner.serving() == {}


def test_a_serve_that_raises_is_served_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *arguments: told.append(arguments[1]))

    def action() -> None:
        raise Failure

    spawner = Spawner(gevent.spawn)
    request = Request(action)
    spawner.lend(request)
    wait_until(lambda: told, "the error")
    turn_hub()
    assert (told, request.abandoned, spawner.serving()) == ([Failure], 0, {})


def test_what_belongs_to_others_is_neither_shrunk_nor_closed() -> None:
    pool = Pool(3)
    spawner = Spawner(pool)
    go_on = Event()
    request = Request(go_on.wait)
    spawner.lend(request)
    wait_until(lambda: request.greenlets, "it being served")
    for _ in range(3):
        spawner.shrink()
    spawner.close()
    turn_hub()
    assert len(pool) == 1
    go_on.set()
    request.wait_for()
    late = Request()
    spawner.lend(late)
    late.wait_for()


# -- no greenlet at all


def test_without_greenlets_the_caller_serves() -> None:
    caller = DirectCaller()
    request = Request()
    caller.lend(request)
    assert (request.served, request.greenlets) == (1, [getcurrent()])
    assert caller.serving() == {}
    caller.shrink()
    caller.close()
    caller.lend(request)
    assert (request.served, request.abandoned) == (2, 0)


def test_what_is_raised_then_passes() -> None:
    def action() -> None:
        raise Failure

    with pytest.raises(Failure):
        DirectCaller().lend(Request(action))

"""Nothing of one request reaches the next, though both are served by the same greenlet."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.local
import gevent.util
import pytest

from tests.functional.acting import Site, expect_answers
from tests.functional.client import LIMIT, get
from tests.functional.serving import Gate, serving, wait_until

# -- what is thrown into a greenlet whose request has ended


def test_a_timeout_that_was_left_running_hits_nobody() -> None:
    site = Site(lambda greenlet: gevent.Timeout.start_new(0.001))
    with serving(site) as served:
        client = served.connect()
        assert client.ask(get("/act")).content == b"/act"
        wait_until(lambda: served.log.matching("Timeout.* reached a greenlet whose request had ended"))
        wait_until(lambda: site.greenlets[0].dead, "the end of that greenlet")
        expect_answers(served, client)
        assert site.greenlets[0] not in site.greenlets[1:]


def test_a_timeout_that_is_cancelled_leaves_the_greenlet_in_use() -> None:
    def action(greenlet: Any) -> None:
        with gevent.Timeout(0.001, False):
            gevent.sleep(LIMIT)

    site = Site(action)
    with serving(site) as served:
        client = served.connect()
        assert client.ask(get("/act")).content == b"/act"
        expect_answers(served, client)
        assert set(site.greenlets) == {site.greenlets[0]}
        assert served.log.lines == []


@pytest.mark.parametrize("block", [True, False])
def test_a_kill_after_the_request_hits_nobody(block: bool) -> None:
    site = Site()
    with serving(site) as served:
        client = served.connect()
        client.ask(get("/"))
        client.send(get("/sent"))  # it may arrive while the greenlet is about to die
        site.greenlets[0].kill(block=block)
        assert client.read().content == b"/sent"
        expect_answers(served, client)
        assert site.greenlets[0] not in site.greenlets[1:]
        assert site.greenlets[0].dead
        assert served.log.lines == []


def test_killing_all_waiting_greenlets_hits_nobody() -> None:
    gate = Gate()
    with serving(gate) as served:
        clients = [served.connect() for _ in range(3)]
        paths = [f"/{number}" for number in range(3)]
        for client, path in zip(clients, paths, strict=True):
            client.send(get(path))
        gate.wait_for(*paths)
        greenlets = list(served.server.lender.greenlets)
        for client, path in zip(clients, paths, strict=True):
            gate.let_go(path)
            client.read()
        gevent.killall(greenlets)
        assert served.server.lender.spare == []
        for client in clients:
            client.send(get("/again"))
            gate.wait_for("/again")
            gate.let_go("/again")
            assert client.read().content == b"/again"


def test_a_request_that_kills_its_own_greenlet_for_later_does_not_hit_the_next_one() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/act":
            gevent.killall([gevent.getcurrent()], block=False)
        else:
            gevent.sleep(0)
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with serving(application) as served:
        clients = [served.connect() for _ in range(4)]
        for client in clients:
            assert client.ask(get("/")).content == b"/"
        for path in ("/act", "/next") * 2:  # whichever order the event loop tells of them in
            for client, each in zip(clients, (path, *["/act", "/next"] * 2), strict=False):
                client.send(get(each))
            for client, each in zip(clients, (path, *["/act", "/next"] * 2), strict=False):
                assert client.read().content == each.encode()


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, gevent.Timeout])
def test_an_exception_thrown_after_the_request_hits_nobody(kind: type[BaseException]) -> None:
    site = Site()
    with serving(site) as served:
        client = served.connect()
        client.ask(get("/"))
        gevent.get_hub().loop.run_callback(site.greenlets[0].throw, kind())
        wait_until(lambda: site.greenlets[0].dead, "the end of that greenlet")
        assert served.log.matching(f"{kind.__name__}.* reached a greenlet whose request had ended")
        expect_answers(served, client)


def test_a_stray_switch_hits_nobody() -> None:
    site = Site()
    with serving(site) as served:
        client = served.connect()
        client.ask(get("/"))
        gevent.get_hub().loop.run_callback(site.greenlets[0].switch, "stray")
        wait_until(lambda: site.greenlets[0].dead, "the end of that greenlet")
        expect_answers(served, client)


def test_a_stray_switch_during_a_request_does_not_pass_for_its_content() -> None:
    raised: list[BaseException] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/act":
            gevent.get_hub().loop.run_callback(gevent.getcurrent().switch, "stray")
            try:
                environ["wsgi.input"].read()
            except BaseException as error:
                raised.append(error)
                raise
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with serving(application) as served:
        client = served.connect()
        assert client.ask(get("/act", "Content-Length: 5", method="POST")).status == 500
        assert served.take_errors() == [type(raised[0])]
        expect_answers(served)


# -- what a request leaves in its greenlet


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="nothing")


class Leaving:
    """An application that answers with what it finds, and leaves its path where it found that."""

    def __init__(self, take: Callable[[str], str]) -> None:
        self.take = take
        self.greenlets: list[Any] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.greenlets.append(gevent.getcurrent())
        start_response("200 OK", [])
        return [self.take(environ["PATH_INFO"]).encode()]


def in_the_context(left: str) -> str:
    found = VARIABLE.get()
    VARIABLE.set(left)
    return found


def in_the_spawn_tree(left: str) -> str:
    found: str = gevent.getcurrent().spawn_tree_locals.get("variable", "nothing")
    gevent.getcurrent().spawn_tree_locals["variable"] = left
    assert gevent.spawn(lambda: gevent.getcurrent().spawn_tree_locals["variable"]).get(timeout=LIMIT) == left
    return found


@pytest.mark.parametrize("take", [in_the_context, in_the_spawn_tree])
def test_what_a_request_leaves_behind_is_not_found_by_the_next(take: Callable[[str], str]) -> None:
    application = Leaving(take)
    with serving(application) as served:
        client = served.connect()
        for path in ("/1", "/2", "/3"):
            assert client.ask(get(path)).content == b"nothing"
        client.send(get("/4"), get("/5"), get("/6"))  # in one go, so they are served without a pause
        assert [client.read().content for _ in range(3)] == [b"nothing"] * 3
        assert served.ask(get("/7")).content == b"nothing"
    assert set(application.greenlets) == {application.greenlets[0]}


def test_a_variable_lasts_for_the_whole_of_its_request() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        VARIABLE.set(environ["PATH_INFO"])
        start_response("200 OK", [])
        for _ in range(3):
            gevent.sleep(0)
            yield VARIABLE.get().encode()

    with serving(application) as served:
        clients = [served.connect() for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(get(f"/{number}"))
        for number, client in enumerate(clients):
            assert client.read().content == b"/%d" % number * 3

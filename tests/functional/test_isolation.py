"""Nothing of one request reaches the next, though both are served by the same greenlet."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.local
import gevent.util
import pytest
from gevent.event import Event

from greenserve.server.lending import LentGreenlet
from tests.functional.client import LIMIT, Client, get
from tests.functional.serving import Gate, Serving, serving, turn_hub, wait_until


class Site:
    """An application that calls `action` for ``/act``, and knows who served each request."""

    def __init__(self, action: Callable[[Any], Any] = lambda greenlet: None) -> None:
        self.action = action
        self.greenlets: list[Any] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        greenlet = gevent.getcurrent()
        self.greenlets.append(greenlet)
        if environ["PATH_INFO"] == "/act":
            self.action(greenlet)
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode("latin-1")]


def expect_answers(served: Serving, *clients: Client) -> None:
    """See that old and new connections are served, several times, and all slots come back."""
    for client in (*clients, served.connect(), served.connect()):
        for path in ("/1", "/2"):
            assert client.ask(get(path)).content == path.encode()
    assert served.busy == 0


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


# -- lending


def test_greenlets_are_gevent_s_and_are_used_again() -> None:
    site = Site()
    with serving(site) as served:
        client = served.connect()
        for path in ("/1", "/2", "/3"):
            assert client.ask(get(path)).content == path.encode()
        greenlet = site.greenlets[0]
        assert isinstance(greenlet, gevent.Greenlet)
        assert isinstance(greenlet, LentGreenlet)
        assert isinstance(greenlet.minimal_ident, int)
        assert "waiting" in repr(greenlet)
        assert set(site.greenlets) == {greenlet}
        assert any(repr(greenlet)[1:-1].split(" at ")[0] in line for line in gevent.util.format_run_info())


def test_fresh_greenlets_are_new_for_each_request() -> None:
    local = gevent.local.local()
    found: list[Any] = []

    def action(greenlet: Any) -> None:
        found.append(getattr(local, "left", "nothing"))
        local.left = "something"

    site = Site(action)
    with serving(site, fresh_greenlets=True) as served:
        client = served.connect()
        for _ in range(3):
            assert client.ask(get("/act")).content == b"/act"
        assert served.ask(get("/act")).content == b"/act"
        assert len(set(site.greenlets)) == 4
        wait_until(lambda: all(greenlet.dead for greenlet in site.greenlets), "the end of all of them")
    assert found == ["nothing"] * 4


def fill(served: Serving, gate: Gate, count: int) -> None:
    """Have `count` requests served at the same time, and then none."""
    clients = [served.connect() for _ in range(count)]
    paths = [f"/{number}" for number in range(count)]
    for client, path in zip(clients, paths, strict=True):
        client.send(get(path))
    gate.wait_for(*paths)
    for client, path in zip(clients, paths, strict=True):
        gate.let_go(path)
        client.read()
        client.close()


def test_no_more_greenlets_are_kept_than_allowed() -> None:
    gate = Gate()
    with serving(gate, spare_greenlets=2) as served:
        fill(served, gate, 5)
        wait_until(lambda: len(served.server.lender.greenlets) == 2, "two greenlets being left")
        assert len(served.server.lender.spare) == 2


def test_greenlets_that_are_not_needed_end() -> None:
    gate = Gate()
    with serving(gate) as served:
        fill(served, gate, 5)
        lender = served.server.lender
        greenlets = list(lender.greenlets)
        assert len(lender.spare) == len(greenlets) == 5
        for _ in range(10):
            served.server.sweeper.sweep()
        assert lender.spare == []
        wait_until(lambda: all(greenlet.dead for greenlet in greenlets), "the end of all of them")
        fill(served, gate, 1)


def test_a_stopped_server_leaves_no_greenlet_behind() -> None:
    gate = Gate()
    with serving(gate) as served:
        fill(served, gate, 3)
        greenlets = list(served.server.lender.greenlets)
    wait_until(lambda: all(greenlet.dead for greenlet in greenlets), "the end of all of them")


# -- links


@pytest.mark.parametrize("name", ["link", "rawlink", "link_value"])
def test_a_link_to_a_request_s_greenlet_fires_when_the_request_is_over(name: str) -> None:
    fired: list[Any] = []
    site = Site(lambda greenlet: getattr(greenlet, name)(fired.append))
    with serving(site) as served:
        client = served.connect()
        client.ask(get("/act"))
        wait_until(lambda: fired == [site.greenlets[0]], "the link")
        expect_answers(served, client)
    assert len(fired) == 1


def test_who_joins_a_request_s_greenlet_waits_for_the_request_only() -> None:
    gate = Gate()
    with serving(gate) as served:
        client = served.connect()
        client.send(get("/"))
        gate.wait_for("/")
        (greenlet,) = served.server.lender.greenlets
        joining = gevent.spawn(greenlet.join)
        turn_hub()
        assert not joining.dead
        gate.let_go("/")
        client.read()
        joining.get(timeout=LIMIT)


# -- fairness


def test_a_long_stream_to_a_fast_client_leaves_others_their_turn() -> None:
    ends: list[str] = []
    other: list[Client] = []

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/long":
            other[0].send(get("/short"))
            # All of it fits into the kernel's buffers: nothing but fairness makes it wait.
            for _ in range(100_000):
                yield b"x"
                if ends:
                    break
        ends.append(environ["PATH_INFO"])

    with serving(application) as served:
        other.append(served.connect())
        client = served.connect()
        client.send(get("/long"))
        assert other[0].read().status == 200
        assert client.read().content.strip(b"x") == b""
    assert ends == ["/short", "/long"]


def test_much_written_to_a_fast_client_leaves_others_their_turn() -> None:
    ends: list[str] = []
    other: list[Client] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/long":
            other[0].send(get("/short"))
            for _ in range(100_000):
                write(b"x")
                if ends:
                    break
        ends.append(environ["PATH_INFO"])
        return []

    with serving(application) as served:
        other.append(served.connect())
        client = served.connect()
        client.send(get("/long"))
        assert other[0].read().status == 200
        assert client.read().content.strip(b"x") == b""
    assert ends == ["/short", "/long"]


def test_an_application_that_waits_holds_up_nobody() -> None:
    go_on = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/wait":
            assert go_on.wait(LIMIT)
        start_response("200 OK", [])
        return [b"answer"]

    with serving(application) as served:
        waiting = served.connect()
        waiting.send(get("/wait"))
        assert served.ask(get("/")).content == b"answer"
        waiting.expect_no_answer_yet()
        go_on.set()
        assert waiting.read().content == b"answer"

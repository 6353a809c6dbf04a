"""The end of the command's stop: what is not done in time is ended, and gets a moment to see to that."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenserve.process import serving as process
from tests.functional.client import LIMIT, get
from tests.functional.draining import LONG
from tests.functional.serving import serving, turn_hub, wait_until


class Tidying:
    """An application that waits for ever, and when it is ended waits for `allowed` before it ends."""

    def __init__(self) -> None:
        self.begun, self.told, self.allowed = Event(), Event(), Event()

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.begun.set()
        try:
            gevent.sleep(LONG)
        except gevent.GreenletExit:
            self.told.set()
            assert self.allowed.wait(LIMIT)
            raise
        return []


BOUNDS = pytest.mark.parametrize("bound", [0, 10], ids=["unbounded", "bounded"])


@BOUNDS
def test_what_was_ended_gets_time_to_end(monkeypatch: pytest.MonkeyPatch, bound: int) -> None:
    monkeypatch.setattr(process, "KILL_GRACE", LONG)
    application = Tidying()
    with serving(application, worker_connections=bound) as served:
        client = served.connect()
        client.send(get("/path"))
        assert application.begun.wait(LIMIT)
        stopping = gevent.spawn(process.stop, served.server, 0.01)
        assert application.told.wait(LIMIT)
        wait_until(
            lambda: served.log.matching("not done in time and ended: GET '/path' from"), "the log line"
        )
        turn_hub()
        client.expect_no_answer_yet()
        assert not stopping.ready()
        application.allowed.set()
        assert client.read().status == 500
        client.close()
        stopping.get(timeout=LIMIT)
        assert not served.server.connections


@BOUNDS
def test_what_does_not_end_is_left_behind(monkeypatch: pytest.MonkeyPatch, bound: int) -> None:
    monkeypatch.setattr(process, "KILL_GRACE", 0.01)
    application = Tidying()
    with serving(application, worker_connections=bound) as served:
        client = served.connect()
        client.send(get())
        assert application.begun.wait(LIMIT)
        gevent.spawn(process.stop, served.server, 0.01).get(timeout=LIMIT)
        assert application.told.is_set()
        client.expect_no_answer_yet()
        application.allowed.set()
        assert client.read().status == 500

"""accept(2) that fails: the server says so, waits a little longer each time, and goes on."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

import pytest

from greenserve.server.acceptor import SHORTEST_DELAY
from tests.functional.client import get
from tests.functional.serving import Serving, serving, show_path, wait_until


class FailingListener:
    """A listener whose next accepts fail: with the errors of `failures`, one after the other."""

    def __init__(self, listener: Any, failures: list[int]) -> None:
        self._listener = listener
        self.failures = failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def _accept(self) -> Any:
        if self.failures:
            number = self.failures.pop(0)
            raise OSError(number, os.strerror(number))
        return self._listener._accept()


def let_fail(served: Serving, *failures: int) -> FailingListener:
    """Have the next accepts of the server fail."""
    [acceptor] = served.server.acceptors
    acceptor.listener = FailingListener(acceptor.listener, list(failures))
    return acceptor.listener


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a_shortage_is_waited_out_and_nobody_is_lost(number: int) -> None:
    with serving(show_path) as served:
        before = served.connect()
        assert before.ask(get("/before")).content == b"/before"
        listener = let_fail(served, number, number, number)
        clients = [served.connect() for _ in range(3)]
        for client in clients:
            client.send(get("/new"))
        wait_until(lambda: served.log.lines)
        assert before.ask(get("/meanwhile")).content == b"/meanwhile"
        assert [client.read().content for client in clients] == [b"/new"] * 3
        assert not listener.failures
        delays = [float(re.search(r"again in (\S+) s", line)[1]) for line in served.log.lines]  # type: ignore[index]
        assert delays == [SHORTEST_DELAY, 2 * SHORTEST_DELAY, 4 * SHORTEST_DELAY]
        assert all(os.strerror(number) in line for line in served.log.lines)


def test_after_a_success_the_waiting_begins_short_again() -> None:
    with serving(show_path) as served:
        let_fail(served, errno.EMFILE, errno.EMFILE)
        assert served.ask(get()).content == b"/"
        [acceptor] = served.server.acceptors
        acceptor.listener.failures.append(errno.EMFILE)
        assert served.ask(get()).content == b"/"
        assert [f"in {SHORTEST_DELAY:g} s" in line for line in served.log.lines] == [True, False, True]


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EINTR, errno.EPROTO])
def test_a_newcomer_that_is_gone_already_is_passed_over_at_once(number: int) -> None:
    with serving(show_path) as served:
        let_fail(served, *[number] * 5)
        assert served.ask(get()).content == b"/"
        assert not served.log.lines


def test_a_shortage_does_not_keep_the_server_from_stopping() -> None:
    with serving(show_path) as served:
        let_fail(served, *[errno.EMFILE] * 3)
        client = served.connect()
        client.send(get())
        wait_until(lambda: served.log.lines)
        client.close()


def test_a_shortage_and_a_full_pool_together_are_recovered_from() -> None:
    with serving(show_path, worker_connections=1, max_connections=1) as served:
        first = served.connect()
        assert first.ask(get()).content == b"/"
        second = served.connect()
        second.send(get("/2"))
        let_fail(served, errno.EMFILE)
        first.close()
        assert second.read().content == b"/2"

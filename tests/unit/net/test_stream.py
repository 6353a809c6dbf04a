"""The end of a stream: the order in which a watcher and its descriptor go, mostly without either of them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from greenserve.net.stream import Stream

NUMBER = 17  # of no descriptor: nothing here is opened


class Watcher:
    """Notes in `events` what becomes of a watcher."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def start(self, callback: Callable[..., Any], *arguments: Any) -> None:
        self.events.append("started")

    def stop(self) -> None:
        self.events.append("stopped")

    def close(self) -> None:
        self.events.append("watcher closed")


class Socket:
    """Notes when its descriptor is free for another owner."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def fileno(self) -> int:
        return NUMBER

    def close(self) -> None:
        self.events.append("descriptor closed")


class Hub:
    """A hub and its loop, whose watchers and callbacks do nothing."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.loop = self
        self.callbacks: list[Any] = []

    def io(self, fileno: int, kind: int) -> Watcher:
        assert fileno == NUMBER
        return Watcher(self.events)

    def run_callback(self, *callback: Any) -> None:
        self.callbacks.append(callback)


class Silent(Stream):
    def on_readable(self) -> bool:
        return False


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def stream(events: list[str]) -> Stream:
    return Silent(Socket(events), Hub(events))


END = ["stopped", "watcher closed", "descriptor closed"]


def test_the_watcher_is_stopped_and_closed_before_the_descriptor(stream: Stream, events: list[str]) -> None:
    stream.watch()
    stream.close_socket()
    assert events == ["started", *END]
    assert not stream.watching


def test_a_watcher_that_was_stopped_is_closed_first_too(stream: Stream, events: list[str]) -> None:
    stream.watch()
    stream.unwatch()
    stream.unwatch()  # nothing is to be stopped any more
    assert events == ["started", "stopped"]
    stream.close_socket()
    assert events == ["started", "stopped", *END]


def test_a_watcher_that_was_never_needed_was_never_made(stream: Stream, events: list[str]) -> None:
    stream.unwatch()
    stream.close_socket()
    assert events == ["descriptor closed"]


def test_the_end_comes_once(stream: Stream, events: list[str]) -> None:
    stream.watch()
    stream.close_socket()
    stream.close_socket()  # the number may be somebody else's by now
    assert events == ["started", *END]


def test_what_has_arrived_is_seen_and_stays_where_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Silent(ours, Hub([]))
        assert not stream.has_arrived()
        theirs.sendall(b"octets")
        assert stream.has_arrived()
        assert stream.recv_now() == b"octets"
        assert not stream.has_arrived()
    assert not stream.has_arrived()  # it is closed


def test_nobody_is_called_where_nobody_waits(stream: Stream) -> None:
    stream.close_socket()
    assert stream.hub.callbacks == []

"""What a supervisor is told at each turn of a service's life: a real datagram socket, a made-up clock."""

from __future__ import annotations

import os
import socket
from contextlib import closing, suppress

import pytest

from greenserve.process.supervisor import SPARE, Supervisor

INTERVAL = 10.0


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Return a function that returns the messages since it was called last; each was sent before that."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind(path)
        sock.setblocking(False)

        def told():
            messages = []
            with suppress(BlockingIOError):
                while True:
                    messages.append(sock.recv(1000).decode())
            return messages

        yield told


@pytest.fixture
def supervisor(told, monkeypatch):
    """Return one that wants a sign of life each `INTERVAL` seconds."""
    monkeypatch.setenv("WATCHDOG_USEC", str(int(2 * INTERVAL * 1_000_000)))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    return Supervisor()


def microseconds(seconds):
    return int(seconds * 1_000_000)


# -- start, reload, stop


def test_a_start_gets_the_time_that_it_may_take_and_some_more(supervisor, told):
    supervisor.note_start(30.0)
    assert told() == [f"EXTEND_TIMEOUT_USEC={microseconds(30 + SPARE)}"]
    assert SPARE > 0


def test_a_start_without_a_bound_asks_for_nothing(supervisor, told):
    supervisor.note_start(0.0)
    assert told() == []


def test_a_service_that_is_ready_says_who_it_is(supervisor, told):
    supervisor.note_ready("2 workers", 0.0)
    assert told() == [f"READY=1\nMAINPID={os.getpid()}\nSTATUS=2 workers"]


def test_a_reload_has_one_end(supervisor, told):
    supervisor.note_reload()
    (begun,) = told()
    assert begun.startswith("RELOADING=1\nMONOTONIC_USEC=") and begun.endswith("\nSTATUS=reloading")
    supervisor.note_reloaded("2 workers")
    assert told() == ["READY=1\nSTATUS=2 workers"]
    supervisor.note_reloaded("2 workers")
    assert told() == []


def test_where_nothing_is_reloaded_no_end_of_it_is_told(supervisor, told):
    supervisor.note_reloaded("2 workers")
    assert told() == []


def test_a_stop_gets_the_time_of_its_requests_and_of_its_delay(supervisor, told):
    supervisor.note_stop(delay=2.0, graceful=30.0)
    assert told() == ["STOPPING=1\nSTATUS=stopping", f"EXTEND_TIMEOUT_USEC={microseconds(32 + SPARE)}"]
    supervisor.note_stop(graceful=30.0)
    assert told()[1:] == [f"EXTEND_TIMEOUT_USEC={microseconds(30 + SPARE)}"]


@pytest.mark.parametrize("bounds", [{}, {"delay": 2.0}, {"delay": 2.0, "graceful": 0.0}])
def test_a_stop_without_a_bound_asks_for_nothing(bounds, supervisor, told):
    supervisor.note_stop(**bounds)
    assert told() == ["STOPPING=1\nSTATUS=stopping"]


def test_a_successor_is_the_service_from_now_on(supervisor, told):
    supervisor.note_successor(77)
    assert told() == ["MAINPID=77"]


def test_a_successor_ends_the_reload_that_led_to_it(supervisor, told):
    supervisor.note_reload()
    told()
    supervisor.note_successor(77)
    assert told() == ["READY=1\nSTATUS=a new master serves", "MAINPID=77"]
    supervisor.note_reloaded("2 workers")
    assert told() == []


# -- signs of life


def test_before_it_is_ready_a_service_gives_no_sign(supervisor, told):
    supervisor.beat(1e9, True)
    assert told() == []


def test_the_first_sign_is_due_at_once_and_each_other_after_the_interval(supervisor, told):
    supervisor.note_ready("ready", 100.0)
    told()
    assert supervisor.beat_at == 100.0
    supervisor.beat(99.9, True)
    assert told() == []
    supervisor.beat(100.0, True)
    assert told() == ["WATCHDOG=1"]
    assert supervisor.beat_at == 100.0 + INTERVAL
    supervisor.beat(100.0 + INTERVAL - 0.1, True)
    assert told() == []
    supervisor.beat(103.0 + INTERVAL, True)
    assert told() == ["WATCHDOG=1"]
    assert supervisor.beat_at == 103.0 + 2 * INTERVAL


def test_what_does_not_turn_gives_no_sign_until_it_does(supervisor, told):
    supervisor.note_ready("ready", 100.0)
    told()
    supervisor.beat(100.0, False)
    assert told() == []
    assert supervisor.beat_at == 100.0 + INTERVAL, "a timer that is due already would spin"
    supervisor.beat(100.0 + INTERVAL, True)
    assert told() == ["WATCHDOG=1"]


def test_where_nobody_wants_a_sign_none_is_ever_due(told, monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    supervisor = Supervisor()
    supervisor.note_ready("ready", 100.0)
    told()
    assert supervisor.beat_at == float("inf")
    supervisor.beat(1e9, True)
    supervisor.beat(float("inf"), True)
    assert told() == []

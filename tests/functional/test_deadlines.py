"""Time limits: each phase of a connection has its own, what happens past it, and what does not.

Limits are short, and what they lead to is waited for.  That something does not happen is shown by
another connection whose limit has passed meanwhile.
"""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from tests.functional.client import get, post
from tests.functional.deadlines import SHORT, drip, expire, for_ever, only
from tests.functional.serving import Gate, Recorder, Serving, echo, serving, show_path, turn_hub, wait_until

BODY = get("/body", "Content-Length: 10", method="POST")


def test_a_connection_without_a_byte_is_closed_silently() -> None:
    with serving(show_path, **only(first_byte_timeout=SHORT)) as served:
        client = served.connect()
        client.expect_end()
        wait_until(lambda: not served.server.connections)
        assert not served.log.lines


@pytest.mark.parametrize("part", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r"])
def test_a_part_of_a_head_is_answered_with_408(part: bytes) -> None:
    recorder = Recorder()
    with serving(recorder, **only(head_timeout=SHORT, linger_timeout=1)) as served:
        client = served.connect()
        answer = client.ask(part)
        assert (answer.status, answer.closes) == (408, True)
        client.expect_end()
        assert len(served.log.matching("408 Request Timeout from")) == 1
    assert not recorder.environs


def test_a_head_that_comes_octet_by_octet_has_one_deadline_for_all_of_it() -> None:
    settings = only(head_timeout=2 * SHORT, linger_timeout=1)
    with serving(
        show_path, limit_request_field_size=1 << 30, limit_request_head=1 << 30, **settings
    ) as served:
        client = served.connect()
        client.send(b"GET / HTTP/1.1\r\nName: ")
        wait_until(lambda: served.knows(client))
        drip(served, client, for_ever(b"x"))
        assert client.read().status == 408
        client.expect_end()


def test_a_head_that_comes_field_by_field_has_one_deadline_for_all_of_it() -> None:
    settings = only(head_timeout=2 * SHORT, linger_timeout=1)
    settings |= {"limit_request_fields": 1 << 30, "limit_request_head": 1 << 30}
    with serving(show_path, **settings) as served:
        client = served.connect()
        client.send(b"GET / HTTP/1.1\r\n")
        wait_until(lambda: served.knows(client))
        drip(served, client, for_ever(b"A: b\r\n"))
        assert client.read().status == 408


def test_the_head_behind_a_response_has_a_deadline_too() -> None:
    with serving(show_path, **only(head_timeout=SHORT)) as served:
        client = served.connect()
        assert client.ask(get("/1"), b"GET /2 HT").content == b"/1"
        assert client.read().status == 408
        client = served.connect()
        assert client.ask(get("/1")).content == b"/1"
        assert client.ask(b"GET /2 HT").status == 408


def test_an_idle_connection_is_ended_without_an_answer_that_nobody_asked_for() -> None:
    with serving(show_path, **only(keepalive_timeout=SHORT, linger_timeout=1)) as served:
        client = served.connect()
        assert client.ask(get("/1")).content == b"/1"
        client.expect_end()
        client.close()
        wait_until(lambda: not served.server.connections)
        assert not served.log.lines


def test_every_response_starts_the_idle_time_anew() -> None:
    with serving(show_path, **only(keepalive_timeout=3 * SHORT)) as served:
        idle, busy = served.connect(), served.connect()
        assert idle.ask(get()).status == 200
        ended = gevent.spawn(idle.expect_end)
        while not ended.ready():
            assert not busy.ask(get()).closes
            gevent.idle()
        ended.get()
        assert busy.ask(get("/last")).content == b"/last"


# Independent of each other.


def pass_the_limit(served: Serving, limit: str) -> None:
    """Have the limit pass for a connection of its own."""
    client = served.connect()
    if limit == "first_byte_timeout":
        client.expect_end()
    elif limit == "head_timeout":
        assert client.ask(b"GET / HT").status == 408
    elif limit == "keepalive_timeout":
        assert client.ask(get("/short")).status == 200
        client.expect_end()
    elif limit == "body_timeout":
        assert client.ask(BODY).status == 408
    client.close()


LIMITS = ["first_byte_timeout", "head_timeout", "keepalive_timeout", "body_timeout"]


@pytest.mark.parametrize("limit", LIMITS)
def test_no_limit_ends_another_phase(limit: str) -> None:
    gate = Gate()

    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/held":
            gate(environ, lambda status, fields: None)
        return echo(environ, start_response)

    with serving(application, **only(**{limit: SHORT})) as served:
        new, partial, idle, body, held = (served.connect() for _ in range(5))
        if limit != "head_timeout":
            partial.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Le")
        if limit != "keepalive_timeout":
            assert idle.ask(get()).status == 200
        if limit != "body_timeout":
            body.send(BODY, b"123")
        held.send(get("/held"))
        gate.wait_for("/held")

        for _ in range(2):
            pass_the_limit(served, limit)
        gate.let_go("/held")
        assert held.read().status == 200
        if limit != "head_timeout":
            assert partial.ask(b"ngth: 2\r\n\r\nok").content == b"ok"
        if limit != "keepalive_timeout":
            assert idle.ask(post(b"again")).content == b"again"
        if limit != "body_timeout":
            assert body.ask(b"4567890").content == b"1234567890"
        if limit != "first_byte_timeout":
            assert new.ask(post(b"first")).content == b"first"


# The last moment.


def test_a_request_that_arrives_at_the_last_moment_is_served() -> None:
    with serving(show_path) as served:
        client = served.connect()
        assert client.ask(get("/1")).content == b"/1"
        client.send(get("/2"))
        expire(served, client)
        assert client.read().content == b"/2"
        assert client.ask(get("/3")).content == b"/3"


def test_a_first_request_that_arrives_at_the_last_moment_is_served() -> None:
    with serving(show_path) as served:
        client = served.connect()
        wait_until(lambda: served.knows(client))
        turn_hub()
        client.send(get("/1"))
        expire(served, client)
        assert client.read().content == b"/1"
        assert client.ask(get("/2")).content == b"/2"


def test_the_rest_of_a_head_that_arrives_at_the_last_moment_is_served() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(b"GET /1 HTTP/1.1\r\n")
        wait_until(lambda: served.connection_of(client).state.value == "head")
        client.send(b"Host: a\r\n\r\n")
        expire(served, client)
        assert client.read().content == b"/1"


@pytest.mark.parametrize("answered", [0, 1])
def test_a_request_that_begins_at_the_last_moment_gets_its_time(answered: int) -> None:
    with serving(show_path) as served:
        client = served.connect()
        for _ in range(answered):
            assert client.ask(get("/1")).content == b"/1"
        wait_until(lambda: served.knows(client))
        turn_hub()
        client.send(b"GET /2 HT")
        expire(served, client)
        turn_hub()
        assert client.ask(b"TP/1.1\r\nHost: a\r\n\r\n").content == b"/2"


@pytest.mark.parametrize("octets", [b"\r", b"\r\n"])
def test_an_empty_line_behind_a_request_gets_no_answer_of_its_own(octets: bytes) -> None:
    """Some clients send one behind their content: a proxy would take a 408 for its next answer."""
    with serving(show_path, **only(head_timeout=SHORT, keepalive_timeout=3 * SHORT)) as served:
        client = served.connect()
        assert client.ask(get("/1")).content == b"/1"
        client.send(octets)
        client.expect_end()


def test_an_empty_line_is_no_part_of_what_a_stop_waits_for() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(b"\r\n")
        wait_until(lambda: served.knows(client) and served.connection_of(client).buffer == b"\r\n")
        stopping = gevent.spawn(served.server.stop, 30)
        client.expect_end()
        assert stopping.get(timeout=30) is True


def test_an_empty_line_in_the_same_packet_changes_nothing_about_being_idle() -> None:
    with serving(show_path, **only(keepalive_timeout=SHORT)) as served:
        client = served.connect()
        assert client.ask(get("/1") + b"\r\n").content == b"/1"
        client.expect_end()

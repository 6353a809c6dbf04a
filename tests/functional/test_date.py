"""Date is the second in which a response is sent (RFC 9110, 6.6.1), and rendered once in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from greenserve.wsgi import response as response_module
from greenserve.wsgi.response import DefaultFields, Response
from tests.functional.client import get, post
from tests.functional.serving import Application, serving

#: The example of RFC 9110, 5.6.7: Sun, 06 Nov 1994 08:49:37 GMT.
SECOND = 784111777
DATES = [f"Sun, 06 Nov 1994 08:49:{37 + passed} GMT" for passed in range(3)]


class Clock:
    """The time of day; it stands still unless it is set."""

    now = float(SECOND)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


# -- rendering


@pytest.mark.parametrize("part", [0.0, 0.25, 0.999])
def test_what_is_rendered_holds_to_the_end_of_its_second(part: float) -> None:
    fields = DefaultFields("name")
    fields.render(SECOND + part)
    assert fields.date == f"Date: {DATES[0]}\r\n".encode()
    assert fields.end == fields.date + b"Server: name\r\n\r\n"
    assert fields.expires == SECOND + 1


def test_an_answer_that_closes_says_so_in_the_same_second() -> None:
    fields = DefaultFields("name")
    fields.closing.render(SECOND + 0.5)
    assert fields.closing.end == f"Date: {DATES[0]}\r\nServer: name\r\nConnection: close\r\n\r\n".encode()
    assert (fields.settles, fields.closing.settles) == (True, False)


def test_both_are_rendered_anew_when_the_clock_is_set_back(clock: Clock) -> None:
    fields = DefaultFields("name")
    for each in (fields, fields.closing):
        each.render(clock.now)
    clock.now -= 2
    fields.look_at_clock()
    assert (fields.expires, fields.closing.expires) == (0, 0)


def test_before_the_first_rendering_nothing_holds() -> None:
    assert DefaultFields("name").expires <= 0


class Sink:
    """Takes what a response sends."""

    def __init__(self) -> None:
        self.octets = b""

    def send_all(self, data: bytes) -> None:
        self.octets += data

    def give_turn(self) -> None: ...


def send(fields: DefaultFields, content: Any) -> bytes:
    """Return the octets of a response with `content`."""
    sink = Sink()
    response = Response(sink, fields)  # type: ignore[arg-type]  # as much of one as is needed here
    response.start_response("200 OK", [("Content-Length", "7")])
    response.send_iterable(content)
    return sink.octets


@pytest.mark.parametrize("kind", [list, tuple, iter])
@pytest.mark.parametrize("blocks", [[b"content"], [b"con", b"tent"]], ids=len)
def test_a_response_renders_what_has_expired(clock: Clock, kind: Any, blocks: list[bytes]) -> None:
    fields = DefaultFields("")
    fields.render(clock.now)
    clock.now = fields.expires
    assert f"\r\nDate: {DATES[1]}\r\n".encode() in send(fields, kind(blocks))
    assert fields.expires == SECOND + 2


# -- a server


def one_block(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "7")])
    return [b"content"]


def one_block_of_unknown_length(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"content"]


def chunks(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield from (b"con", b"tent")


def named(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "7"), ("Server", "the application's")])
    return [b"content"]


@pytest.mark.parametrize("application", [one_block, one_block_of_unknown_length, chunks, named])
@pytest.mark.parametrize(
    "request_", [get(), post(b"content"), get("/", "Connection: close")], ids=["get", "post", "close"]
)
def test_the_date_is_that_of_the_second_on_old_and_new_connections(
    clock: Clock, application: Application, request_: bytes
) -> None:
    with serving(application) as served:
        kept = served.connect()
        for passed, date in [(0.0, 0), (0.999, 0), (1.0, 1), (1.5, 1), (2.0, 2)]:
            clock.now = SECOND + passed
            assert kept.ask(get())["Date"] == DATES[date]
            answer = served.ask(request_)
            assert (answer["Date"], answer.content) == (DATES[date], b"content")


def test_the_server_s_own_answers_have_the_date_of_the_second(clock: Clock) -> None:
    with serving(one_block) as served:
        for passed in range(3):
            clock.now = SECOND + passed + 0.5
            assert served.ask(b"nonsense\r\n\r\n")["Date"] == DATES[passed]


def test_the_application_s_own_date_is_the_only_one(clock: Clock) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "7"), ("Date", DATES[0])])
        return [b"content"]

    with serving(application) as served:
        clock.now = SECOND + 2
        assert served.ask(get())["Date"] == DATES[0]


def test_the_date_is_rendered_once_in_a_second(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[float] = []
    format_date = response_module.format_date

    def counted(seconds: float) -> str:
        rendered.append(seconds)
        return format_date(seconds)

    monkeypatch.setattr(response_module, "format_date", counted)
    with serving(one_block) as served:
        client = served.connect()
        for part in (0.0, 0.5, 0.9, 1.0, 1.9):
            clock.now = SECOND + part
            client.ask(get())
    assert [int(seconds) for seconds in rendered] == [SECOND, SECOND + 1]


def test_a_clock_that_is_set_back_is_noticed_by_the_next_sweep(clock: Clock) -> None:
    with serving(one_block) as served:
        clock.now = SECOND + 2
        assert served.ask(get())["Date"] == DATES[2]
        clock.now = SECOND + 0.5
        served.server.sweeper.sweep()
        assert served.ask(get())["Date"] == DATES[0]

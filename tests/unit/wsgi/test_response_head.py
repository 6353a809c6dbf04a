"""What the server adds to a response's head: Date, Server, Connection; and whether the connection is kept."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest

from greenserve.wsgi.response import DefaultFields, format_date
from tests.unit.wsgi.sinks import Content, MemorySink, answer, build_response, finish, sink_of

every_kind = pytest.mark.parametrize("kind", [list, tuple, iter])

# -- what the server adds


@every_kind
@pytest.mark.parametrize("fields", [[], [("Content-Length", "2")]], ids=["", "length"])
@pytest.mark.parametrize("asked", [{}, {"method": "HEAD"}, {"status": "204 No Content"}], ids=str)
def test_date_and_server_are_added(asked: dict[str, Any], fields: Any, kind: Any) -> None:
    before = int(time.time())
    found, _ = answer(kind([b"hi"]), *fields, server="name", **asked)
    assert found.added["Server"] == "name"
    dates = [format_date(second) for second in range(before, int(time.time()) + 1)]
    assert found.added["Date"] in dates


@every_kind
def test_without_a_name_there_is_no_server_field(kind: Any) -> None:
    found, _ = answer(kind([b"hi"]), ("Content-Length", "2"))
    assert "Server" not in found.fields and "Date" in found.fields


@every_kind
@pytest.mark.parametrize("length", [[], [("Content-Length", "2")]], ids=["", "length"])
@pytest.mark.parametrize(
    "own", [[("Date", "mine")], [("server", "mine")], [("SERVER", "mine"), ("date", "mine")]], ids=repr
)
def test_what_the_application_gives_itself_is_not_added(own: Any, length: Any, kind: Any) -> None:
    found, _ = answer(kind([b"hi"]), *own, *length, server="name")
    names = [name.lower() for name in (*dict(found.own), *found.added)]
    assert names.count("date") == names.count("server") == 1
    assert [field for field in found.own if field not in length] == own


@pytest.mark.parametrize(
    "seconds", [0, 1, 951782400, 1_000_000_000.999, 1078012799, 1735689600, 2**31, 253402300799]
)
def test_the_format_of_a_date(seconds: float) -> None:
    assert format_date(seconds) == email.utils.formatdate(int(seconds), usegmt=True)


@pytest.mark.parametrize("month", range(1, 13))
def test_the_format_of_every_month_and_day(month: int) -> None:
    for day in range(1, 8):
        seconds = email.utils.mktime_tz((2024, month, day, 4, 5, 6, 0, 0, 0, 0))
        assert format_date(seconds) == email.utils.formatdate(seconds, usegmt=True)


@pytest.mark.parametrize("fields", [[], [("Content-Length", "2")]], ids=["", "length"])
def test_the_date_is_rendered_once_a_second(fields: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[float] = []

    class Counted(DefaultFields):
        def render(self, now: float) -> None:
            rendered.append(now)
            super().render(now)

    defaults = Counted("name")
    for now in (1000.5, 1000.999, 1001.0, 1001.999, 1007.25):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        response = build_response()
        response.defaults = defaults
        found, _ = answer([b"hi"], *fields, response=response)
        assert (found.added["Date"], found.added["Server"]) == (format_date(now), "name")
    assert rendered == [1000.5, 1001.0, 1007.25]


def test_a_clock_that_is_set_back_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = DefaultFields("")
    for now, date in ((2000.5, 2000), (1999.5, 1999), (1000.0, 1000), (1001.5, 1001)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        defaults.look_at_clock()
        response = build_response()
        response.defaults = defaults
        found, _ = answer([b"hi"], response=response)
        assert found.added["Date"] == format_date(date)


def test_looking_at_the_clock_renders_nothing_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = DefaultFields("")
    defaults.render(2000.5)
    for now in (2000.0, 2000.5, 2000.999):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        defaults.look_at_clock()
        assert defaults.expires == 2001.0


# -- whether the connection may be kept


@every_kind
@pytest.mark.parametrize("length", [[], [("Content-Length", "2")]], ids=["", "length"])
@pytest.mark.parametrize(
    ("http_minor", "persistent", "option"),
    [(1, True, None), (1, False, "close"), (0, True, "keep-alive"), (0, False, "close")],
)
def test_what_the_client_asks_for_is_granted_and_said(
    http_minor: int, persistent: bool, option: str | None, length: Any, kind: Any
) -> None:
    found, response = answer(kind([b"hi"]), *length, http_minor=http_minor, persistent=persistent)
    by_close = not http_minor and kind is iter and not length
    assert response.persistent is (persistent and not by_close)
    assert found.fields.get("Connection") == ("close" if by_close else option)


@every_kind
@pytest.mark.parametrize("length", [[], [("Content-Length", "2")]], ids=["", "length"])
@pytest.mark.parametrize(
    "asked", [{}, {"http_minor": 0}, {"method": "HEAD"}, {"status": "304 Not Modified"}], ids=str
)
def test_close_of_the_application_is_obeyed(asked: Any, length: Any, kind: Any) -> None:
    found, response = answer(kind([]), ("Connection", "x, Close"), *length, **asked)
    assert (response.persistent, response.settled, found.fields["Connection"]) == (False, False, "close")


@every_kind
@pytest.mark.parametrize("name", ["Connection", "Keep-Alive", "Transfer-Encoding", "Trailer", "TE"])
def test_hop_by_hop_fields_are_dropped_and_told(name: str, kind: Any) -> None:
    found, response = answer(kind([b"hi"]), (name, "keep-alive"), ("Content-Length", "2"))
    assert found.own == [("Content-Length", "2")]
    assert found.added.keys() == {"Date"}
    assert response.persistent and not response.settled
    assert response.head is not None and response.head.dropped == (name,)


@every_kind
@pytest.mark.parametrize(
    ("asked", "fields", "option"),
    [
        ({}, [], "upgrade"),
        ({}, [("Connection", "close")], "close, upgrade"),
        ({"http_minor": 0}, [], "keep-alive, upgrade"),
        ({"persistent": False}, [], "close, upgrade"),
    ],
)
def test_an_offer_to_upgrade_is_an_option_of_the_connection(
    asked: Any, fields: Any, option: str, kind: Any
) -> None:
    own = [("Upgrade", "h2c"), ("Content-Length", "2")]
    found, _ = answer(kind([b"hi"]), *own, *fields, status="426 Upgrade Required", **asked)
    assert (found.own, found.added["Connection"]) == (own, option)


@every_kind
@pytest.mark.parametrize("length", [[], [("Content-Length", "2")]], ids=["", "length"])
@pytest.mark.parametrize(
    ("content", "kept"),
    [(None, True), (Content(), True), (Content(closes=True), False)],
    ids=["none", "whole", "lost"],
)
def test_content_that_was_lost_ends_the_connection(content: Any, kept: bool, length: Any, kind: Any) -> None:
    found, response = answer(kind([b"hi"]), *length, content=content)
    assert response.persistent is kept
    assert found.fields.get("Connection") == (None if kept else "close")


@every_kind
def test_what_is_left_unread_counts_once_the_application_has_returned(kind: Any) -> None:
    """One that still makes its answer may go on reading."""
    found, response = answer(kind([b"hi"]), content=Content(closes="last"))
    assert response.persistent is (kind is iter)
    response = build_response(content=Content(closes="last"))
    response.start_response("200 OK", [])(b"written")
    finish(response, kind([b"hi"]))
    assert response.persistent


@every_kind
@pytest.mark.parametrize("length", [[], [("Content-Length", "2")]], ids=["", "length"])
@pytest.mark.parametrize(
    ("behind", "asked", "kept"),
    [
        (False, {}, False),
        (True, {}, True),
        (True, {"persistent": False}, False),
        (True, {"content": Content()}, True),
        (False, {"content": Content()}, False),
    ],
)
def test_a_server_that_stops_keeps_a_connection_for_what_has_come_already(
    behind: bool, asked: Any, kept: bool, length: Any, kind: Any
) -> None:
    sink = MemorySink(behind=behind)
    found, response = answer(kind([b"hi"]), *length, sink=sink, stopping=True, **asked)
    assert (response.persistent, found.fields.get("Connection")) == (kept, None if kept else "close")
    assert kept or not response.settled
    assert sink.asked_behind == [asked.get("content")] * ("persistent" not in asked)


def test_a_server_that_goes_on_does_not_ask_what_has_come() -> None:
    _, response = answer([b"hi"], content=Content())
    assert response.persistent
    assert sink_of(response).asked_behind == []


# -- nothing left to look at


def test_a_common_answer_leaves_nothing_to_look_at() -> None:
    _, response = answer([b"hello"], ("Content-Type", "text/plain"), ("Content-Length", "5"))
    assert response.settled
    assert (response.finished, response.persistent, response.complaint) == (True, True, "")


def test_a_response_that_has_not_begun() -> None:
    response = build_response()
    assert (response.method, response.http_minor, response.plain) == ("GET", 1, True)
    assert (response.status, response.fields, response.head) == ("", [], None)
    response.start_response("200 OK", [("Content-Length", "5")])
    assert (response.begun, response.finished, response.settled) == (False, False, False)
    assert (response.persistent, response.sent, response.complaint) == (True, 0, "")
    assert not response.ends_by_close

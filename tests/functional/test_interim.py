"""Interim responses: 100 (Continue) when the application first reads, 103 (Early Hints) when it asks."""

from __future__ import annotations

from typing import Any

import pytest
from gevent.event import Event

from tests.functional.client import LIMIT, chunk, get, post
from tests.functional.serving import Recorder, echo, serving, show_path, turn_hub, wait_until

EXPECTING = {
    "length": get("/", "Content-Length: 7", "Expect: 100-continue", method="POST"),
    "chunked": get("/", "Transfer-Encoding: chunked", "Expect: 100-Continue", method="POST"),
}
CONTENT = {"length": b"content", "chunked": chunk(b"cont") + chunk(b"ent") + b"0\r\n\r\n"}


@pytest.mark.parametrize("framing", EXPECTING)
def test_100_is_sent_once_and_when_the_application_first_reads(framing: str) -> None:
    reached, read = Event(), Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        reached.set()
        assert read.wait(LIMIT)
        content = (
            environ["wsgi.input"].read(4) + environ["wsgi.input"].readline() + environ["wsgi.input"].read()
        )
        start_response("200 OK", [])
        return [content]

    with serving(application) as served:
        client = served.connect()
        for _ in range(2):
            client.send(EXPECTING[framing])
            assert reached.wait(LIMIT)
            turn_hub()
            client.expect_no_answer_yet()
            read.set()
            interim = client.read_interim()
            assert (interim.status, interim.reason, interim.fields) == (100, "Continue", [])
            client.send_pieces(CONTENT[framing], 1)
            answer = client.read()
            assert (answer.content, answer.closes) == (b"content", False)
            reached.clear()
            read.clear()


@pytest.mark.parametrize("framing", EXPECTING)
@pytest.mark.parametrize("way", ["readline", "readlines", "__next__", "read"])
def test_every_way_of_reading_asks_for_the_content(way: str, framing: str) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        content = getattr(environ["wsgi.input"], way)()
        start_response("200 OK", [])
        return content if way == "readlines" else [content]

    with serving(application) as served:
        client = served.connect()
        client.send(EXPECTING[framing])
        assert client.read_interim().status == 100
        assert client.ask(CONTENT[framing]).content == b"content"


@pytest.mark.parametrize("framing", EXPECTING)
def test_100_is_never_sent_when_nothing_is_read_and_the_connection_closes(framing: str) -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(EXPECTING[framing])
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/", True)
        client.expect_end()


@pytest.mark.parametrize("framing", EXPECTING)
def test_content_that_was_not_waited_for_is_no_request_when_it_is_unread(framing: str) -> None:
    recorder = Recorder()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        recorder.environs.append(environ)
        return show_path(environ, start_response)

    with serving(application) as served:
        client = served.connect()
        client.send(EXPECTING[framing], b"GET /hid", get("/next"))
        assert client.read().content == b"/"
        client.expect_end()
    assert recorder.paths == ["/"]


@pytest.mark.parametrize("framing", EXPECTING)
def test_100_is_not_sent_behind_the_head_of_the_response(framing: str) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"begun: "
        yield environ["wsgi.input"].read()

    with serving(application) as served:
        client = served.connect()
        client.send(EXPECTING[framing])
        assert client.read_head()[0] == 200
        assert client.read_chunk() == b"begun: "
        client.send(CONTENT[framing])
        assert client.read_chunk() == b"content"
        assert client.read_chunk() == b""


def test_an_expectation_of_http_1_0_is_ignored() -> None:
    with serving(echo) as served:
        client = served.connect()
        client.send(post(b"content", "Expect: 100-continue", version="1.0"))
        assert client.read().content == b"content"
        client.expect_end()
        client = served.connect()
        assert client.ask(post(b"content", "Expect: something-else", version="1.0")).content == b"content"


@pytest.mark.parametrize("lines", [["Content-Length: 0"], []], ids=["empty", "none"])
def test_nothing_is_asked_for_where_there_is_no_content(lines: list[str]) -> None:
    with serving(echo) as served:
        client = served.connect()
        for _ in range(2):
            answer = client.ask(get("/", "Expect: 100-continue", *lines, method="POST"))
            assert (answer.status, answer.closes) == (200, False)


@pytest.mark.parametrize("value", ["200-ok", "100-continue-not", "100", "meow"])
def test_an_unknown_expectation_is_refused(value: str) -> None:
    recorder = Recorder()
    with serving(recorder) as served:
        client = served.connect()
        client.send(
            get("/", f"Expect: {value}", "Content-Length: 7", method="POST"), b"content", get("/next")
        )
        answer = client.read()
        assert (answer.status, answer.closes) == (417, True)
        client.expect_end()
    assert not recorder.environs


def test_content_that_is_too_large_is_not_asked_for() -> None:
    recorder = Recorder()
    with serving(recorder, limit_request_body=6) as served:
        client = served.connect()
        assert client.ask(EXPECTING["length"]).status == 413
        client.expect_end()
    assert not recorder.environs


def test_an_error_of_the_application_before_it_reads_is_all_the_client_gets() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        raise LookupError("on purpose")

    with serving(application) as served:
        client = served.connect()
        assert client.ask(EXPECTING["length"]).status == 500
        client.expect_end()
        assert served.take_errors() == [LookupError]


# 103 (Early Hints).

LINK = ("Link", "</style.css>; rel=preload; as=style")


def test_early_hints_come_before_the_response_as_often_as_asked() -> None:
    go_on = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([LINK])
        assert go_on.wait(LIMIT)
        environ["wsgi.early_hints"]([LINK, ("Link", "</b.js>")])
        start_response("200 OK", [("X-Final", "yes")])
        environ["wsgi.early_hints"]([("Link", "</c.js>")])
        return [b"hello"]

    with serving(application) as served:
        client = served.connect()
        for _ in range(2):
            client.send(get())
            first = client.read_interim()
            assert (first.status, first.reason, first.fields) == (103, "Early Hints", [LINK])
            turn_hub()
            client.expect_no_answer_yet()
            go_on.set()
            assert client.read_interim().fields == [LINK, ("Link", "</b.js>")]
            assert client.read_interim().fields == [("Link", "</c.js>")]
            answer = client.read()
            assert (answer.content, answer["X-Final"], answer["Link"]) == (b"hello", "yes", None)
            go_on.clear()


def test_early_hints_after_the_head_change_nothing() -> None:
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        kept.append(environ["wsgi.early_hints"])
        start_response("200 OK", [])
        yield b"begun, "
        environ["wsgi.early_hints"]([LINK])
        yield b"ended"

    with serving(application) as served:
        client = served.connect()
        assert client.ask(get()).chunks == [b"begun, ", b"ended"]
        kept[0]([LINK])
        client.send(get())
        assert client.read().content == b"begun, ended"
        kept[0]([LINK])
        kept[1]([LINK])
        turn_hub()
        client.expect_no_answer_yet()


def test_http_1_0_gets_no_early_hints() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ.get("wsgi.early_hints", lambda fields: None)([LINK])
        return show_path(environ, start_response)

    with serving(application) as served:
        assert served.ask(get("/old", version="1.0")).content == b"/old"


def test_early_hints_are_no_way_around_the_checks_of_fields() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        for field in [("Link", "a\r\nX-Injected: b"), ("Li nk", "a"), ("Link", "a\0"), ("Link", "\u20ac")]:
            with pytest.raises(ValueError):
                environ["wsgi.early_hints"]([field])
        return show_path(environ, start_response)

    with serving(application) as served:
        assert served.ask(get()).content == b"/"


def test_early_hints_say_nothing_about_framing_or_the_connection() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        fields = [("Content-Length", "3"), ("Transfer-Encoding", "chunked"), ("Connection", "close"), LINK]
        environ["wsgi.early_hints"]([*fields, ("Keep-Alive", "9")])
        return show_path(environ, start_response)

    with serving(application) as served:
        client = served.connect()
        for _ in range(2):
            client.send(get())
            assert client.read_interim().fields == [LINK]
            answer = client.read()
            assert (answer.content, answer.closes) == (b"/", False)


def test_early_hints_and_100_go_together() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([LINK])
        return echo(environ, start_response)

    with serving(application) as served:
        client = served.connect()
        client.send(EXPECTING["length"])
        assert [client.read_interim().status, client.read_interim().status] == [103, 100]
        assert client.ask(CONTENT["length"]).content == b"content"


def test_a_client_that_is_gone_when_it_is_asked_to_continue_is_no_error() -> None:
    reached, read = Event(), Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        reached.set()
        assert read.wait(LIMIT)
        return echo(environ, start_response)

    with serving(application) as served:
        client = served.connect()
        client.send(EXPECTING["length"])
        assert reached.wait(LIMIT)
        client.close()
        turn_hub()
        read.set()
        wait_until(lambda: not served.server.connections)
        assert not served.log.lines

"""Persistent connections: when they persist, when they end, and that none gets out of step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional.client import get, post, post_chunked
from tests.functional.serving import (
    Recorder,
    answering,
    echo,
    serving,
    show_path,
)


def test_a_connection_persists_in_http_1_1() -> None:
    with serving(show_path) as served:
        client = served.connect()
        for path in ("/1", "/2", "/3"):
            answer = client.ask(get(path))
            assert (answer.content, answer.closes) == (path.encode(), False)
        client.expect_no_answer_yet()


def test_http_1_0_closes_by_default() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get("/1", version="1.0"), get("/2", version="1.0"))
        assert client.read().content == b"/1"
        client.expect_end()


def test_http_1_0_persists_on_request_and_is_told_so() -> None:
    with serving(show_path) as served:
        client = served.connect()
        for path in ("/1", "/2"):
            answer = client.ask(get(path, "Connection: keep-alive", version="1.0"))
            assert (answer.content, answer["Connection"]) == (path.encode(), "keep-alive")
        assert client.ask(get("/3", version="1.0")).closes
        client.expect_end()


def test_http_1_0_with_content_of_unknown_length_is_ended_by_the_close() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"one "
        yield b"two"

    with serving(application) as served:
        client = served.connect()
        client.send(get("/1", "Connection: keep-alive", version="1.0"), get("/2", version="1.0"))
        answer = client.read()
        assert (answer.content, answer.framing, answer.closes) == (b"one two", "close", True)


@pytest.mark.parametrize(
    "lines",
    [
        ["Connection: close"],
        ["Connection: Close"],
        ["connection:CLOSE"],
        ["Connection: x, close"],
        ["Connection: close, x"],
        ["Connection: ,close,"],
        ["Connection: x ,\tclose \t, y"],
        ["Connection: keep-alive, close"],
        ["Connection: close, keep-alive"],
        ["Connection: x", "Connection: close"],
        ["Connection: close", "Connection: keep-alive"],
    ],
    ids=" + ".join,
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_close_is_found_in_the_list_of_connection_options(version: str, lines: list[str]) -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get("/1", *lines, version=version), get("/2"))
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/1", True)
        client.expect_end()


@pytest.mark.parametrize(
    "lines",
    [
        ["Connection: keep-alive"],
        ["Connection:"],
        ["Connection: closed"],
        ["Connection: x-close"],
        ["Connection: close-x"],
        ['Connection: x="close"'],
        ["Connection: clo se"],
        ["Proxy-Connection: close"],
        ["Keep-Alive: close"],
    ],
    ids=" + ".join,
)
def test_what_only_looks_like_close_does_not_close(lines: list[str]) -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get("/1", *lines), get("/2"))
        assert [client.read().content, client.read().content] == [b"/1", b"/2"]


@pytest.mark.parametrize(
    ("lines", "persists"),
    [
        (["Connection: Keep-Alive"], True),
        (["Connection: x, keep-alive"], True),
        (["Connection: x", "Connection: KEEP-ALIVE"], True),
        (["Connection: x"], False),
        (["Connection: keep-alive-x"], False),
        (["Keep-Alive: 300"], False),
        (["Proxy-Connection: keep-alive"], False),
    ],
    ids=str,
)
def test_keep_alive_is_found_in_the_list_of_options_of_http_1_0(lines: list[str], persists: bool) -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get("/1", *lines, version="1.0"), get("/2", version="1.0"))
        assert client.read().content == b"/1"
        if persists:
            assert client.read().content == b"/2"
        client.expect_end()


# Offers of other protocols.

OFFERS = {
    "h2c": [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    ],
    "unknown": ["Connection: upgrade", "Upgrade: gopher/2.0"],
    "list": ["Connection: keep-alive, Upgrade", "Upgrade: h2c, websocket, foo/1"],
    "no-option": ["Upgrade: h2c"],
    "no-field": ["Connection: upgrade"],
    "tls": ["Connection: Upgrade", "Upgrade: TLS/1.0"],
}


@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_to_upgrade_never_breaks_the_connection(offer: str) -> None:
    lines = OFFERS[offer]
    with serving(echo) as served:
        client = served.connect()
        client.send(post(b"one", *lines), post_chunked([b"two"], *lines), get("/", *lines), post(b"four"))
        answers = [client.read() for _ in range(4)]
        assert [answer.content for answer in answers] == [b"one", b"two", b"", b"four"]
        assert not any(answer.closes or "upgrade" in answer.names for answer in answers)


def test_an_offer_with_close_is_answered_and_closed() -> None:
    with serving(echo) as served:
        client = served.connect()
        client.send(post(b"one", "Connection: upgrade, close", "Upgrade: h2c"), get())
        answer = client.read()
        assert (answer.content, answer.closes) == (b"one", True)
        client.expect_end()


def test_an_offer_whose_content_is_left_unread_does_not_break_the_connection() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(post(b"x" * 1000, *OFFERS["h2c"], target="/1"), get("/2"))
        assert [client.read().content, client.read().content] == [b"/1", b"/2"]


# What the application says about the connection.


@pytest.mark.parametrize("value", ["close", "Close", "x, close", "close, x"])
def test_connection_close_from_the_application_is_obeyed(value: str) -> None:
    recorder = Recorder()

    def application(environ: Any, start_response: Any) -> Any:
        return recorder(environ, lambda status, fields: start_response(status, [("Connection", value)]))

    with serving(application) as served:
        client = served.connect()
        client.send(get("/1"), get("/2"))
        answer = client.read()
        assert (answer.content, answer["Connection"]) == (b"seen", "close")
        client.expect_end()
        assert not served.log.lines
    assert recorder.paths == ["/1"]


def test_hop_by_hop_fields_from_the_application_are_dropped_and_logged_once() -> None:
    dropped = ["Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding"]
    fields = [(name, "chunked") for name in dropped]
    application = answering(b"hello", "200 OK", ("Connection", "keep-alive"), *fields, ("X-Other", "kept"))
    with serving(application) as served:
        client = served.connect()
        for _ in range(3):
            answer = client.ask(get())
            assert (answer.content, answer["X-Other"]) == (b"hello", "kept")
            assert not answer.names & {"connection", *(name.lower() for name in dropped)}
        for name in [*dropped, "Connection"]:
            assert len(served.log.matching(rf"field {name} is hop-by-hop")) == 1, name


def test_an_upgrade_field_of_the_application_goes_with_its_connection_option() -> None:
    # RFC 9110, 15.5.22 and 7.8: a 426 must have it, and no Upgrade goes without the option.
    application = answering(
        b"no", "426 Upgrade Required", ("Upgrade", "websocket"), ("Connection", "Upgrade")
    )
    with serving(application) as served:
        client = served.connect()
        for _ in range(2):
            answer = client.ask(get())
            assert (answer.status, answer["Upgrade"], answer.content) == (426, "websocket", b"no")
            assert (answer["Connection"] or "").lower() == "upgrade"


def test_a_101_ends_the_framing_of_http() -> None:
    seen: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        seen.append(environ["PATH_INFO"])
        write = start_response("101 Switching Protocols", [("Upgrade", "x/1"), ("Connection", "Upgrade")])
        write(b"raw ")
        return [b"octets"]

    with serving(application) as served:
        client = served.connect()
        client.send(get("/1", "Connection: Upgrade", "Upgrade: x/1"), get("/2"))
        answer = client.read()
        assert (answer.status, answer["Connection"], answer["Upgrade"]) == (101, "Upgrade", "x/1")
        assert not answer.names & {"content-length", "transfer-encoding"}
        assert client.read_to_end() == b"raw octets"
    assert seen == ["/1"]


def test_without_a_keepalive_timeout_nothing_persists() -> None:
    with serving(show_path, keepalive_timeout=0) as served:
        client = served.connect()
        client.send(get("/1"), get("/2"))
        answer = client.read()
        assert (answer.content, answer.closes) == (b"/1", True)
        client.expect_end()

"""Pipelined requests and half-closed clients: answered in order, nothing taken for what it is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional.client import get, post, post_chunked
from tests.functional.serving import Gate, Recorder, echo, serving, show_path, turn_hub


def test_sixteen_pipelined_requests_are_answered_in_order() -> None:
    with serving(show_path) as served:
        client = served.connect()
        paths = [f"/{number}" for number in range(16)]
        client.send(*map(get, paths[:-1]), get(paths[-1], "Connection: close"))
        assert [client.read().content.decode() for _ in paths] == paths
        client.expect_end()


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("application", [echo, show_path], ids=["read", "unread"])
def test_pipelined_requests_with_content_are_answered_in_order(application: Any, size: int) -> None:
    bodies = [b"%d: %b" % (number, b"x" * (number * 37 % 101)) for number in range(16)]
    requests = []
    for number, body in enumerate(bodies):
        if number % 3 == 0:
            requests.append(post(body, target=f"/{number}"))
        elif number % 3 == 1:
            requests.append(post_chunked([body[:5], body[5:]], target=f"/{number}"))
        else:
            requests.append(get(f"/{number}"))
            bodies[number] = b""
    with serving(application) as served:
        client = served.connect()
        client.send_pieces(b"".join(requests) + get("/last", "Connection: close"), size)
        paths = [b"/%d" % number for number in range(16)]
        expected = bodies if application is echo else paths
        assert [client.read().content for _ in requests] == expected
        assert client.read().closes
        client.expect_end()


def test_pipelined_requests_wait_for_the_one_before_them() -> None:
    gate = Gate()
    with serving(gate) as served:
        client = served.connect()
        client.send(get("/1"), get("/2"))
        gate.wait_for("/1")
        turn_hub()
        assert gate.order == ["/1"]
        client.expect_no_answer_yet()
        gate.let_go("/1")
        assert client.read().content == b"/1"
        gate.wait_for("/2")
        gate.let_go("/2")
        assert client.read().content == b"/2"


def test_responses_of_every_framing_follow_each_other() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        start_response({"/304": "304 Not Modified", "/204": "204 No Content"}.get(path, "200 OK"), [])
        return iter([b"a", b"b"]) if path == "/chunked" else [b"ab"]

    with serving(application) as served:
        client = served.connect()
        for path, framing in [
            ("/chunked", "chunked"),
            ("/304", "none"),
            ("/length", "length"),
            ("/204", "none"),
            ("/chunked", "chunked"),
        ]:
            answer = client.ask(get(path))
            assert (answer.framing, answer.content) == (framing, b"" if framing == "none" else b"ab")


def test_content_that_looks_like_a_request_is_none() -> None:
    recorder = Recorder()
    hidden = get("/hidden")
    with serving(recorder) as served:
        client = served.connect()
        client.send(post(hidden, target="/1"), post_chunked([hidden], target="/2"), get("/3"))
        assert [client.read().status for _ in range(3)] == [200, 200, 200]
    assert recorder.paths == ["/1", "/2", "/3"]
    assert recorder.contents == [hidden, hidden, b""]


def test_one_empty_line_between_requests_is_tolerated() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(post(b"body", target="/1"), b"\r\n", get("/2"), b"\r\n", get("/3"))
        assert [client.read().content for _ in range(3)] == [b"/1", b"/2", b"/3"]


def test_a_broken_request_behind_good_ones_is_refused_in_its_turn() -> None:
    recorder = Recorder()
    with serving(recorder) as served:
        client = served.connect()
        client.send(get("/1"), get("/2"), b"GET /\0 HTTP/1.1\r\n\r\n", get("/3"))
        answers = [client.read() for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 400]
        assert [answer.closes for answer in answers] == [False, False, True]
        client.expect_end()
    assert recorder.paths == ["/1", "/2"]


def test_the_refusal_behind_a_head_request_has_its_content() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get("/1", method="HEAD"), b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
        assert client.read("HEAD").status == 200
        answer = client.read()
        assert (answer.status, answer.content) == (400, b"Bad Request")
        client.expect_end()


@pytest.mark.parametrize("before", [b"", b"\r\n"], ids=["", "empty line first"])
def test_the_refusal_of_a_head_request_has_no_content(before: bytes) -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(before, b"HEAD / HTTP/1.1\r\nno colon\r\n\r\n")
        assert client.read("HEAD").status == 400
        client.expect_end()


# A client that has closed its side.


def test_a_half_closed_client_is_answered() -> None:
    gate = Gate()
    with serving(gate) as served:
        client = served.connect()
        client.send(get("/1"), get("/2"), get("/3"))
        client.half_close()
        for path in ("/1", "/2", "/3"):
            gate.wait_for(path)
            gate.let_go(path)
            assert client.read().content == path.encode()
        client.expect_end()


def test_a_client_that_half_closed_behind_its_content_is_answered() -> None:
    with serving(echo) as served:
        client = served.connect()
        client.send(post(b"first"), post_chunked([b"sec", b"ond"]))
        client.half_close()
        assert [client.read().content, client.read().content] == [b"first", b"second"]
        client.expect_end()


def test_a_half_close_in_the_middle_of_a_head_is_not_answered() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: test.exa")
        client.half_close()
        client.expect_end()

"""The blocks that an application gives: bytes and nothing else, sent as they come."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.client import Truncated, get
from tests.functional.serving import Gate, Serving, answering, serving

FAILED = b"Internal Server Error"


# -- blocks that are none


def expect_one_line(served: Serving, name: str) -> None:
    """See that the log names the type of what was given; there is no traceback of the application's."""
    (line,) = served.log.lines
    assert f" {name}, " in line


@pytest.mark.parametrize("block", ["text", None, 5, ["list"], "", 0], ids=repr)
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_a_block_that_is_not_bytes_is_a_500(block: Any, kind: Any) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return kind([block])

    with serving(application) as served:
        assert served.ask(get()).status == 500
        expect_one_line(served, type(block).__name__)


def test_a_later_block_that_is_not_bytes_cuts_the_answer() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[Any]:
        start_response("200 OK", [])
        yield b"begun"
        yield "text"

    with serving(application) as served:
        client = served.connect()
        client.send(get())
        with pytest.raises(Truncated):
            client.read()
        expect_one_line(served, "str")


def test_a_list_with_a_block_that_is_not_bytes_is_a_500_as_a_whole() -> None:
    def application(environ: Any, start_response: Any) -> list[Any]:
        start_response("200 OK", [])
        return [b"begun", "text"]

    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.status, answer.content) == (500, FAILED)
        expect_one_line(served, "str")


@pytest.mark.parametrize("result", [None, 5, object()], ids=["None", "a number", "an object"])
def test_a_result_that_is_no_iterable_is_a_500(result: Any) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return result

    with serving(application) as served:
        assert served.ask(get()).status == 500
        expect_one_line(served, type(result).__name__)


# -- blocks are sent as they come


def test_a_block_is_sent_before_the_next_one_is_asked_for() -> None:
    gate = Gate()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for number in range(3):
            yield b"%d" % number
            gate({"PATH_INFO": f"/{number}"}, lambda status, fields: None)

    with serving(application) as served:
        client = served.connect()
        client.send(get())
        assert client.read_head()[0] == 200
        for number in range(3):
            assert client.read_chunk() == b"%d" % number
            gate.wait_for(f"/{number}")
            client.expect_no_answer_yet()
            gate.let_go(f"/{number}")
        assert client.read_chunk() == b""


def test_blocks_without_octets_let_the_others_have_their_turn() -> None:
    answered: list[str] = []

    def nothing() -> Iterator[bytes]:
        other.send(get("/other"))
        for _ in range(50_000):  # as if for ever
            if answered:
                return
            yield b""
        answered.append("nobody")

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/nothing":
            return nothing()
        answered.append("the other one")
        return [b"other"]

    with serving(application) as served:
        client, other = served.connect(), served.connect()
        client.send(get("/nothing"))
        assert other.read().content == b"other"
        assert client.read().content == b""
    assert answered == ["the other one"]


def test_an_answer_leaves_as_one_packet_and_without_delay() -> None:
    with serving(answering(b"content")) as served:
        client = served.connect()
        client.ask(get())
        end = served.connection_of(client).sock
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        client.send(get())
        received = client.sock.recv(65536)
        assert received.endswith(b"\r\n\r\ncontent")

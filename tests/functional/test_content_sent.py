"""The content of responses: how it is framed, and that it fits its frame whatever the application does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gevent.event import Event

from greenserve import ApplicationError
from tests.functional.client import LIMIT, get, post
from tests.functional.serving import Application, returning, serving, show_path, turn_hub, wait_until


class Blocks(list):  # type: ignore[type-arg]
    """A list of a kind of its own, with the close() that a list has not."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [b""],
        [b"", b""],
        [b"a"],
        [b"ab", b"", b"c"],
        [b"x" * 65536],
        [b"x" * 65537],
        [b"y" * 40_000] * 5,
        [b"z" * 999_999],
    ],
    ids=lambda blocks: "+".join(str(len(block)) for block in blocks) or "none",
)
@pytest.mark.parametrize("kind", [list, tuple, Blocks])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_lists_get_their_content_length(version: str, kind: Any, blocks: list[bytes]) -> None:
    with serving(returning(lambda environ: kind(blocks))) as served:
        client = served.connect()
        for _ in range(2):
            client.send(get("/", "Connection: keep-alive", version=version))
            answer = client.read()
            assert (answer.framing, answer.content) == ("length", b"".join(blocks))


def test_the_content_length_of_the_application_is_kept_and_not_repeated() -> None:
    with serving(returning(lambda environ: iter([b"abc", b"def"]), ("content-LENGTH", "6"))) as served:
        client = served.connect()
        client.send(get(), get())
        for _ in range(2):
            answer = client.read()
            assert (answer.framing, answer["Content-Length"], answer.content) == ("length", "6", b"abcdef")


def test_content_of_unknown_length_is_chunked_block_by_block() -> None:
    blocks = [b"one", b"", b"two", b"x" * 100_000, b"", b"end"]
    with serving(returning(lambda environ: iter(blocks))) as served:
        client = served.connect()
        for _ in range(2):
            answer = client.ask(get())
            assert (answer.framing, answer.chunks) == ("chunked", [block for block in blocks if block])


@pytest.mark.parametrize("blocks", [[], [b""], [b"", b""]], ids=str)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_iterable_without_content_is_an_empty_response(version: str, blocks: list[bytes]) -> None:
    with serving(returning(lambda environ: iter(blocks))) as served:
        client = served.connect()
        client.send(get("/1", version=version), get("/2", "Connection: close"))
        answer = client.read()
        assert (answer.status, answer.content) == (200, b"")
        if version == "1.1":
            assert client.read().content == b""
        client.expect_end()


def test_blocks_leave_as_they_come() -> None:
    turn = [Event() for _ in range(3)]

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for number, event in enumerate(turn):
            yield b"block %d" % number
            assert event.wait(LIMIT)

    with serving(application) as served:
        client = served.connect()
        client.send(get())
        assert client.read_head()[0] == 200
        for number, event in enumerate(turn):
            assert client.read_chunk() == b"block %d" % number
            client.expect_no_answer_yet()
            event.set()
        assert client.read_chunk() == b""


def test_an_empty_block_sends_nothing_not_even_the_head() -> None:
    asked, go_on = Event(), Event()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield b""
        asked.set()
        assert go_on.wait(LIMIT)
        start_response("201 Created", [("X-Late", "yes")])
        yield b""
        yield b"content"

    with serving(application) as served:
        client = served.connect()
        client.send(get())
        assert asked.wait(LIMIT)
        turn_hub()
        client.expect_no_answer_yet()
        go_on.set()
        answer = client.read()
        assert (answer.status, answer["X-Late"], answer.chunks) == (201, "yes", [b"content"])


def test_a_large_stream_arrives_whole() -> None:
    blocks = [bytes([number % 256]) * (number * 331 % 70_000) for number in range(200)]
    with serving(returning(lambda environ: iter(blocks))) as served:
        client = served.connect()
        assert client.ask(get()).content == b"".join(blocks)
        assert client.ask(get(version="1.0")).content == b"".join(blocks)


# The write callable.


def writing(*blocks: bytes, then: Any = (), fields: Any = ()) -> Application:
    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", list(fields))
        for block in blocks:
            write(block)
        return then

    return application


def test_write_sends_at_once_and_comes_before_the_iterable() -> None:
    with serving(writing(b"one", b"", b"two", then=[b"three", b"", b"four"])) as served:
        client = served.connect()
        for _ in range(2):
            assert client.ask(get()).chunks == [b"one", b"two", b"three", b"four"]


def test_write_sends_before_it_returns() -> None:
    go_on = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "8")])
        write(b"1234")
        assert go_on.wait(LIMIT)
        write(b"5678")
        return []

    with serving(application) as served:
        client = served.connect()
        client.send(get())
        assert client.read_head()[0] == 200
        assert client.read_some(4) == b"1234"
        go_on.set()
        assert client.read_some(4) == b"5678"
        assert client.ask(get()).content == b"12345678"


@pytest.mark.parametrize("then", [[], (), [b""], iter([])], ids=["list", "tuple", "empty", "iterator"])
def test_write_alone_is_a_whole_response(then: Any) -> None:
    with serving(writing(b"written", then=then)) as served:
        client = served.connect()
        client.send(get(), get(version="1.0"))
        assert [client.read().content, client.read().content] == [b"written", b"written"]


def test_writing_nothing_is_an_empty_response() -> None:
    with serving(writing(b"", b"")) as served:
        client = served.connect()
        assert [client.ask(get()).content, client.ask(get()).content] == [b"", b""]


def test_what_is_written_after_the_end_changes_nothing() -> None:
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        kept[:] = [start_response, start_response("200 OK", [])]
        return [environ["PATH_INFO"].encode()]

    with serving(application) as served:
        client = served.connect()
        assert client.ask(get("/1")).content == b"/1"
        late_start, late_write = kept
        with pytest.raises(ApplicationError):
            late_write(b"late")
        with pytest.raises(ApplicationError):
            late_start("500 Late", [])
        turn_hub()
        client.expect_no_answer_yet()
        client.send(get("/2"))
        assert client.read().content == b"/2"
        with pytest.raises(ApplicationError):
            late_write(b"even later")
        client.expect_no_answer_yet()
        assert client.ask(get("/3")).content == b"/3"


def test_what_is_kept_from_a_request_that_failed_changes_nothing() -> None:
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(environ["wsgi.early_hints"])
        kept.append(start_response("200 OK", []))
        raise RuntimeError("on purpose")

    with serving(application) as served:
        client = served.connect()
        assert client.ask(get()).status == 500
        late_hints, late_write = kept
        late_hints([("Link", "</late.css>")])
        with pytest.raises(ApplicationError):
            late_write(b"late")
        client.expect_end()
        assert served.take_errors() == [RuntimeError]


# What the server answers by itself.


def test_options_for_the_whole_server_is_answered_without_the_application() -> None:
    with serving(show_path) as served:
        client = served.connect()
        client.send(get("*", method="OPTIONS"), get("/path", method="OPTIONS"))
        answer = client.read()
        assert (answer.status, answer.content, answer.framing) == (200, b"", "length")
        assert client.read().content == b"/path"
        body = post(b"content").replace(b"POST / ", b"OPTIONS * ")
        assert client.ask(body, get("/next")).content == b""
        assert client.read().content == b"/next"


@pytest.mark.parametrize("target", ["test.example:443", "test.example", "/path", "*"])
def test_connect_is_not_passed_on(target: str) -> None:
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        return show_path(environ, start_response)

    with serving(application) as served:
        client = served.connect()
        client.send(get(target, method="CONNECT"), get("/tunnelled"))
        assert client.read().status == 501
        client.expect_end()
        wait_until(lambda: served.log.matching("501 Not Implemented"))
    assert not seen

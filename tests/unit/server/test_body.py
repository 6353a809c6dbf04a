"""The content of a request from a connection without a socket: how far it is read, and when not any more."""

from __future__ import annotations

from typing import Any

import pytest

from greenserve.errors import (
    BodyTimeout,
    ChunkedCodingError,
    ClientDisconnected,
    ContentTooLarge,
    TrailersTooLarge,
)
from greenserve.net.stream import RECEIVE_SIZE, DeadlinePassed
from greenserve.server import body as module
from greenserve.server.body import CONTINUE, RATE_GRACE, TURN_BYTES
from tests.unit.server.arriving import NEXT, build_body, read


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


#: Ways to announce the same ten octets.
CONTENT = b"0123456789"
CHUNKS = chunk(b"0123") + chunk(b"456789") + b"0\r\n\r\n"
every_framing = pytest.mark.parametrize(
    ("octets", "length"), [(CONTENT, 10), (CHUNKS, None)], ids=["length", "chunks"]
)


# -- how far it is read


@every_framing
def test_content_is_what_was_announced_and_the_next_request_stays(octets: bytes, length: int | None) -> None:
    for cut in range(len(octets) + 1):
        body, connection = build_body(octets[cut:] + NEXT, length=length, buffer=octets[:cut])
        assert not body.done
        assert read(body) == CONTENT
        assert body.done and not body.failed
        assert connection.buffer + b"".join(connection.arriving) == NEXT


@every_framing
def test_at_its_end_nothing_more_is_received(octets: bytes, length: int | None) -> None:
    body, _ = build_body(octets, length=length)
    assert read(body) == CONTENT
    assert [body.receive(), body.receive()] == [b"", b""]


@every_framing
def test_it_waits_only_where_nothing_has_arrived(octets: bytes, length: int | None) -> None:
    body, connection = build_body(octets[:5], None, octets[5:7], octets[7:], length=length, body_timeout=7.5)
    assert read(body) == CONTENT
    assert connection.timeouts == [7.5]


def test_no_content_is_at_its_end_from_the_start() -> None:
    body, _ = build_body(length=0)
    assert body.done
    assert body.receive() == b""


def test_a_piece_is_handed_over_when_it_comes() -> None:
    body, connection = build_body(b"012", b"345", length=10)
    assert body.receive() == b"012"
    assert connection.arriving == [b"345"]


# -- trailers


def test_trailers_are_there_once_the_content_has_been_read() -> None:
    body, _ = build_body(chunk(CONTENT), b"0\r\nX-Sum: 17\r\nx-lower: y\r\n\r\n" + NEXT)
    assert body.trailers() == []
    assert body.receive() == CONTENT
    assert body.trailers() == []
    assert body.receive() == b""
    assert body.trailers() == [("X-Sum", "17"), ("x-lower", "y")]


def test_what_is_done_to_the_list_of_trailers_is_not_done_to_them() -> None:
    body, _ = build_body(b"0\r\nX: y\r\n\r\n")
    read(body)
    body.trailers().clear()
    assert body.trailers() == [("X", "y")]


def test_content_of_known_length_has_no_trailers() -> None:
    body, _ = build_body(CONTENT, length=10)
    read(body)
    assert body.trailers() == []


# -- Expect: 100-continue


@every_framing
def test_the_client_is_told_to_go_on_when_the_application_reads(octets: bytes, length: int | None) -> None:
    body, connection = build_body(octets[:3], octets[3:], length=length, expect=True)
    assert (body.awaits_continue, connection.sent) == (True, [])
    assert read(body) == CONTENT
    assert (body.awaits_continue, connection.sent) == (False, [CONTINUE])


def test_who_has_not_asked_is_told_nothing() -> None:
    body, connection = build_body(CONTENT, length=10)
    assert not body.awaits_continue
    read(body)
    assert connection.sent == []


def test_behind_the_beginning_of_the_answer_it_is_too_late() -> None:
    body, connection = build_body(CONTENT, length=10, expect=True)
    body._response.begun = True
    assert read(body) == CONTENT
    assert connection.sent == []


# -- errors


ERRORS: dict[str, tuple[dict[str, Any], tuple[Any, ...], type[Exception]]] = {
    "end": ({"length": 10}, (b"012", b""), ClientDisconnected),
    "end-of-chunks": ({}, (b"3\r\n012", b""), ClientDisconnected),
    "gone": ({"length": 10}, (b"012", ClientDisconnected("gone")), ClientDisconnected),
    "broken": ({}, (b"3\r\n0123\r\n",), ChunkedCodingError),
    "too-large": ({"limit_request_body": 5}, (chunk(CONTENT),), ContentTooLarge),
    "long-line": ({}, (b"3;" + b"x" * 100,), ChunkedCodingError),
    "long-trailers": ({}, (b"0\r\nX: " + b"y" * 100,), TrailersTooLarge),
    "timeout": ({"length": 10}, (b"012", None, DeadlinePassed()), BodyTimeout),
}


@pytest.mark.parametrize(("options", "arriving", "error"), ERRORS.values(), ids=ERRORS)
def test_content_that_cannot_be_read_is_an_os_error_and_lost(options: Any, arriving: Any, error: Any) -> None:
    body, _ = build_body(*arriving, **options)
    with pytest.raises(OSError) as raised:
        read(body)
    assert type(raised.value) is error
    assert body.failed and not body.done
    assert body.forces_close(False) and body.forces_close(True)
    assert not body.drain(1000)


@pytest.mark.parametrize("timeout", [0, 30.0])
def test_an_error_of_the_application_s_own_loses_it_too(timeout: float) -> None:
    body, _ = build_body(None, KeyError("a timeout, say"), length=10, body_timeout=timeout)
    with pytest.raises(KeyError):
        body.receive()
    assert body.failed


def test_behind_the_end_of_the_request_nothing_is_read() -> None:
    body, connection = build_body(CONTENT, length=10, expect=True)
    body.end()
    with pytest.raises(ClientDisconnected):
        body.receive()
    assert (connection.arriving, connection.sent) == ([CONTENT], [])
    assert not body.failed


# -- the minimum rate


class Clock:
    """Seconds pass only while something is waited for: `step` each time."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 1000.0, step
        self.calls = 0

    def monotonic(self) -> float:
        self.calls += 1
        self.now += self.step if self.calls % 2 == 0 else 100.0
        return self.now


@pytest.mark.parametrize(
    ("rate", "step", "size", "early", "survives"),
    [
        (0, 1000.0, 1, 0, True),
        (10, 2.0, 30, 0, True),
        (10, 2.0, 19, 0, False),
        (10, 0.25, 1, 0, True),  # the start may be slow
        (10, RATE_GRACE, 1, 0, False),
        (1000, RATE_GRACE / 12, 1, 0, True),
        (10, 6.0, 60, 0, True),  # what has just come counts
        (10, 6.0, 59, 0, False),
        (10, 6.0, 50, 100, True),  # and what came with the head
        (10, 6.0, 50, 99, False),
    ],
)
def test_content_may_not_come_more_slowly_than_allowed(
    rate: int, step: float, size: int, early: int, survives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", Clock(step))
    arriving = [None, b"x" * size] * 10
    length = early + 10 * size
    body, _ = build_body(*arriving, length=length, body_rate=rate, buffer=b"x" * early)
    if survives:
        assert len(read(body)) == length
    else:
        with pytest.raises(BodyTimeout, match="slowly"):
            read(body)


def test_what_is_there_already_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", Clock(1000.0))
    body, _ = build_body(*[b"x"] * 10, length=10, body_rate=1000)
    assert read(body) == b"x" * 10


# -- the others' turn


def test_content_of_known_length_that_comes_fast_gives_turns() -> None:
    pieces = [b"x" * RECEIVE_SIZE] * 41
    body, connection = build_body(*pieces, length=sum(map(len, pieces)))
    read(body)
    assert connection.turns == 1 + 40 * RECEIVE_SIZE // TURN_BYTES


def test_chunks_give_a_turn_after_each_recv() -> None:
    data = chunk(b"x" * (RECEIVE_SIZE - 8))
    body, connection = build_body(*[data.ljust(RECEIVE_SIZE)[: len(data)]] * 9, b"0\r\n\r\n")
    read(body)
    assert 4 <= connection.turns <= 9


def test_a_little_content_waits_for_nobody() -> None:
    body, connection = build_body(b"x" * (RECEIVE_SIZE - 1), length=RECEIVE_SIZE - 1)
    read(body)
    assert connection.turns == 0


# -- what the application leaves


@pytest.mark.parametrize(
    ("size", "drained", "left"), [(0, True, b""), (1, True, b""), (100, True, b""), (101, False, b"?")]
)
def test_a_little_that_was_left_is_read(size: int, drained: bool, left: bytes) -> None:
    body, connection = build_body(b"x" * size + NEXT, length=size)
    assert body.drain(100) is drained
    assert (connection.buffer == NEXT) is (drained and size > 0)
    assert bool(connection.arriving) is (not drained or size == 0), "too much is not even begun"
    assert body.forces_close(True) is (not drained)
    assert not body.forces_close(False)


@pytest.mark.parametrize(
    ("sizes", "drained"), [([50, 50], True), ([50, 51], False), ([101], False), ([], True)]
)
def test_a_few_chunks_that_were_left_are_read(sizes: list[int], drained: bool) -> None:
    chunks = [chunk(b"x" * size) for size in sizes]
    body, connection = build_body(*chunks, b"0\r\n\r\n" + NEXT)
    assert not body.forces_close(True), "their length is not known"
    assert body.drain(100) is drained
    assert (connection.buffer == NEXT) is drained


def test_what_was_read_does_not_count() -> None:
    body, connection = build_body(b"x" * 500, b"y" * 100 + NEXT, length=600)
    assert body.forces_close(True)
    assert len(body.receive()) == 500
    assert not body.forces_close(True)
    assert body.drain(100)
    assert connection.buffer == NEXT


def test_content_that_the_client_was_not_told_to_send_is_not_waited_for() -> None:
    body, connection = build_body(CONTENT, length=10, expect=True)
    assert body.forces_close(False) and body.forces_close(True)
    assert not body.drain(100)
    assert (connection.arriving, connection.sent) == ([CONTENT], [])


def test_nothing_that_was_expected_is_nothing_left() -> None:
    body, _ = build_body(length=0, expect=True)
    assert not body.awaits_continue
    assert not body.forces_close(True)
    assert body.drain(100)


@every_framing
def test_whether_a_request_has_come_behind_it(octets: bytes, length: int | None) -> None:
    body, connection = build_body(length=length)
    for end in range(len(octets) + 1):
        assert not body.ends_within(octets[:end]), "nothing behind it yet"
    assert body.ends_within(octets + b"G")
    assert body.ends_within(octets + NEXT)
    connection.arriving = [octets]
    assert read(body) == CONTENT, "looking takes nothing"
    assert body.ends_within(NEXT)
    assert not body.ends_within(b"")


def test_what_would_not_be_drained_has_no_request_behind_it() -> None:
    for size, length in ((100, 100), (101, 101), (100, None), (101, None)):
        octets = b"x" * size if length else chunk(b"x" * size) + b"0\r\n\r\n"
        body, _ = build_body(length=length)
        assert body.ends_within(octets + NEXT) is (size <= 100)
    body, _ = build_body(length=10, expect=True)
    assert not body.ends_within(CONTENT + NEXT)
    body, _ = build_body(b"", length=10)
    with pytest.raises(ClientDisconnected):
        body.receive()
    assert not body.ends_within(CONTENT + NEXT)
    body, _ = build_body()
    assert not body.ends_within(b"broken\r\n" + NEXT)


# -- in a file


@pytest.mark.parametrize("memory", [1, 100])
def test_a_file_has_all_of_it_until_the_request_ends(memory: int) -> None:
    body, _ = build_body(CHUNKS)
    file = body.spool(memory)
    assert file.tell() == 10
    file.seek(0)
    assert file.read() == CONTENT
    assert body.done
    body.end()
    assert file.closed


def test_a_file_that_cannot_be_filled_is_closed_as_well() -> None:
    body, _ = build_body(b"3\r\n012\r\nbroken\r\n")
    with pytest.raises(ChunkedCodingError):
        body.spool(100)
    body.end()
    assert body.failed


def test_no_more_is_received_at_once_than_is_of_use() -> None:
    body, connection = build_body(b"abc", None, b"de", b"f", length=6)
    assert [body.receive(3), body.receive(2), body.receive()] == [b"abc", b"de", b"f"]
    assert connection.most == [3, 2, 2, RECEIVE_SIZE]


def test_never_more_than_is_received_at_other_times() -> None:
    body, connection = build_body(b"abc", length=3)
    assert body.receive(10 * RECEIVE_SIZE) == b"abc"
    assert connection.most == [RECEIVE_SIZE]


def test_of_chunks_nobody_knows_how_much_is_content() -> None:
    body, connection = build_body(b"3\r\nabc\r\n0\r\n\r\n")
    assert body.receive(3) == b"abc"
    assert connection.most == [RECEIVE_SIZE]

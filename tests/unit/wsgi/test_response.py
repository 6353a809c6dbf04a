"""A response in a sink of memory: how content is framed, and that it fits its frame whatever happens."""

from __future__ import annotations

import array
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenserve.errors import ApplicationError
from greenserve.wsgi.response import BLOCK_BYTES, JOIN_LIMIT, TURN_BYTES
from tests.unit.wsgi.sinks import MemorySink, answer, build_response, parse_chunks, sink_of

SIZES = [[], [0], [0, 0], [1], [2, 0, 1], [JOIN_LIMIT], [JOIN_LIMIT + 1], [40_000] * 3, [0, 200_000, 0, 1]]
BODYLESS = ["101 Switching Protocols", "204 No Content", "304 Not Modified"]

every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)
every_minor = pytest.mark.parametrize("http_minor", [0, 1])


class OwnList(list):  # type: ignore[type-arg]
    """A list of a kind of its own."""


class Indexed:
    """An iterable of the old kind: it can be indexed, and nothing more."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.blocks = blocks

    def __getitem__(self, index: int) -> bytes:
        return self.blocks[index]


def blocks_of(sizes: list[int]) -> list[bytes]:
    return [bytes([65 + number]) * size for number, size in enumerate(sizes)]


KNOWN: list[Callable[[list[bytes]], Any]] = [list, tuple, OwnList]
UNKNOWN: list[Callable[[list[bytes]], Any]] = [
    iter,
    Indexed,
    lambda blocks: (block for block in blocks),
    dict.fromkeys,
]


# -- length, chunks, or the end of the connection


@every_size
@every_minor
@pytest.mark.parametrize("kind", KNOWN)
def test_blocks_whose_length_is_known_get_a_content_length(
    kind: Any, http_minor: int, sizes: list[int]
) -> None:
    blocks = blocks_of(sizes)
    found, response = answer(kind(blocks), http_minor=http_minor)
    assert found.content == b"".join(blocks)
    assert found.added["Content-Length"] == str(sum(sizes))
    assert "Transfer-Encoding" not in found.added
    assert (response.sent, response.finished, response.persistent) == (sum(sizes), True, True)
    assert (response.complaint, response.ends_by_close) == ("", False)


@every_size
@pytest.mark.parametrize("kind", UNKNOWN[:3])
def test_blocks_whose_length_is_not_known_are_chunks(kind: Any, sizes: list[int]) -> None:
    blocks = blocks_of(sizes)
    found, response = answer(kind(blocks))
    assert found.added["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in found.added
    assert parse_chunks(found.content) == [block for block in blocks if block] + [b""]
    assert (response.sent, response.finished, response.persistent) == (sum(sizes), True, True)
    assert (response.complaint, response.ends_by_close) == ("", False)


@every_size
@pytest.mark.parametrize("kind", UNKNOWN[:3])
def test_where_there_are_no_chunks_the_connection_ends_with_the_content(kind: Any, sizes: list[int]) -> None:
    blocks = blocks_of(sizes)
    found, response = answer(kind(blocks), http_minor=0)
    assert (found.added["Connection"], found.content) == ("close", b"".join(blocks))
    assert not {"Content-Length", "Transfer-Encoding"} & found.fields.keys()
    assert (response.sent, response.finished, response.persistent) == (sum(sizes), True, False)
    assert (response.complaint, response.ends_by_close) == ("", True)


@every_size
@every_minor
@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN[:3]])
@pytest.mark.parametrize("name", ["Content-Length", "content-LENGTH"])
def test_the_application_s_content_length_is_kept(
    name: str, kind: Any, http_minor: int, sizes: list[int]
) -> None:
    blocks = blocks_of(sizes)
    found, response = answer(kind(blocks), (name, str(sum(sizes))), http_minor=http_minor)
    assert found.own == [(name, str(sum(sizes)))]
    assert not {"Content-Length", "Transfer-Encoding"} & found.added.keys()
    assert found.content == b"".join(blocks)
    assert (response.sent, response.persistent, response.complaint) == (sum(sizes), True, "")
    assert not response.ends_by_close


@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
def test_what_is_asked_plainly_is_answered_in_the_same_way(kind: Any) -> None:
    """The shortest way through the code has no way of its own."""
    for fields in ([], [("Content-Length", "5")], [("Content-Length", "5"), ("Server", "mine")]):
        plain, first = answer(kind([b"hello"]), ("X", "y"), *fields, server="name")
        other, second = answer(kind([b"hello"]), ("X", "y"), *fields, server="name", method="GET")
        assert plain.fields | {"Date": ""} == other.fields | {"Date": ""}
        assert (plain.status_line, plain.own, plain.content) == (other.status_line, other.own, other.content)
        for name in ("begun", "finished", "sent", "persistent", "complaint", "status", "fields"):
            assert getattr(first, name) == getattr(second, name), name


# -- no more than was announced, and no less


@every_minor
@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize("blocks", [[b"hello!"], [b"hello", b"!"], [b"he", b"llo!", b"?"], [b"x" * 200_000]])
def test_what_is_longer_than_its_content_length_is_cut_off(
    blocks: list[bytes], kind: Any, http_minor: int
) -> None:
    found, response = answer(kind(blocks), ("Content-Length", "5"), http_minor=http_minor)
    assert found.content == b"".join(blocks)[:5]
    assert "longer than its Content-Length" in response.complaint
    assert (response.sent, response.finished, response.persistent) == (5, True, True)


def test_what_cannot_be_sent_is_not_asked_for() -> None:
    endless = itertools.repeat(b"abc")
    found, _ = answer(endless, ("Content-Length", "5"))
    assert found.content == b"abcab"


@every_minor
@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize("blocks", [[], [b""], [b"hello"], [b"he", b"ll"], [b"x" * 200_000]], ids=len)
def test_what_is_shorter_than_its_content_length_ends_the_connection(
    blocks: list[bytes], kind: Any, http_minor: int
) -> None:
    size = sum(map(len, blocks))
    found, response = answer(kind(blocks), ("Content-Length", str(size + 7)), http_minor=http_minor)
    assert found.content == b"".join(blocks)
    assert "7 bytes shorter" in response.complaint
    assert (response.sent, response.finished, response.persistent) == (size, True, False)
    assert not response.settled


# -- no content


@every_minor
@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize("blocks", [[], [b""], [b"hello"], [b"x" * 200_000]], ids=len)
def test_the_answer_to_head_has_no_content(blocks: list[bytes], kind: Any, http_minor: int) -> None:
    found, response = answer(kind(blocks), ("X", "y"), method="HEAD", http_minor=http_minor)
    assert found.own == [("X", "y")]
    assert not {"Content-Length", "Transfer-Encoding"} & found.fields.keys(), "never computed"
    assert found.content == b""
    assert (response.sent, response.finished, response.persistent) == (0, True, True)
    assert (response.complaint, response.ends_by_close) == ("", False)


@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize("blocks", [[], [b"hello"], [b"much more than five"]], ids=len)
def test_the_answer_to_head_keeps_the_application_s_content_length(blocks: list[bytes], kind: Any) -> None:
    found, response = answer(kind(blocks), ("Content-Length", "5"), method="HEAD")
    assert (found.fields["Content-Length"], found.content) == ("5", b"")
    assert (response.complaint, response.persistent) == ("", True)


@every_minor
@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize("status", BODYLESS[1:])
def test_204_and_304_have_no_content(status: str, kind: Any, http_minor: int) -> None:
    found, response = answer(kind([b"", b"hello", b"x" * 100_000]), status=status, http_minor=http_minor)
    assert not {"Content-Length", "Transfer-Encoding"} & found.fields.keys()
    assert (found.content, response.sent, response.finished) == (b"", 0, True)
    assert (response.persistent, response.ends_by_close) == (True, False)
    assert response.complaint == f"a {status[:3]} response has no content: 5 bytes dropped"


@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize("blocks", [[], [b""]], ids=len)
@pytest.mark.parametrize("status", BODYLESS[1:])
def test_nothing_is_wrong_with_204_and_304_without_content(
    status: str, blocks: list[bytes], kind: Any
) -> None:
    found, response = answer(kind(blocks), status=status)
    assert (found.status_line, found.content, response.complaint) == (f"HTTP/1.1 {status}", b"", "")
    assert (response.finished, response.persistent) == (True, True)


@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize(("status", "kept"), [(BODYLESS[1], False), (BODYLESS[2], True)])
@pytest.mark.parametrize("blocks", [[], [b"hello"]], ids=len)
def test_a_content_length_with_204_and_304(blocks: list[bytes], status: str, kept: bool, kind: Any) -> None:
    found, response = answer(kind(blocks), ("Content-Length", "5"), status=status)
    assert ("Content-Length" in found.fields) is kept
    assert (found.content, response.persistent) == (b"", True)
    assert bool(response.complaint) is bool(blocks)


@pytest.mark.parametrize("asked", [{"method": "HEAD"}, {"status": BODYLESS[1]}, {"status": BODYLESS[2]}])
def test_content_that_never_ends_and_is_never_sent_is_not_asked_for(asked: dict[str, Any]) -> None:
    found, response = answer(itertools.repeat(b"abc"), **asked)
    assert (found.content, response.finished) == (b"", True)


@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
def test_behind_switching_protocols_there_is_no_http(kind: Any) -> None:
    fields = [("Upgrade", "own"), ("Connection", "Upgrade")]
    found, response = answer(kind([b"one", b"", b"two"]), *fields, status=BODYLESS[0])
    assert (found.own, found.content) == (fields, b"onetwo")
    assert not {"Content-Length", "Transfer-Encoding", "Connection"} & found.added.keys()
    assert (response.sent, response.persistent, response.complaint) == (6, False, "")
    assert response.ends_by_close


def test_switching_protocols_ends_http_also_without_the_fields_for_that() -> None:
    found, response = answer([b"one"], status=BODYLESS[0])
    assert (found.own, found.content, response.persistent) == ([], b"one", False)
    assert found.added.keys() == {"Date"}


# -- blocks


@pytest.mark.parametrize(
    "block",
    [bytearray(b"hello"), memoryview(b"hello"), memoryview(array.array("H", [26984, 28524])), bytearray()],
)
@pytest.mark.parametrize("kind", [*KNOWN, iter, lambda blocks: (block for block in blocks)])
def test_what_holds_bytes_is_as_good_as_bytes(kind: Any, block: Any) -> None:
    content = b"<" + bytes(block) + b">"
    found, response = answer(kind([b"<", block, b">"]), ("Content-Length", str(len(content))))
    assert (found.content, response.complaint) == (content, "")
    found, _ = answer(kind([b"<", block, b">"]))
    chunked = "Transfer-Encoding" in found.added
    assert (b"".join(parse_chunks(found.content)) if chunked else found.content) == content


@pytest.mark.parametrize("wrong", ["text", "", 5, 0, None, ["list"], [b"list"], ()], ids=repr)
@pytest.mark.parametrize("kind", [list, tuple, lambda blocks: (block for block in blocks)])
@pytest.mark.parametrize("asked", [{}, {"method": "HEAD"}, {"status": BODYLESS[1]}])
def test_only_bytes_are_blocks(asked: dict[str, Any], kind: Any, wrong: Any) -> None:
    response = build_response(**{name: value for name, value in asked.items() if name == "method"})
    with pytest.raises(ApplicationError, match=f"block of type {type(wrong).__name__}, bytes are wanted"):
        answer(kind([wrong]), status=asked.get("status", "200 OK"), response=response)
    assert not response.begun
    assert sink_of(response).octets == b""


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_is_looked_through_before_any_of_it_is_sent(kind: Any) -> None:
    response = build_response()
    with pytest.raises(ApplicationError):
        answer(kind([b"good", b"x" * 200_000, "bad"]), response=response)
    assert not response.begun


@pytest.mark.parametrize("wrong", [None, 5, object()], ids=lambda wrong: type(wrong).__name__)
def test_what_is_no_iterable_is_refused(wrong: Any) -> None:
    response = build_response()
    with pytest.raises(ApplicationError, match=f"returned {type(wrong).__name__}, no iterable"):
        answer(wrong, response=response)
    assert not response.begun


@pytest.mark.parametrize("iterable", ["text", {"text": 1}], ids=repr)
def test_an_iterable_of_something_else_is_refused_at_its_first_block(iterable: Any) -> None:
    with pytest.raises(ApplicationError, match="block of type str"):
        answer(iterable)


# -- how it leaves


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("sizes", [[], [0], [5], [1, 2, 0, 3], [JOIN_LIMIT], [JOIN_LIMIT // 4] * 4], ids=str)
@pytest.mark.parametrize("given", [False, True])
def test_small_content_leaves_with_its_head(given: bool, sizes: list[int], kind: Any) -> None:
    fields = [("Content-Length", str(sum(sizes)))] * given
    _, response = answer(kind(blocks_of(sizes)), *fields)
    assert len(sink_of(response).sends) == 1


@pytest.mark.parametrize("kind", [list, tuple, lambda blocks: (block for block in blocks)])
@pytest.mark.parametrize("given", [False, True])
def test_a_large_block_is_not_copied(given: bool, kind: Any) -> None:
    block = b"x" * (JOIN_LIMIT + 1)
    _, response = answer(kind([block]), *[("Content-Length", str(len(block)))] * given)
    assert any(sent is block for sent in sink_of(response).sends)


@pytest.mark.parametrize("given", [False, True])
def test_large_blocks_are_not_joined(given: bool) -> None:
    blocks = blocks_of([40_000] * 3)
    found, response = answer(blocks, *[("Content-Length", "120000")] * given)
    assert found.content == b"".join(blocks)
    sends = sink_of(response).sends[-3:]
    assert len(sends) == 3
    assert sends[1] is blocks[1] and sends[2] is blocks[2]


def test_each_block_has_left_before_the_next_is_asked_for() -> None:
    sink = MemorySink()
    seen: list[bytes] = []

    def blocks() -> Iterator[bytes]:
        for block in (b"one", b"", b"two", b"x" * 100_000):
            yield block
            seen.append(sink.octets)

    answer(blocks(), sink=sink)
    assert seen[0].endswith(b"\r\n\r\n3\r\none\r\n")
    assert seen[1] == seen[0]
    assert seen[2] == seen[0] + b"3\r\ntwo\r\n"
    assert seen[3] == seen[2] + b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    assert sink.octets == seen[3] + b"0\r\n\r\n"


@pytest.mark.parametrize("asked", [{}, {"http_minor": 0}], ids=["chunks", "by-close"])
def test_the_first_small_block_leaves_with_the_head(asked: dict[str, Any]) -> None:
    _, response = answer(iter([b"hello"]), **asked)
    assert b"\r\n\r\n" in sink_of(response).sends[0]
    assert b"hello" in sink_of(response).sends[0]


# -- the others' turn


@pytest.mark.parametrize("size", [1, 1000, 40_000, 65_536 - BLOCK_BYTES, 65_536, 100_000])
@pytest.mark.parametrize("given", [False, True])
def test_a_long_response_gives_turns(given: bool, size: int) -> None:
    count = 20 * TURN_BYTES // (size + BLOCK_BYTES)
    sink = MemorySink()
    done: list[int] = []

    def blocks() -> Iterator[bytes]:
        for number in range(count):
            yield b"x" * size
            done.extend([number] * (len(sink.turns) - len(done)))

    answer(blocks(), *[("Content-Length", str(count * size))] * given, sink=sink)
    assert len(done) == len(sink.turns) >= 10
    gaps = [(after - before) * (size + BLOCK_BYTES) for before, after in itertools.pairwise([-1, *done])]
    assert all(TURN_BYTES < gap <= TURN_BYTES + size + BLOCK_BYTES for gap in gaps)


@pytest.mark.parametrize("size", [0, 1, 40_000, 100_000])
@pytest.mark.parametrize("given", [False, True])
def test_much_that_is_written_gives_turns(given: bool, size: int) -> None:
    count = 20 * TURN_BYTES // (size + BLOCK_BYTES)
    response = build_response()
    write = response.start_response("200 OK", [("Content-Length", str(count * size))] * given)
    since = 0
    for _ in range(count):
        turns = len(sink_of(response).turns)
        write(b"x" * size)
        since += size + BLOCK_BYTES
        assert (len(sink_of(response).turns) - turns) == (since > TURN_BYTES)
        since = 0 if since > TURN_BYTES else since
    assert len(sink_of(response).turns) >= 10


def test_nothing_in_many_blocks_gives_turns_too() -> None:
    """There may be no end of it."""
    sink = MemorySink()

    def blocks() -> Iterator[bytes]:
        while len(sink.turns) < 3:
            yield b""

    answer(blocks(), sink=sink)
    assert len(sink.turns) == 3


@pytest.mark.parametrize("kind", [list, tuple, lambda blocks: (block for block in blocks)])
def test_a_short_response_waits_for_nobody(kind: Any) -> None:
    _, response = answer(kind([b"x" * 1000] * 50))
    assert sink_of(response).turns == []

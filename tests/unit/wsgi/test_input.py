"""wsgi.input over a source of pieces: it reads as any file does, and takes no more than it needs."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.errors import BodyTimeout, ChunkedCodingError, ClientDisconnected, ContentTooLarge
from greenserve.wsgi.input import EMPTY_INPUT, LARGE, Input

CONTENT = b"first\nsecond\r\n\n\nlast, without an end"
CUTS = {
    "whole": [CONTENT],
    "octets": [CONTENT[at : at + 1] for at in range(len(CONTENT))],
    "pairs": [CONTENT[at : at + 2] for at in range(0, len(CONTENT), 2)],
    "lines": CONTENT.splitlines(keepends=True),
    "before-lf": [b"first", b"\nsecond\r", b"\n", b"\n\nlast, without an end"],
}
every_cut = pytest.mark.parametrize("pieces", CUTS.values(), ids=CUTS)


class Source:
    """Content in pieces; after the last of them b"", or an error.

    `asked` counts the calls, `most` is what each of them has said to be of use.
    """

    def __init__(self, *pieces: bytes | BaseException) -> None:
        self.pieces = list(pieces)
        self.asked = 0
        self.most: list[int] = []

    def __call__(self, most: int = 0) -> bytes:
        self.asked += 1
        self.most.append(most)
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, BaseException):
            raise piece
        return piece


def input_of(pieces: Iterable[bytes | BaseException]) -> Input:
    return Input(Source(*pieces))


TO_LIST: Callable[[Any], Any] = list  # which has lines of its own when it fails
READS: list[Callable[[Any], Any]] = [
    lambda file: file.read(),
    lambda file: file.read(-1),
    lambda file: file.read(-7),
    lambda file: file.read(None),
    lambda file: file.read(0),
    lambda file: file.read(1),
    lambda file: file.read(7),
    lambda file: file.read(len(CONTENT)),
    lambda file: file.read(1000),
    lambda file: file.readline(),
    lambda file: file.readline(-1),
    lambda file: file.readline(-7),
    lambda file: file.readline(None),
    lambda file: file.readline(0),
    lambda file: file.readline(1),
    lambda file: file.readline(5),
    lambda file: file.readline(6),
    lambda file: file.readline(7),
    lambda file: file.readline(1000),
    lambda file: file.readlines(),
    lambda file: file.readlines(None),
    lambda file: file.readlines(0),
    lambda file: file.readlines(-1),
    lambda file: file.readlines(1),
    lambda file: file.readlines(6),
    lambda file: file.readlines(7),
    lambda file: file.readlines(1000),
    TO_LIST,
    lambda file: next(file, None),
    lambda file: next(iter(file), None),
]


@every_cut
@pytest.mark.parametrize("read", READS)
def test_one_call_reads_as_any_file_does(read: Callable[[Any], Any], pieces: list[bytes]) -> None:
    file, stream = io.BytesIO(CONTENT), input_of(pieces)
    assert read(stream) == read(file)
    assert stream.read() == file.read(), "what is left"
    assert read(stream) == read(file), "at the end"


@given(
    st.lists(st.text("ab\n", min_size=1, max_size=5).map(str.encode), max_size=10),
    st.lists(
        st.tuples(
            st.sampled_from(["read", "readline", "readlines"]),
            st.none() | st.integers(min_value=-1, max_value=12),
        ),
        max_size=8,
    ),
)
def test_any_calls_read_as_any_file_does(pieces: list[bytes], calls: list[tuple[str, int | None]]) -> None:
    file, stream = io.BytesIO(b"".join(pieces)), input_of(pieces)
    for name, size in calls:
        assert getattr(stream, name)(size) == getattr(file, name)(size), (name, size)
    assert stream.read() == file.read()


def test_iterating_goes_on_where_reading_stopped() -> None:
    stream = input_of([b"one\ntwo\nth", b"ree\nfour"])
    assert stream.read(5) == b"one\nt"
    assert list(itertools.islice(stream, 2)) == [b"wo\n", b"three\n"]
    assert stream.readline() == b"four"
    assert next(stream, None) is None


def test_it_is_its_own_iterator() -> None:
    stream = input_of([b"a"])
    assert iter(stream) is stream


# -- what is asked of the source: each question may wait for the client


@pytest.mark.parametrize(
    ("read", "pieces", "asked"),
    [
        (lambda file: file.read(0), [b"abc"], 0),
        (lambda file: file.readline(0), [b"abc"], 0),
        (lambda file: file.read(3), [b"abc", b"def"], 1),
        (lambda file: file.read(2), [b"abc", b"def"], 1),
        (lambda file: file.read(4), [b"abc", b"def", b"ghi"], 2),
        (lambda file: (file.read(1), file.read(2)), [b"abc", b"def"], 1),
        (lambda file: (file.read(1), file.read(4)), [b"abc", b"def", b"ghi"], 2),
        (lambda file: file.readline(), [b"abc\n", b"def"], 1),
        (lambda file: file.readline(), [b"abc", b"d\nef", b"ghi"], 2),
        (lambda file: file.readline(3), [b"abc", b"def"], 1),
        (lambda file: (file.readline(), file.readline()), [b"abc\ndef\n", b"ghi"], 1),
        (lambda file: file.readlines(1), [b"abc\n", b"def\n"], 1),
        (lambda file: file.readlines(4), [b"abc\n", b"def\n"], 1),
        (lambda file: file.readlines(5), [b"abc\n", b"def\n", b"ghi\n"], 2),
        (lambda file: next(file), [b"abc\n", b"def\n"], 1),
        (lambda file: file.read(), [b"abc", b"def"], 3),
        (lambda file: file.read(100), [b"abc", b"def"], 3),
    ],
)
def test_no_more_is_asked_for_than_is_needed(read: Any, pieces: list[bytes], asked: int) -> None:
    source = Source(*pieces)
    read(Input(source))
    assert source.asked == asked


def test_nothing_is_asked_for_before_the_application_reads() -> None:
    source = Source(b"abc")
    Input(source)
    assert source.asked == 0


def test_a_large_read_says_how_much_it_wants_and_a_small_one_takes_what_there_is() -> None:
    source = Source(b"a" * 100, b"b" * (LARGE - 100), b"c" * LARGE, b"d" * 1000, b"e" * 1000)
    stream = Input(source)
    assert stream.read(LARGE) == b"a" * 100 + b"b" * (LARGE - 100)
    assert stream.read(LARGE) == b"c" * LARGE
    assert stream.read(LARGE - 1) == b"d" * 1000 + b"e" * 1000
    assert source.most == [LARGE, LARGE - 100, LARGE, 0, 0, 0]


def test_a_piece_that_is_just_what_is_read_is_not_copied() -> None:
    piece = b"a" * LARGE
    stream = input_of([piece, piece])
    assert stream.read(LARGE) is piece
    assert stream.read(LARGE) is piece
    assert stream.read(LARGE) == b""


# -- errors


ERRORS = [
    ClientDisconnected("gone"),
    ChunkedCodingError("broken"),
    ContentTooLarge("more than allowed"),
    BodyTimeout("stalled"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "read",
    [
        lambda file: file.read(),
        lambda file: file.read(10),
        lambda file: file.readline(),
        lambda file: file.readlines(),
        lambda file: list(file),
    ],
)
def test_what_the_source_raises_reaches_the_application_as_an_os_error(read: Any, error: Exception) -> None:
    with pytest.raises(OSError) as raised:
        read(input_of([b"abc", error]))
    assert raised.value is error


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_was_there_before_an_error_can_be_read(error: Exception) -> None:
    stream = input_of([b"one\n", b"two\nthree", error])
    assert stream.readline() == b"one\n"
    assert stream.read(2) == b"tw"
    assert stream.readline() == b"o\n"
    assert stream.read(5) == b"three"
    with pytest.raises(OSError):
        stream.read(1)


def test_a_read_that_failed_keeps_what_it_had() -> None:
    """A timeout of the application's own, say, after which it goes on reading."""
    stream = input_of([b"abc", TimeoutError("mine"), b"def"])
    with pytest.raises(TimeoutError):
        stream.read(5)
    assert stream.read(5) == b"abcde"
    assert stream.read() == b"f"


@pytest.mark.parametrize(
    "read", [read for read in READS if read(io.BytesIO(CONTENT)) and read is not TO_LIST]
)
@pytest.mark.parametrize("error", [ERRORS[0], GeneratorExit()], ids=lambda error: type(error).__name__)
def test_no_octet_is_lost_by_a_read_that_failed(read: Any, error: BaseException) -> None:
    pieces = [b"fi", b"rst\nsec", error, b"ond\n", error, error, b"la", error, b"st"]
    source, whole = Source(*pieces), io.BytesIO(b"first\nsecond\nlast")
    stream = Input(source)
    found = expected = b"begin"
    while found:
        try:
            found = read(stream)
        except BaseException as raised:  # noqa: PERF203  (it goes on behind each error)
            assert raised is error
        else:
            expected = read(whole)
            assert found == expected
    assert not expected and not source.pieces


# -- no content


@pytest.mark.parametrize("read", READS)
def test_the_empty_input_is_at_its_end(read: Callable[[Any], Any]) -> None:
    for _ in range(2):
        assert read(EMPTY_INPUT) == read(io.BytesIO())


def test_no_state_can_be_left_in_an_input_by_accident() -> None:
    """The empty one is shared by all requests without content."""
    with pytest.raises(AttributeError):
        EMPTY_INPUT.note = "of one request"  # type: ignore[attr-defined]

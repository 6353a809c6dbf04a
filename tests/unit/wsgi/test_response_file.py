"""A file as a response, in a sink of memory: what the sink is asked to send of it, and what is read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenserve.errors import ApplicationError, ClientDisconnected
from greenserve.wsgi.file_wrapper import FileWrapper
from greenserve.wsgi.response import Response
from tests.unit.wsgi.sinks import (
    MemorySink,
    answer,
    build_response,
    finish,
    parse_answer,
    parse_chunks,
    sink_of,
)

CONTENT = bytes(range(256)) * 400
SIZE = len(CONTENT)


class ShortSink(MemorySink):
    """One that finds the file shorter than it was."""

    def send_file(self, fileno: int, offset: int, count: int) -> int:
        return super().send_file(fileno, offset, count - 5)


class SwappingSink(MemorySink):
    """One that has the application close its file, whose number another gets, before it is sent."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self.file = file
        self.numbers: list[int] = []

    def send_file(self, fileno: int, offset: int, count: int) -> int:
        number = self.file.fileno()
        self.file.close()
        other = os.open(os.devnull, os.O_RDONLY)
        assert other == number
        try:
            self.numbers.append(fileno)
            return super().send_file(fileno, offset, count)
        finally:
            os.close(other)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def file(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        yield file


# -- sent by the sink


def test_a_file_is_sent_whole_with_its_length(file: Any) -> None:
    found, response = answer(FileWrapper(file), ("X", "y"))
    assert (found.own, found.content) == ([("X", "y")], CONTENT)
    assert found.added["Content-Length"] == str(SIZE)
    assert "Transfer-Encoding" not in found.added
    assert sink_of(response).files == [(0, SIZE)]
    assert (response.sent, response.finished, response.persistent) == (SIZE, True, True)
    assert (response.complaint, response.ends_by_close) == ("", False)


def test_a_file_is_sent_from_where_it_stands(file: Any) -> None:
    file.seek(1000)
    found, response = answer(FileWrapper(file))
    assert found.content == CONTENT[1000:]
    assert sink_of(response).files == [(1000, SIZE - 1000)]


def test_http_1_0_gets_the_length_as_well(file: Any) -> None:
    found, response = answer(FileWrapper(file), http_minor=0)
    assert (found.added["Content-Length"], found.content) == (str(SIZE), CONTENT)
    assert (found.added["Connection"], response.persistent) == ("keep-alive", True)


def test_a_range_of_a_file_has_the_length_that_the_application_gives(file: Any) -> None:
    file.seek(1000)
    found, response = answer(FileWrapper(file), ("Content-Length", "500"), status="206 Partial Content")
    assert found.content == CONTENT[1000:1500]
    assert sink_of(response).files == [(1000, 500)]
    assert (response.sent, response.persistent, response.complaint) == (500, True, "")


def test_a_file_that_is_shorter_than_its_content_length_ends_the_connection(file: Any) -> None:
    found, response = answer(FileWrapper(file), ("Content-Length", str(SIZE + 3)))
    assert found.content == CONTENT
    assert "3 bytes shorter" in response.complaint
    assert (response.sent, response.persistent, response.finished) == (SIZE, False, True)


@pytest.mark.parametrize("given", [False, True])
def test_a_file_that_becomes_shorter_ends_the_connection(given: bool, file: Any) -> None:
    fields = [("Content-Length", str(SIZE))] * given
    found, response = answer(FileWrapper(file), *fields, sink=ShortSink())
    assert found.content == CONTENT[:-5]
    assert "5 bytes shorter" in response.complaint
    assert (response.sent, response.persistent, response.finished) == (SIZE - 5, False, True)


def test_a_file_goes_on_behind_what_was_written(file: Any) -> None:
    response = build_response()
    response.start_response("200 OK", [("Content-Length", "505")])(b"start")
    assert finish(response, FileWrapper(file)).content == b"start" + CONTENT[:500]
    assert sink_of(response).files == [(0, 500)]
    assert (response.sent, response.complaint) == (505, "")


def test_a_file_behind_what_was_written_may_end_with_the_connection(file: Any) -> None:
    response = build_response(http_minor=0)
    response.start_response("200 OK", [])(b"start")
    assert finish(response, FileWrapper(file)).content == b"start" + CONTENT
    assert sink_of(response).files == [(0, SIZE)]
    assert (response.sent, response.persistent, response.ends_by_close) == (SIZE + 5, False, True)


def test_a_file_that_becomes_shorter_cannot_end_with_the_connection(file: Any) -> None:
    response = build_response(ShortSink(), http_minor=0)
    response.start_response("200 OK", [])(b"start")
    with pytest.raises(ApplicationError, match="5 bytes early"):
        response.send_iterable(FileWrapper(file))
    assert (response.sent, response.persistent, response.finished) == (SIZE, False, False)
    assert response.ends_by_close


@pytest.mark.parametrize(
    "asked", [{"method": "HEAD"}, {"status": "304 Not Modified"}, {"status": "204 No Content"}]
)
@pytest.mark.parametrize("written", [False, True])
def test_nothing_of_a_file_is_sent_where_there_is_no_content(
    written: bool, asked: dict[str, Any], file: Any
) -> None:
    response = build_response(method=asked.get("method", "GET"))
    write = response.start_response(asked.get("status", "200 OK"), [])
    if written:
        write(b"")
    found = finish(response, FileWrapper(file))
    assert found.content == b""
    assert not {"Content-Length", "Transfer-Encoding"} & found.fields.keys()
    assert sink_of(response).files == []
    assert file.tell() == 0, "it was not read, either"
    assert (response.sent, response.finished, response.persistent, response.complaint) == (0, True, True, "")


def test_a_file_may_follow_switching_protocols(file: Any) -> None:
    found, response = answer(FileWrapper(file), ("Upgrade", "own"), status="101 Switching Protocols")
    assert (found.content, response.sent) == (CONTENT, SIZE)
    assert not {"Content-Length", "Transfer-Encoding"} & found.fields.keys()


def test_the_sink_has_a_descriptor_of_its_own(file: Any) -> None:
    """The application may close its file meanwhile, and another file get the number."""
    sink = SwappingSink(file)
    number = file.fileno()
    found, response = answer(FileWrapper(file), sink=sink)
    assert (found.content, response.complaint) == (CONTENT, "")
    assert sink.numbers != [number]
    with pytest.raises(OSError):
        os.fstat(sink.numbers[0])


def test_that_descriptor_is_closed_when_the_client_has_gone(file: Any) -> None:
    numbers: list[int] = []

    class Gone(MemorySink):
        def send_file(self, fileno: int, offset: int, count: int) -> int:
            numbers.append(fileno)
            raise ClientDisconnected("gone")

    with pytest.raises(OSError):
        answer(FileWrapper(file), sink=Gone())
    with pytest.raises(OSError):
        os.fstat(numbers[0])


# -- read


class Filelike:
    """It has read() and nothing more."""

    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read


READ: dict[str, Callable[[Path], Any]] = {
    "memory": lambda path: io.BytesIO(CONTENT),
    "filelike": lambda path: Filelike(CONTENT),
    "buffered": lambda path: io.BytesIO(path.read_bytes()),
}


@pytest.mark.parametrize("open_file", READ.values(), ids=READ)
def test_what_is_no_plain_file_is_read(open_file: Any, path: Path) -> None:
    found, response = answer(FileWrapper(open_file(path)))
    assert b"".join(parse_chunks(found.content)) == CONTENT
    assert sink_of(response).files == []
    found, response = answer(FileWrapper(open_file(path)), ("Content-Length", "500"))
    assert found.content == CONTENT[:500]


def test_a_sink_that_takes_no_files_gets_blocks(file: Any) -> None:
    sink = MemorySink(takes_files=False)
    found, response = answer(FileWrapper(file, 1000), sink=sink)
    assert parse_chunks(found.content)[0] == CONTENT[:1000]
    assert b"".join(parse_chunks(found.content)) == CONTENT
    assert sink.files == []
    assert response.sent == SIZE


def test_behind_a_chunk_a_file_is_chunks(file: Any) -> None:
    response = build_response()
    response.start_response("200 OK", [])(b"start")
    found = finish(response, FileWrapper(file))
    assert parse_chunks(found.content)[0] == b"start"
    assert b"".join(parse_chunks(found.content)) == b"start" + CONTENT
    assert (response.sent, sink_of(response).files) == (SIZE + 5, [])


class Other:
    """An iterable with the methods of the wrapper; it is not our wrapper."""

    def __init__(self, file: Any) -> None:
        self.filelike = file
        self.fileno = file.fileno

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"content of ", b"its own"])


def test_only_our_wrapper_is_taken_for_a_file(file: Any) -> None:
    for iterable, content in ((Other(file), b"content of its own"), (file, CONTENT)):
        found, response = answer(iterable)
        assert b"".join(parse_chunks(found.content)) == content
        assert sink_of(response).files == []


class OwnWrapper(FileWrapper):
    """A kind of wrapper that an application has made of ours."""


def test_a_wrapper_of_a_kind_of_its_own_is_one(file: Any) -> None:
    found, response = answer(OwnWrapper(file))
    assert (found.content, sink_of(response).files) == (CONTENT, [(0, SIZE)])


# -- and closed


@pytest.mark.parametrize("sink", [MemorySink, lambda: MemorySink(takes_files=False), ShortSink])
def test_the_file_is_closed(sink: Any, file: Any) -> None:
    answer(FileWrapper(file), sink=sink())
    assert file.closed


def test_the_file_is_closed_when_the_client_has_gone(file: Any) -> None:
    with pytest.raises(ClientDisconnected):
        answer(FileWrapper(file), sink=MemorySink(gone_after=1))
    assert file.closed


def test_a_file_without_a_head_is_refused(file: Any) -> None:
    response: Response = build_response()
    with pytest.raises(ApplicationError, match="start_response"):
        response.send_iterable(FileWrapper(file))
    assert sink_of(response).sends == []


def test_a_file_calls_start_response_when_it_is_first_read() -> None:
    """What a generator may do, a file-like object may do, too."""
    response = build_response()

    class Late:
        blocks = [b"late", b""]

        def read(self, size: int) -> bytes:
            if response.head is None:
                response.start_response("201 Created", [])
            return self.blocks.pop(0)

    response.send_iterable(FileWrapper(Late()))
    found = parse_answer(sink_of(response).octets)
    assert (found.status_line, parse_chunks(found.content)) == ("HTTP/1.1 201 Created", [b"late", b""])


def test_a_wrapper_may_call_start_response_itself(file: Any) -> None:
    response = build_response()

    class Late(FileWrapper):
        def __next__(self) -> bytes:
            if response.head is None:
                response.start_response("201 Created", [])
            return super().__next__()

    found = finish(response, Late(file))
    assert found.status_line == "HTTP/1.1 201 Created"
    assert b"".join(parse_chunks(found.content)) == CONTENT

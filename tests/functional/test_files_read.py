"""wsgi.file_wrapper: what is no plain file is read; every file is closed; others get their turn."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from greenserve.net import stream
from greenserve.wsgi.file_wrapper import FileWrapper
from tests.functional.client import get
from tests.functional.downloads import CONTENT, LARGE, Download, Sendfile, count_to_end, lengths
from tests.functional.serving import serving, wait_until


@pytest.fixture
def sendfile(monkeypatch: pytest.MonkeyPatch) -> Sendfile:
    """Count what greenserve sends by sendfile(2)."""
    counting = Sendfile()
    monkeypatch.setattr(stream, "os", SimpleNamespace(sendfile=counting))
    return counting


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


# -- by reading


class Slice:
    """What whitenoise serves a range with: it reads a part of a file and has no descriptor."""

    def __init__(self, file: Any, size: int) -> None:
        self.file = file
        self.left = size

    def read(self, size: int = -1) -> bytes:
        block: bytes = self.file.read(self.left if size < 0 else min(size, self.left))
        self.left -= len(block)
        return block

    def close(self) -> None:
        self.file.close()

    @property
    def closed(self) -> bool:
        closed: bool = self.file.closed
        return closed


class Shouting(io.BufferedReader):
    """A kind of file of its own: its descriptor does not tell what reading gives."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size).upper()


def pipe() -> Any:
    """Return the reading end of a pipe that holds some content."""
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    return os.fdopen(reading, "rb")


def compressed(module: Any) -> Callable[[Path], Any]:
    def open_file(path: Path) -> Any:
        other = path.with_suffix(".compressed")
        other.write_bytes(module.compress(CONTENT))
        return module.open(other)

    return open_file


def shouting(path: Path) -> Any:
    path.write_bytes(b"quiet")
    return Shouting(io.FileIO(path))


@pytest.mark.parametrize(
    ("open_file", "content"),
    [
        (compressed(gzip), CONTENT),
        (compressed(bz2), CONTENT),
        (lambda path: io.BytesIO(CONTENT), CONTENT),
        (lambda path: Slice(path.open("rb"), 1000), CONTENT[:1000]),
        (lambda path: pipe(), b"through a pipe"),
        (shouting, b"QUIET"),
        (lambda path: io.BufferedReader(io.BytesIO(CONTENT)), CONTENT),
    ],
    ids=["gzip", "bz2", "BytesIO", "slice", "pipe", "subclass", "reader"],
)
@pytest.mark.parametrize("has_length", [False, True], ids=["chunked", "length"])
def test_what_is_no_plain_file_is_read(
    path: Path, sendfile: Sendfile, open_file: Any, content: bytes, has_length: bool
) -> None:
    fields = [lengths(len(content))] if has_length else []
    application = Download(lambda: open_file(path), *fields)
    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.content, answer.framing) == (content, "length" if has_length else "chunked")
        wait_until(lambda: application.file.closed, "the file being closed")
    assert sendfile.counts == []


def test_a_spooled_file_is_read_while_it_is_in_memory(sendfile: Sendfile) -> None:
    def open_file() -> Any:
        file = tempfile.SpooledTemporaryFile(max_size=1 << 20)
        file.write(CONTENT)
        file.seek(0)
        return file

    with serving(Download(open_file)) as served:
        assert served.ask(get()).content == CONTENT
    assert sendfile.counts == []


def test_a_file_like_object_needs_no_more_than_read(sendfile: Sendfile) -> None:
    blocks = [b"one ", b"two", b""]
    with serving(Download(lambda: SimpleNamespace(read=lambda size: blocks.pop(0)))) as served:
        assert served.ask(get()).content == b"one two"


def test_reading_is_bounded_by_the_content_length() -> None:
    with serving(Download(lambda: io.BytesIO(CONTENT), lengths(1000))) as served:
        client = served.connect()
        for _ in range(2):
            assert client.ask(get()).content == CONTENT[:1000]


# -- close() and the class


@pytest.mark.parametrize("plain", [True, False], ids=["sendfile", "reading"])
def test_the_file_is_closed_when_its_client_has_gone(tmp_path: Path, plain: bool) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, LARGE)
    application = Download(lambda: path.open("rb") if plain else Slice(path.open("rb"), LARGE))
    with serving(application) as served:
        with served.connect(receive_buffer=65536) as client:
            client.send(get())
            client.read_some(1000)
        wait_until(lambda: application.file.closed, "the file being closed")
        wait_until(lambda: not served.server.connections, "the connection being closed")


def test_the_file_is_closed_when_start_response_was_not_called(path: Path) -> None:
    files: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        files.append(path.open("rb"))
        return environ["wsgi.file_wrapper"](files[0])

    with serving(application) as served:
        assert served.ask(get()).status == 500
    assert files[0].closed


def test_the_wrapper_is_a_class_with_the_usual_attributes(path: Path) -> None:
    with path.open("rb") as file:
        wrapper = FileWrapper(file, 1000)
        assert (wrapper.filelike, wrapper.blksize) == (file, 1000)
        assert wrapper.fileno() == file.fileno()
        assert next(iter(wrapper)) == CONTENT[:1000]
        wrapper.close()
        assert file.closed
    assert not hasattr(FileWrapper(io.BytesIO()), "nothing")


def test_middleware_that_looks_for_a_descriptor_leaves_the_file_to_the_server(
    path: Path, sendfile: Sendfile
) -> None:
    # What Sentry's middleware does: without `fileno` the result would be wrapped, and be read.
    inner = Download(lambda: path.open("rb"))

    def middleware(environ: Any, start_response: Any) -> Any:
        result = inner(environ, start_response)
        assert isinstance(result, environ["wsgi.file_wrapper"])
        if "wsgi.file_wrapper" in environ and hasattr(result, "fileno"):
            return result
        return (block for block in result)

    with serving(middleware) as served:
        assert served.ask(get()).content == CONTENT
    assert sendfile.total == len(CONTENT)


def test_a_wrapper_with_foreign_attributes_is_still_one(path: Path, sendfile: Sendfile) -> None:
    closed: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        wrapper = environ["wsgi.file_wrapper"](path.open("rb"))
        close = wrapper.close
        wrapper.close = lambda: (closed.append("closed"), close())
        return wrapper

    with serving(application) as served:
        assert served.ask(get()).content == CONTENT
        wait_until(lambda: closed, "close()")
    assert (closed, sendfile.total) == (["closed"], len(CONTENT))


# -- others get their turn


class Site:
    """A large file at ``/``, something small at ``/small``; `events` are the ends of their answers."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "large"
        self.path.touch()
        os.truncate(self.path, LARGE)
        self.events: list[str] = []

    def __call__(self, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/small":
            self.events.append("small")
            return [b"small"]
        wrapper = environ["wsgi.file_wrapper"](self.path.open("rb"))
        close = wrapper.close
        wrapper.close = lambda: (self.events.append("large"), close())
        return wrapper


def test_a_slow_reader_holds_up_nobody(tmp_path: Path, sendfile: Sendfile) -> None:
    with serving(Site(tmp_path)) as served:
        slow = served.connect(receive_buffer=65536)
        slow.send(get("/", "Connection: close"))
        slow.read_head()
        wait_until(lambda: served.connection_of(slow).writer is not None, "the reader's buffers being full")
        assert served.ask(get("/small")).content == b"small"
        assert sendfile.total < LARGE
        assert count_to_end(slow) == LARGE


def test_a_reader_as_fast_as_the_server_leaves_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    os.truncate(site.path, 1 << 40)  # it has holes only, and nobody gets to its end
    with serving(site) as served:
        fast, other = served.connect(), served.connect()

        def take_everything(into: int, file: int, offset: int, count: int) -> int:
            # A kernel whose buffers are never full: the server has no reason to wait but fairness.
            assert count <= 1 << 20
            if not offset:
                other.send(get("/small"))
            return 0 if site.events else count

        monkeypatch.setattr(stream, "os", SimpleNamespace(sendfile=take_everything))
        fast.send(get("/", "Connection: close"))
        assert other.read().content == b"small"
        wait_until(lambda: "large" in site.events, "the end of the download")
        assert site.events == ["small", "large"]

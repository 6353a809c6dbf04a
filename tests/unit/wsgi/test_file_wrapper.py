"""wsgi.file_wrapper: it iterates as PEP 3333 wants, and files are known whose descriptor does not lie."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenserve.wsgi.file_wrapper import BLOCK_SIZE, FileWrapper, file_region

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


# -- an iterable


class Filelike:
    """The least that PEP 3333 asks of a file-like object: read()."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = list(blocks)
        self.sizes: list[int] = []

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        return self.blocks.pop(0) if self.blocks else b""


class Closable(Filelike):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_it_gives_the_blocks_until_there_are_no_more() -> None:
    wrapper = FileWrapper(Filelike(b"one", b"two"))
    assert list(wrapper) == [b"one", b"two"]
    assert list(wrapper) == []


def test_it_is_its_own_iterator() -> None:
    wrapper = FileWrapper(Filelike(b"one", b"two"))
    assert iter(wrapper) is wrapper
    assert [next(wrapper), next(wrapper), next(wrapper, None)] == [b"one", b"two", None]


@pytest.mark.parametrize(("arguments", "size"), [((), BLOCK_SIZE), ((7,), 7)])
def test_it_reads_blocks_of_the_size_asked_for(arguments: tuple[int, ...], size: int) -> None:
    filelike = Filelike(b"one")
    list(FileWrapper(filelike, *arguments))
    assert filelike.sizes == [size, size]


def test_the_block_size_has_the_name_that_others_use() -> None:
    filelike = Filelike(b"one")
    list(FileWrapper(filelike, blksize=9))
    assert filelike.sizes == [9, 9]


def test_nothing_is_read_ahead() -> None:
    filelike = Filelike(b"one", b"two")
    wrapper = FileWrapper(filelike)
    assert filelike.sizes == []
    next(wrapper)
    assert len(filelike.sizes) == 1


def test_close_closes_the_file() -> None:
    filelike = Closable()
    FileWrapper(filelike).close()
    assert filelike.closed == 1


def test_close_of_what_cannot_be_closed_does_nothing() -> None:
    FileWrapper(Filelike()).close()


def test_its_descriptor_is_the_file_s(path: Path) -> None:
    with path.open("rb") as file:
        wrapper = FileWrapper(file)
        assert wrapper.filelike is file
        assert wrapper.fileno() == file.fileno()


@pytest.mark.parametrize(
    ("filelike", "error"), [(Filelike(), AttributeError), (io.BytesIO(), io.UnsupportedOperation)]
)
def test_what_has_no_descriptor_says_so_itself(filelike: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        FileWrapper(filelike).fileno()


# -- regular files


def read_region(filelike: Any) -> bytes:
    """Return what sending the region of a file would send; it has one."""
    region = file_region(filelike)
    assert region is not None
    fileno, offset, count = region
    data = os.pread(fileno, count, offset)
    assert len(data) == count
    return data


def open_temporary(**options: Any) -> Any:
    file = tempfile.NamedTemporaryFile(**options)
    file.write(CONTENT)
    file.seek(0)
    return file


PLAIN: dict[str, Callable[[Path], Any]] = {
    "buffered-reader": lambda path: path.open("rb"),
    "buffered-random": lambda path: path.open("r+b"),
    "raw": lambda path: path.open("rb", buffering=0),
    "raw-random": lambda path: path.open("r+b", buffering=0),
    "descriptor": lambda path: open(os.open(path, os.O_RDONLY), "rb"),
    "temporary": lambda path: open_temporary(),
    "temporary-raw": lambda path: open_temporary(buffering=0),
    "temporary-kept": lambda path: open_temporary(dir=path.parent, delete=False),
}
every_plain_file = pytest.mark.parametrize("open_file", PLAIN.values(), ids=PLAIN)


@every_plain_file
@pytest.mark.parametrize("move", ["nowhere", "read", "seek", "end"])
def test_the_region_is_what_reading_would_give(
    path: Path, move: str, open_file: Callable[[Path], Any]
) -> None:
    with open_file(path) as file:
        if move == "read":
            assert file.read(300) == CONTENT[:300]
        elif move == "seek":
            file.seek(5000)
        elif move == "end":
            file.seek(0, os.SEEK_END)
        found = read_region(file)
        assert found == file.read()
        assert len(found) == {"nowhere": 10240, "read": 9940, "seek": 5240, "end": 0}[move]


@every_plain_file
def test_looking_does_not_move(path: Path, open_file: Callable[[Path], Any]) -> None:
    with open_file(path) as file:
        file.seek(17)
        assert file_region(file) == file_region(file)
        assert file.tell() == 17


@every_plain_file
def test_behind_the_end_there_is_nothing(path: Path, open_file: Callable[[Path], Any]) -> None:
    with open_file(path) as file:
        file.seek(len(CONTENT) + 5)
        region = file_region(file)
        assert region is not None
        assert region[2] == 0
        assert file.read() == b""


def test_the_region_has_the_descriptor_of_the_file(path: Path) -> None:
    with path.open("rb") as file:
        assert file_region(file) == (file.fileno(), 0, len(CONTENT))


@pytest.mark.parametrize("open_file", [lambda path: path.open("r+b"), lambda path: open_temporary()])
def test_what_has_been_written_counts(path: Path, open_file: Callable[[Path], Any]) -> None:
    with open_file(path) as file:
        file.seek(0, os.SEEK_END)
        file.write(b"and more")
        file.seek(len(CONTENT) - 3)
        file.write(b"XYZ")
        file.seek(-11, os.SEEK_END)
        file.write(b"xyz")
        file.seek(-11, os.SEEK_CUR)
        assert read_region(file) == file.read()


@pytest.mark.parametrize("open_file", [lambda path: path.open("r+b"), lambda path: open_temporary()])
def test_what_has_been_written_counts_although_it_is_still_in_a_buffer(
    path: Path, open_file: Callable[[Path], Any]
) -> None:
    with open_file(path) as file:
        file.read(100)
        file.write(b"XYZ")
        file.seek(50)
        assert read_region(file) == file.read()


# -- everything else is read


class Subclass(io.FileIO):
    """A kind of its own: what reading it gives is not known."""


class BufferedSubclass(io.BufferedReader):
    """Another one."""


class Holder:
    """It has a file, as a tempfile wrapper has, and is none."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.fileno = file.fileno
        self.read = file.read
        self.close = file.close


def spooled(memory: int) -> Any:
    file = tempfile.SpooledTemporaryFile(memory)
    file.write(CONTENT)
    file.seek(0)
    return file


def compressed(path: Path, module: Any) -> Any:
    with module.open(path, "wb") as file:
        file.write(CONTENT)
    return module.open(path, "rb")


def zipped(path: Path) -> Any:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("member", CONTENT)
    return zipfile.ZipFile(path).open("member")


def holding_twice(path: Path) -> Any:
    """A tempfile wrapper of a tempfile wrapper: one is taken off."""
    inner = open_temporary()
    outer = open_temporary()
    outer.file.close()
    outer.file = inner
    return outer


OTHERS: dict[str, Callable[[Path], Any]] = {
    "memory": lambda path: io.BytesIO(CONTENT),
    "text": lambda path: path.open("r", encoding="latin-1"),
    "writer": lambda path: path.open("ab"),
    "raw-writer": lambda path: path.open("ab", buffering=0),
    "gzip": lambda path: compressed(path, gzip),
    "bz2": lambda path: compressed(path, bz2),
    "lzma": lambda path: compressed(path, lzma),
    "zip": zipped,
    "subclass": lambda path: Subclass(path),
    "buffered-subclass": lambda path: BufferedSubclass(io.FileIO(path)),
    "holder": lambda path: Holder(path.open("rb")),
    "wrapper-of-text": lambda path: open_text_temporary(),
    "wrapper-of-wrapper": holding_twice,
    "spooled": lambda path: spooled(1 << 20),
    "spooled-on-disk": lambda path: spooled(1),
    "empty": lambda path: (path.write_bytes(b""), path.open("rb"))[1],
    "made-up-by-the-kernel": lambda path: open("/proc/self/stat", "rb"),
    "device": lambda path: open("/dev/null", "rb"),
    "raw-device": lambda path: open("/dev/zero", "rb", buffering=0),
}


def open_text_temporary() -> Any:
    file = tempfile.NamedTemporaryFile("w+")
    file.write("text")
    file.seek(0)
    return file


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("open_file", OTHERS.values(), ids=OTHERS)
def test_where_the_descriptor_would_tell_something_else_there_is_no_region(
    path: Path, open_file: Callable[[Path], Any]
) -> None:
    file = open_file(path)
    try:
        assert file_region(file) is None
    finally:
        file.close()


@pytest.fixture
def pipe() -> Iterator[int]:
    """The reading end of a pipe with something in it."""
    reading, writing = os.pipe()
    os.write(writing, b"content")
    yield reading
    os.close(writing)


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_pipe_has_no_region(pipe: int, buffering: int) -> None:
    with open(pipe, "rb", buffering=buffering) as file:
        assert file_region(file) is None
        assert os.read(pipe, 100) == b"content", "and nothing of it is taken"


def test_what_is_no_regular_file_has_no_region_whatever_its_size(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.stat(path)
    device = os.stat_result((stat.S_IFBLK | 0o600, *found[1:]))
    with path.open("rb") as file, monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda fileno: device)
        assert file_region(file) is None


@every_plain_file
def test_a_closed_file_has_no_region(path: Path, open_file: Callable[[Path], Any]) -> None:
    file = open_file(path)
    file.close()
    assert file_region(file) is None


def test_a_file_whose_descriptor_has_gone_has_no_region(path: Path) -> None:
    fileno = os.open(path, os.O_RDONLY)
    with io.FileIO(fileno, closefd=False) as file:
        os.close(fileno)
        assert file_region(file) is None


def test_a_file_whose_last_block_cannot_be_written_has_no_region(path: Path) -> None:
    fileno = os.open(path, os.O_RDWR)
    file = io.BufferedRandom(io.FileIO(fileno, "r+", closefd=False))
    file.write(b"block")
    os.close(fileno)
    assert file_region(file) is None
    with pytest.raises(OSError):
        file.close()


def test_a_buffered_reader_that_was_detached_has_no_region(path: Path) -> None:
    file = path.open("rb")
    with file.detach():
        assert file_region(file) is None


@pytest.mark.parametrize(
    "filelike", [None, b"content", Filelike(b"content")], ids=lambda each: type(each).__name__
)
def test_what_is_no_file_at_all_has_no_region(filelike: Any) -> None:
    assert file_region(filelike) is None


def test_a_buffer_in_front_of_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"content"))
    with gzip.open(path) as compressed, io.BufferedReader(compressed) as file:  # type: ignore[type-var]
        assert file_region(file) is None
        assert b"".join(FileWrapper(file)) == b"content"

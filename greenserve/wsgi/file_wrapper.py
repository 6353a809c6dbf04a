"""wsgi.file_wrapper (PEP 3333, Optional Platform-Specific File Handling)."""

from __future__ import annotations

import io
import os
import stat
from typing import Any

BLOCK_SIZE = 65536

#: The file types whose descriptor tells what reading them would give.  gzip and bz2 files have a
#: descriptor too, and it lies.
_PLAIN_FILES = (io.BufferedReader, io.BufferedRandom, io.FileIO)


class FileWrapper:
    """An iterable over a file-like object; a regular file goes out by sendfile(2) where it can.

    Raises AttributeError from `fileno()` where the file-like object has no descriptor, as the
    object itself would.
    """

    def __init__(self, filelike: Any, blksize: int = BLOCK_SIZE) -> None:
        self.filelike = filelike
        self.blksize = blksize

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.blksize)
        if not block:
            raise StopIteration
        return block

    def fileno(self) -> int:
        fileno: int = self.filelike.fileno()
        return fileno

    def close(self) -> None:
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()


def file_region(filelike: Any) -> tuple[int, int, int] | None:
    """Return descriptor, offset and number of bytes that reading `filelike` to its end would give.

    None where only reading can tell: sockets, pipes, compressed and in-memory files.
    """
    # A tempfile wrapper holds the real file.
    plain = getattr(filelike, "file", filelike) if type(filelike).__module__ == "tempfile" else filelike
    if type(plain) not in _PLAIN_FILES:
        return None
    if type(getattr(plain, "raw", plain)) is not io.FileIO:
        return None  # a buffer in front of something else, which has a descriptor that lies: gzip
    try:
        if type(plain) is io.BufferedRandom:
            plain.flush()
        fileno = plain.fileno()
        status = os.fstat(fileno)
        # What the kernel makes up (/proc) is a regular file of no size, and has content all the same.
        if not stat.S_ISREG(status.st_mode) or not status.st_size or not plain.readable():
            return None
        offset = plain.tell()
    except (OSError, ValueError):
        return None
    return fileno, offset, max(0, status.st_size - offset)

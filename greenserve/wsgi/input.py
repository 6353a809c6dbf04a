"""wsgi.input over any source of content (PEP 3333, Input and Error Streams)."""

from __future__ import annotations

from typing import Protocol

#: Reads of so many octets, or more, ask for just what they lack, and get it uncopied.  Smaller ones are
#: served from what there is: each of them would be a system call.
LARGE = 1 << 14


class Receive(Protocol):
    """Where content comes from: `Input` says what it is to return.

    Up to `most` octets are of use now, 0: as many as there are.
    """

    def __call__(self, most: int = 0) -> bytes: ...


class Input:
    """A read-only stream of bytes; it ends by itself where the content ends.

    `receive` returns the next piece of the content, however large, and b"" at its end; what it
    raises passes into the application and is an OSError.  Nothing is lost by that: what a call had taken
    when it failed is what the next one begins with.
    """

    __slots__ = ("_buffer", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._buffer = b""

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, or what is left of the content; all of it by default."""
        if size is None or size < 0:
            pieces = [self._buffer]
            self._buffer = b""
            try:
                while piece := self._receive():
                    pieces.append(piece)
            except BaseException:
                self._buffer = b"".join(pieces)
                raise
            return b"".join(pieces)
        if len(self._buffer) < size:
            self._fill(size)
        taken = self._buffer
        if len(taken) <= size:
            self._buffer = b""
            return taken
        self._buffer = taken[size:]
        return taken[:size]

    def _fill(self, size: int) -> None:
        """Have `size` bytes in the buffer, or all that is left."""
        pieces = [self._buffer] if self._buffer else []
        missing = size - len(self._buffer)
        try:
            while missing > 0 and (piece := self._receive(missing if size >= LARGE else 0)):
                pieces.append(piece)
                missing -= len(piece)
        finally:
            self._buffer = b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next line with its LF, or `size` bytes of it; b"" at the end."""
        limit = -1 if size is None or size < 0 else size
        pieces: list[bytes] = []
        length = 0
        while length != limit:
            if not self._buffer:
                try:
                    self._buffer = self._receive()
                except BaseException:
                    self._buffer = b"".join(pieces)
                    raise
                if not self._buffer:
                    break
            end = self._buffer.find(b"\n") + 1 or len(self._buffer)
            if limit >= 0:
                end = min(end, limit - length)
            piece, self._buffer = self._buffer[:end], self._buffer[end:]
            pieces.append(piece)
            length += end
            if piece.endswith(b"\n"):
                break
        return b"".join(pieces)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """Return the lines that are left; with `hint`, whole lines until that many bytes are read."""
        lines: list[bytes] = []
        total = 0
        try:
            for line in self:
                lines.append(line)
                total += len(line)
                if hint is not None and 0 < hint <= total:
                    break
        except BaseException:
            self._buffer = b"".join(lines) + self._buffer
            raise
        return lines

    def __iter__(self) -> Input:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line


#: What a request without content reads from.  It has no state, so all of them share it.
EMPTY_INPUT = Input(lambda most=0: b"")

"""The chunked transfer coding, both ways (RFC 9112, 7.1)."""

from __future__ import annotations

from greenserve.errors import BodyError, ChunkedCodingError, ContentTooLarge, TrailersTooLarge
from greenserve.protocol.grammar import CHUNK_LINE, FIELD_OCTETS, TOKEN

LAST_CHUNK = b"0\r\n\r\n"

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


def parse_chunk_size(line: bytes) -> int:
    """Return the size that a chunk-size line, free of its CRLF, announces.

    Extensions are checked and ignored (RFC 9112, 7.1.1).  Raises ChunkedCodingError.
    """
    # int() alone would take b"+5", b"0x5" and b"1_0": a front end that reads
    # them otherwise would let a second request be smuggled in.
    match = CHUNK_LINE.fullmatch(line)
    if match is None:
        raise ChunkedCodingError(f"invalid chunk-size line {line[:64]!r}")
    return int(match[1], 16)


def parse_trailer(line: bytes) -> tuple[str, str]:
    """Return the field of a line of a trailer section, free of its CRLF (RFC 9112, 7.1.2).

    It is never merged into the header fields (RFC 9110, 6.5.1).  Raises ChunkedCodingError.
    """
    name, colon, value = line.decode("latin-1").partition(":")
    if not colon or not TOKEN.fullmatch(name) or line.translate(None, FIELD_OCTETS):
        raise ChunkedCodingError(f"invalid trailer field {line[:64]!r}")
    return name, value.strip(" \t")


class ChunkedDecoder:
    """A body in chunks; resumable at any octet.

    `line_limit` bounds a chunk-size line, `trailer_limit` the trailer section, `body_limit` the
    content (0: no bound), all in bytes.
    """

    __slots__ = (
        "_fields",
        "_remaining",
        "_state",
        "_total",
        "_trailer_size",
        "body_limit",
        "line_limit",
        "trailer_limit",
        "trailers",
    )

    def __init__(self, line_limit: int = 4096, trailer_limit: int = 8190, body_limit: int = 0) -> None:
        self.line_limit = line_limit
        self.trailer_limit = trailer_limit
        self.body_limit = body_limit
        self.trailers: list[tuple[str, str]] = []
        self._state = _SIZE
        self._fields: list[tuple[str, str]] = []
        self._remaining = 0
        self._total = 0
        self._trailer_size = 0

    @property
    def done(self) -> bool:
        """Whether the last chunk and the trailer section have been read."""
        return self._state == _DONE

    def decode(self, buffer: bytes, start: int) -> tuple[bytes, int]:
        """Return the content found in `buffer` from `start` on, and the offset behind what was used.

        To be called again with what is left and more.  Raises ChunkedCodingError, ContentTooLarge,
        TrailersTooLarge.
        """
        pieces: list[bytes] = []
        position = start
        while self._state != _DONE:
            if self._state == _DATA:
                piece = buffer[position : position + self._remaining]
                if not piece:
                    break
                pieces.append(piece)
                position += len(piece)
                self._remaining -= len(piece)
                if self._remaining:
                    break
                self._state = _DATA_END
            before = position
            try:
                position = self._advance(buffer, position)
            except BodyError:
                if not pieces:
                    raise
                break  # what is good is given out first: the next call says what is wrong
            if position == before:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), position

    def _advance(self, buffer: bytes, position: int) -> int:
        """Return the offset behind what stands between two pieces of content, or `position`."""
        if self._state == _DATA_END:
            return self._skip_data_end(buffer, position)
        if self._state == _SIZE:
            return self._read_size(buffer, position)
        return self._read_trailers(buffer, position)

    def _skip_data_end(self, buffer: bytes, position: int) -> int:
        end = buffer[position : position + 2]
        if end == b"\r\n":
            self._state = _SIZE
            return position + 2
        if end not in (b"", b"\r"):
            raise ChunkedCodingError(f"chunk data not followed by CRLF but by {end!r}")
        return position

    def _read_size(self, buffer: bytes, position: int) -> int:
        end = buffer.find(b"\n", position, position + self.line_limit + 2)
        if end < 0:
            self._check_partial_line(buffer, position)
            return position
        if buffer[end - 1 : end] != b"\r" or end == position:
            raise ChunkedCodingError("chunk-size line ended by a bare LF")
        size = parse_chunk_size(buffer[position : end - 1])
        self._total += size
        if 0 < self.body_limit < self._total:
            raise ContentTooLarge(f"chunked content of more than {self.body_limit} bytes")
        self._remaining = size
        self._state = _DATA if size else _TRAILERS
        return end + 1

    def _check_partial_line(self, buffer: bytes, position: int) -> None:
        line = buffer[position : position + self.line_limit + 2]
        if len(line) > self.line_limit + 1:
            raise ChunkedCodingError(f"chunk-size line of more than {self.line_limit} bytes")
        digits = line.rstrip(b"\r").partition(b";")[0].rstrip(b" \t")
        # Wrong from its first octets on: say so now, not when the line or the time has run out.
        if digits and not CHUNK_LINE.fullmatch(digits):
            raise ChunkedCodingError(f"invalid chunk-size {digits[:64]!r}")

    def _read_trailers(self, buffer: bytes, position: int) -> int:
        """Take complete lines of the trailer section; the empty one ends it (RFC 9112, 7.1.2)."""
        end = buffer.find(b"\r\n", position)
        line = buffer[position:] if end < 0 else buffer[position:end]
        if end == position:
            self._state = _DONE
            self.trailers = self._fields
            return end + 2
        if end < 0:
            line = line.removesuffix(b"\r")
            if not line:
                return position  # perhaps the beginning of the end
        size = self._trailer_size + len(line)
        if size > self.trailer_limit:
            raise TrailersTooLarge(f"trailer section of more than {self.trailer_limit} bytes")
        if end < 0:
            if line.translate(None, FIELD_OCTETS):
                raise ChunkedCodingError(f"invalid trailer field {line[:64]!r}")
            return position
        self._fields.append(parse_trailer(line))
        self._trailer_size = size + 2  # the line ends that are not the last are counted
        return end + 2

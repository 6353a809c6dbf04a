"""Message framing and persistence: where a body ends, and whether another request may follow.

RFC 9112, 6 (message body length) and 9 (connection management).
"""

from __future__ import annotations

from greenserve.errors import ContentTooLarge, NotImplementedCoding, ProtocolError
from greenserve.protocol.grammar import DIGITS, fold_case

LARGEST_LENGTH = 2**63 - 1


def parse_content_length(value: str) -> int:
    """Return the length that a Content-Length field announces (RFC 9110, 8.6).

    A list of equal values, which the RFC would let pass, is refused: nobody needs it but smugglers.
    Raises ProtocolError, and ContentTooLarge beyond 2**63 - 1.
    """
    if len(value) < 19 and value.isascii() and value.isdecimal():
        return int(value)  # as nearly all are
    if not DIGITS.fullmatch(value):
        raise ProtocolError(f"invalid Content-Length {value[:64]!r}")
    # int() of a very long text is quadratic, and refused by Python with an error of its own.
    digits = value.lstrip("0")
    if len(digits) > 19 or (length := int(digits or "0")) > LARGEST_LENGTH:
        raise ContentTooLarge(f"Content-Length {value[:64]!r}")
    return length


def check_transfer_encoding(value: str, http_minor: int, has_length: bool) -> None:
    """Return if the only transfer coding is chunked; raise if not (RFC 9112, 6.1 and 6.3).

    Raises ProtocolError where the length of the body cannot be told for certain, and
    NotImplementedCoding where it could, but the coding is not known here.
    """
    if has_length:
        raise ProtocolError("Transfer-Encoding beside Content-Length")
    if http_minor == 0:
        raise ProtocolError("Transfer-Encoding in HTTP/1.0")
    codings = [fold_case(coding.strip(" \t")) for coding in value.split(",")]
    if codings == ["chunked"]:
        return
    # RFC 9112, 6.3: where chunked is not the last one, 400 is a must; 501 is for what comes before it.
    if codings[-1] != "chunked" or "" in codings or "chunked" in codings[:-1]:
        raise ProtocolError(f"chunked is not the last transfer coding, once: {value[:64]!r}")
    raise NotImplementedCoding(f"unknown transfer coding in {value[:64]!r}")


def connection_options(value: str) -> frozenset[str]:
    """Return the options of a Connection field, in lower case (RFC 9110, 7.6.1)."""
    options = _options.get(value)
    if options is None:
        options = frozenset(fold_case(option.strip(" \t")) for option in value.split(","))
        if len(value) <= 64:
            if len(_options) >= 64:
                _options.clear()
            _options[value] = options
    return options


_options: dict[str, frozenset[str]] = {}


class LengthDecoder:
    """A body of known length (RFC 9112, 6.2)."""

    __slots__ = ("done", "remaining", "trailers")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.done = length == 0
        self.trailers: list[tuple[str, str]] = []

    def decode(self, buffer: bytes, start: int) -> tuple[bytes, int]:
        """Return the content found in `buffer` from `start` on, and the offset behind it."""
        content = buffer[start : start + self.remaining]
        self.remaining -= len(content)
        self.done = self.remaining == 0
        return content, start + len(content)

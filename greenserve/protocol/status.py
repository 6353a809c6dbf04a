"""Status codes: reason phrases, and which responses have no content (RFC 9110, 6.4.1 and 15)."""

from __future__ import annotations

from http import HTTPStatus

from greenserve.protocol.grammar import STATUS

#: Status as the application gave it -> status code, status line, whether there may be content.  Bounded,
#: cleared when full.
known_statuses: dict[str, tuple[int, bytes, bool]] = {
    f"{status.value} {status.phrase}": (
        status.value,
        b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii")),
        status.value not in (101, 204, 304),
    )
    for status in HTTPStatus
    if status.value >= 200 or status.value == 101
}
_KNOWN_LIMIT = 256

#: Statuses that a response may have and whose responses never have content (RFC 9112, 6.3).
BODYLESS = frozenset({101, 204, 304})


def parse_status(status: str) -> tuple[int, bytes, bool]:
    """Return what `known_statuses` holds for a PEP 3333 status such as ``"200 OK"``.

    Raises UnicodeError when it is no native ISO-8859-1 string, ValueError when it is no final status nor 101.
    """
    if not isinstance(status, str):
        raise UnicodeError(f"the status must be a native string, not {type(status).__name__}")
    if "\r" in status or "\n" in status:
        raise ValueError("carriage return or newline in status", status)
    match = STATUS.fullmatch(status)
    if match is None:
        try:
            status.encode("latin-1")
        except UnicodeEncodeError:
            raise UnicodeError(f"invalid status {status!a}: it is not in ISO-8859-1") from None
        raise ValueError(f"invalid status {status!r}: three digits, a space and a reason are wanted")
    code = int(match[1])
    if code < 200 and code != 101:
        raise ValueError(f"status {status!r} is an interim one: it cannot be a response")
    found = code, b"HTTP/1.1 %d %b\r\n" % (code, (match[2] or "").encode("latin-1")), code not in BODYLESS
    if len(status) <= 64:
        if len(known_statuses) >= _KNOWN_LIMIT:
            known_statuses.clear()
        known_statuses[status] = found
    return found

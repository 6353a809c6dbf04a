"""The head of a response: fields as the application gives them, checked and as octets.

RFC 9112, 4 to 6; RFC 9110, 5; PEP 3333 (native strings, no control characters, no hop-by-hop).
"""

from __future__ import annotations

from collections.abc import Iterable

from greenserve.protocol.framing import connection_options
from greenserve.protocol.grammar import FIELD_OCTETS, LENGTH, MARKS, TOKEN
from greenserve.protocol.status import BODYLESS, known_statuses, parse_status

Fields = Iterable[tuple[str, str]]

#: What a field means to the server.
CONTENT_LENGTH, DATE, SERVER, CONNECTION, HOP_BY_HOP, UPGRADE = range(6)

_MEANINGS = {
    "content-length": CONTENT_LENGTH,
    "date": DATE,
    "server": SERVER,
    "connection": CONNECTION,
    "upgrade": UPGRADE,
    "keep-alive": HOP_BY_HOP,
    "proxy-connection": HOP_BY_HOP,
    "te": HOP_BY_HOP,
    "trailer": HOP_BY_HOP,
    "transfer-encoding": HOP_BY_HOP,
}

#: Names of fields that mean nothing to the server, as applications spell them.  Bounded, cleared when full.
_ordinary: set[str] = set()
_ORDINARY_LIMIT = 512

_LENGTH_NAMES = ("Content-Length", "content-length")


class ResponseHead:
    """A checked response head, without what the server adds.

    `octets` are the status line and field lines; `content_length` is None where the application
    gave none; `close` tells that it asked for that; `upgrade` that it names protocols that it would
    switch to; `dropped` are the names of fields left out; `plain` tells that nothing but the length
    concerns the server.
    """

    code: int
    octets: bytes
    content_length: int | None = None
    plain = True
    has_date = False
    has_server = False
    close = False
    upgrade = False
    dropped: tuple[str, ...] = ()


def serialize_head(status: str, fields: Fields) -> ResponseHead:
    """Return the head of a response as octets, without Date, framing and the empty line.

    Raises UnicodeError where a name or value is no native ISO-8859-1 string, ValueError where one
    holds what the grammar forbids: nothing that an application lets in can begin a second field.
    """
    head = ResponseHead()
    head.code, line, head.plain = known_statuses.get(status) or parse_status(status)
    parts = [line]
    try:
        for name, value in fields:
            if name not in _ordinary and not _look(head, name, value):
                continue
            parts += (name, ": ", value, "\r\n")
        octets = "".join(parts).encode("latin-1")
    except (TypeError, UnicodeEncodeError):
        raise _explain_fields(fields) from None
    # Everything but the CRLFs put in here must be a legal field octet: (1 + 4n) parts make 1 + n lines.
    if octets.translate(MARKS).count(b"!") != 2 * ((len(parts) + 3) // 4):
        raise _explain_fields(fields)
    head.octets = octets
    return head


def serialize_interim(status: str, fields: Fields) -> bytes:
    """Return a whole interim response such as 103 (RFC 8297).  Raises as `serialize_head`.

    Fields about the message or the connection are left out: they would be about the final response.
    """
    fields = [(name, value) for name, value in fields if _MEANINGS.get(str(name).lower()) is None]
    head = serialize_head("200 OK", fields)
    return f"HTTP/1.1 {status}\r\n".encode("latin-1") + head.octets.partition(b"\r\n")[2] + b"\r\n"


def _look(head: ResponseHead, name: str, value: str) -> bool:
    """Note what a field that is not known to be ordinary says to the server; return whether it is sent."""
    if name in _LENGTH_NAMES and head.content_length is None and LENGTH.fullmatch(value):
        head.content_length = int(value)  # as below: most responses have one
        return head.code == 304 or head.code not in BODYLESS
    if not isinstance(name, str):
        raise TypeError
    meaning = _MEANINGS.get(name.lower())
    if meaning is None:
        _check_name(name)
        return True
    if meaning == CONTENT_LENGTH:
        return _note_length(head, value)
    return _note(head, meaning, name, value)


def _check_name(name: str) -> None:
    """Raise ValueError for a name that is no token; remember one that is."""
    if not TOKEN.fullmatch(name):
        if "\r" in name or "\n" in name:
            raise ValueError("carriage return or newline in header name", name)
        raise ValueError(f"invalid header name {name!r}")
    if len(name) <= 64:
        if len(_ordinary) >= _ORDINARY_LIMIT:
            _ordinary.clear()
        _ordinary.add(name)


def _note(head: ResponseHead, meaning: int, name: str, value: str) -> bool:
    head.plain = False
    if meaning == DATE:
        head.has_date = True
    elif meaning == SERVER:
        head.has_server = True
    elif head.code == 101 and meaning in (CONNECTION, UPGRADE):
        head.close = True
    elif meaning == UPGRADE:
        head.upgrade = True  # RFC 9110, 7.8: passed, with an option in Connection that the server adds
    else:
        if meaning == CONNECTION and "close" in connection_options(value):
            head.close = True  # obeyed; the server says so itself
        elif meaning != CONNECTION or connection_options(value) != {"upgrade"}:
            head.dropped += (name,)
        return False
    return True


def _note_length(head: ResponseHead, value: str) -> bool:
    """Note a length; refuse what is none or another one than before, leave out the same again."""
    if not LENGTH.fullmatch(value):
        raise ValueError(f"invalid Content-Length {value!r}")
    if head.content_length is not None:
        if int(value) != head.content_length:
            raise ValueError(f"two Content-Length fields, {head.content_length} and {value}")
        return False
    head.content_length = int(value)
    return head.code == 304 or head.code not in BODYLESS  # RFC 9110, 8.6: never with 1xx and 204


def _explain_fields(fields: Fields) -> ValueError:
    for name, value in fields:
        for text, what in ((name, "name"), (value, "value")):
            if not isinstance(text, str):
                return UnicodeError(f"the header {what} must be a native string", name, value)
            if "\r" in text or "\n" in text:
                return ValueError(f"carriage return or newline in header {what}", text)
            try:
                octets = text.encode("latin-1")
            except UnicodeEncodeError:
                return UnicodeError("non-latin1 header", repr(name), repr(value))
            if octets.translate(None, FIELD_OCTETS):
                return ValueError(f"control character in header {what}", text)
    return ValueError("invalid response headers: pairs of native strings are wanted", fields)

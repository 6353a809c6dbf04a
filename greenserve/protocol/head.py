"""The head of a request: request line and header section (RFC 9112, 2 to 5; RFC 9110, 5 to 7).

`parse_head` takes a buffer and fills an environ.  It is the hot path: the head is decoded once,
one `translate` checks every octet, and splitting may then be naive.  Whatever is refused goes to
`explain_head`, which may be slow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from greenserve.errors import (
    ExpectationFailed,
    HeadTooLarge,
    MethodNotImplemented,
    ProtocolError,
    TargetTooLong,
    VersionNotSupported,
)
from greenserve.protocol.cgi import environ_key, known_lines, names, prefixed, remarkable, remember_line
from greenserve.protocol.framing import check_transfer_encoding, connection_options, parse_content_length
from greenserve.protocol.grammar import HEAD_OCTETS, HTTP_VERSION, MARKS, REQUEST_TARGET, TOKEN
from greenserve.protocol.target import (
    check_host,
    decode_path,
    known_hosts,
    parse_other_form,
    strip_root_path,
)

#: What an environ holds before `parse_head` fills it: values that most requests have, and places, since
#: a dictionary that grows for each request costs as much as copying it.
ENVIRON_PLACES = {
    "REQUEST_METHOD": "",
    "SCRIPT_NAME": "",
    "PATH_INFO": "",
    "QUERY_STRING": "",
    "RAW_URI": "",
    "REQUEST_URI": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
}

#: Methods that need no look; all others are looked at, and are as welcome if they are tokens.
_PLAIN_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH"})

#: What no request target holds, of the marks.
_SUSPECT = ord("?")


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a head may be, in bytes or fields, and what becomes of names with an underscore.

    `underscore` is "drop", "refuse" or "allow".
    """

    request_line: int = 8190
    fields: int = 100
    field_size: int = 16384
    head: int = 65536
    underscore: str = "drop"
    #: A head of no more octets has no line that is too long, either.
    unsuspicious: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unsuspicious", min(self.request_line, self.field_size, self.head))


class RequestHead:
    """What the server needs to know of a request; everything else is in the environ.

    `http_minor` is 0 or 1, `content_length` None when there is none, `end` the offset in the buffer
    just behind the head.  Class attributes stand for what most requests have: making one sets little.
    """

    #: All of it but the empty line at its end, for who wants to know what was sent.
    octets: bytes
    end: int
    #: Whether this is as common as can be: HTTP/1.1, persistent, without content, not about to change.
    plain: bool
    #: Whether that would be so, had the request no content.
    plain_but_content = False
    #: Whether that would be so, were it not the last one of its connection.
    plain_but_last = False
    http_minor = 1
    content_length: int | None = None
    chunked = False
    persistent = True
    expect_continue = False
    upgrade = False


def parse_head(
    buffer: bytes, start: int, limits: Limits, environ: dict[str, Any], seen: int = 0
) -> RequestHead | None:
    """Return the head that begins at `start`, or None where more octets are needed.

    `seen` is how much of `buffer` an earlier call has found to be the beginning of a head: a head that
    comes octet by octet is not read again from its first one each time.

    Fills `environ`, a copy of one that has what `ENVIRON_PLACES` has, and no field yet.  Raises
    ProtocolError, with the status that the peer is to be told; what is in `environ` then is of no use.
    """
    end = buffer.find(b"\r\n\r\n", max(start, seen - 3) if seen else start)
    if end < 0:
        _check_partial_head(buffer, start, limits, seen)
        return None
    octets = buffer[start:end]
    lines = octets.decode("latin-1").split("\r\n")
    marks = octets.translate(MARKS)
    # The CRLFs count two octets each: anything more is a bare CR or LF, NUL or another control.
    if marks.count(b"!") != 2 * len(lines) - 2:
        raise explain_head(octets)
    line = lines[0]
    if not line:
        if not octets:
            raise ProtocolError("empty lines instead of a request line")
        del lines[0]  # one empty line before a request line is tolerated (RFC 9112, 2.2)
        marks = marks[2:]
        line = lines[0]
    if len(octets) > limits.unsuspicious or len(lines) > limits.fields:
        _check_sizes(octets, lines, limits)
    head = RequestHead()
    head.octets = octets
    head.end = end + 4
    head.plain = True
    try:
        method, target, version = line.split(" ")
    except ValueError:
        raise explain_head(octets) from None
    # A number, not b"?": bytes would be taken for an index first, and the exception for that costs 0.25 us.
    special = version != "HTTP/1.1" or method not in _PLAIN_METHODS or _SUSPECT in marks[: len(line)]
    if special or not target:
        _check_request_line(line)
        if version == "HTTP/1.0":
            head.http_minor = 0
            head.persistent = False
            environ["SERVER_PROTOCOL"] = version
        head.plain = False
    environ["REQUEST_METHOD"] = method
    environ["RAW_URI"] = environ["REQUEST_URI"] = target

    host_is_known = len(lines) > 1 and (line := lines[1]) in known_hosts
    if host_is_known:
        environ["HTTP_HOST"] = known_hosts[line]
        del lines[:2]
    else:
        del lines[0]
        special = True
    size = len(environ) + len(lines)
    for line in lines:
        if line in known_lines:
            key, value = known_lines[line]
            environ[key] = value
        else:
            name, colon, value = line.partition(":")
            key = names.get(name, "")
            if not key or not colon:
                if not (key := _learn_name(line, name, limits)):
                    continue
            environ[key] = value = value.strip(" \t")
            if key in remarkable and not remember_line(line, key, value):
                special = True
    if len(environ) != size:
        special = True
        _combine_fields(octets, environ, limits)

    path = target
    if target[0] != "/":
        head.plain = False
        path = parse_other_form(method, target, environ)
    if "?" in path:
        path, _, environ["QUERY_STRING"] = path.partition("?")
    if "%" in path:
        path = decode_path(path)
    if environ["SCRIPT_NAME"]:
        path = strip_root_path(path, environ["SCRIPT_NAME"])
    environ["PATH_INFO"] = path
    if special:
        if not host_is_known:
            check_host(environ.get("HTTP_HOST"), head.http_minor)
        _decide(head, environ)
    return head


def _decide(head: RequestHead, environ: dict[str, Any]) -> None:
    """Do what the fields ask for that say something about the message or the connection."""
    if "HTTP_CONNECTION" in environ:
        _decide_persistence(head, environ)
    if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
        _decide_framing(head, environ)
    if "HTTP_EXPECT" in environ:
        _decide_expectation(head, environ["HTTP_EXPECT"])


def explain_head(octets: bytes) -> ProtocolError:
    """Return why a head, free of its last two CRLF, breaks the grammar: what is wrong first."""
    try:
        _check_octets(octets)
        request_line, *lines = octets.decode("latin-1").removeprefix("\r\n").split("\r\n")
        _check_request_line(request_line)
        for line in lines:
            _check_field_line(line)
    except ProtocolError as error:
        return error
    return ProtocolError(f"malformed head {octets[:64]!r}")


def _check_octets(octets: bytes) -> None:
    wrong = octets.translate(None, HEAD_OCTETS)
    if wrong:
        raise ProtocolError(f"octet {wrong[:1]!r} in the head")
    rest = octets.replace(b"\r\n", b"")
    for octet, name in ((b"\n", "LF"), (b"\r", "CR")):
        if (place := rest.find(octet)) >= 0:
            raise ProtocolError(f"bare {name} in the head, behind {rest[max(0, place - 32) : place]!r}")


def _check_field_line(line: str) -> None:
    name, colon, _ = line.partition(":")
    if line[:1] in (" ", "\t"):
        raise ProtocolError(f"obsolete line folding {line[:64]!r}")
    if not colon:
        raise ProtocolError(f"field line without a colon {line[:64]!r}")
    if not TOKEN.fullmatch(name):
        raise ProtocolError(f"invalid field name {name[:64]!r}")


def _check_request_line(line: str) -> None:
    """Raise if the request line is not one that can be answered (RFC 9112, 3)."""
    words = line.split(" ")
    if len(words) != 3:
        raise ProtocolError(f"invalid request line {line[:64]!r}")
    method, target, version = words
    if not TOKEN.fullmatch(method):
        raise ProtocolError(f"invalid method {method[:64]!r}")
    if not (match := HTTP_VERSION.fullmatch(version)):
        raise ProtocolError(f"invalid HTTP version {version[:64]!r}")
    if match[1] != "1":
        raise VersionNotSupported(f"{version} is not spoken here")
    if not REQUEST_TARGET.fullmatch(target):
        raise ProtocolError(f"invalid request target {target[:64]!r}")
    if method == "CONNECT":
        raise MethodNotImplemented(f"CONNECT to {target[:64]!r}")


def _check_sizes(octets: bytes, lines: list[str], limits: Limits) -> None:
    if len(lines[0]) > limits.request_line:
        raise TargetTooLong(f"request line of {len(lines[0])} bytes, {limits.request_line} are allowed")
    _check_head_sizes(len(octets), len(lines) - 1, lines[1:], limits)


def _check_head_sizes(size: int, fields: int, lines: list[str], limits: Limits) -> None:
    """Raise if the head as a whole, the number of its fields or one of `lines` is too large."""
    if size > limits.head:
        raise HeadTooLarge(f"head of {size} bytes, {limits.head} are allowed")
    if fields > limits.fields:
        raise HeadTooLarge(f"{fields} fields, {limits.fields} are allowed")
    for line in lines:
        if len(line) > limits.field_size:
            raise HeadTooLarge(f"field of {len(line)} bytes, {limits.field_size} are allowed: {line[:64]!r}")


def _check_partial_head(buffer: bytes, start: int, limits: Limits, seen: int) -> None:
    """Raise if what has arrived of a head cannot become one: waiting for the rest would be in vain."""
    if buffer.startswith(b"\r\n", start):
        start += 2
    # Lines that were complete before have been checked before.
    begin = max(start, buffer.rfind(b"\n", start, seen) + 1)
    octets = buffer[begin:]
    _check_octets(buffer[max(begin, seen - 1) :].removesuffix(b"\r"))
    *lines, unfinished = octets.decode("latin-1").split("\r\n")
    unfinished = unfinished.removesuffix("\r")
    if begin == start:
        request_line = lines.pop(0) if lines else unfinished
        if len(request_line) > limits.request_line:
            raise TargetTooLong(f"request line of more than {limits.request_line} bytes")
        if b"\n" not in octets:
            return  # of an unfinished line nothing is known but its length
        _check_request_line(request_line)
    for line in lines:
        _check_field_line(line)
    for tail in (b"\r\n\r", b"\r\n", b"\r"):
        if buffer.endswith(tail):
            break
    else:
        tail = b""
    fields = buffer.count(b"\n", start) - 1 + bool(unfinished)
    _check_head_sizes(len(buffer) - start - len(tail), fields, [*lines, unfinished], limits)


def _learn_name(line: str, name: str, limits: Limits) -> str:
    """Return the environ key of a field name that is not known, or "" to drop the field.

    Raises ProtocolError for a line that is no field line, and for an underscore where that is refused.
    """
    key = environ_key(name)
    if not key or len(name) == len(line):
        _check_field_line(line)
    if key[0] != "-":
        return key
    # The name may pass for another's.
    if name.lower() == "proxy" or limits.underscore == "drop":
        return ""  # HTTP_PROXY is a variable that client libraries obey (CVE-2016-5385)
    if limits.underscore == "refuse":
        raise ProtocolError(f"underscore in the field name {name[:64]!r}")
    if key in ("-CONTENT_LENGTH", "-TRANSFER_ENCODING"):
        return ""
    return prefixed(key[1:])


def _combine_fields(octets: bytes, environ: dict[str, Any], limits: Limits) -> None:
    """Put the fields into the environ once more, because one came twice, was dropped, or had been there.

    RFC 9110, 5.3; RFC 6265, 5.4 for Cookie.  Raises ProtocolError for what may come only once.
    """
    fields: dict[str, str] = {}
    for line in octets.decode("latin-1").removeprefix("\r\n").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        key = names.get(name) or _learn_name(line, name, limits)
        if not key:
            continue
        value = value.strip(" \t")
        if key in fields:
            if key == "HTTP_HOST" or key == "CONTENT_LENGTH":
                raise ProtocolError(f"repeated field {key}: {fields[key][:32]!r} and {value[:32]!r}")
            separator = "; " if key == "HTTP_COOKIE" or key == "HTTP_COOKIE2" else ", "
            value = f"{fields[key]}{separator}{value}"
        fields[key] = value
    environ.update(fields)


def _decide_persistence(head: RequestHead, environ: dict[str, Any]) -> None:
    """Whether the peer wants the connection to persist, or to be upgraded (RFC 9112, 9.3)."""
    options = connection_options(environ["HTTP_CONNECTION"])
    if head.http_minor == 0:
        # Upgrade in HTTP/1.0 is to be ignored (RFC 9110, 7.8).
        head.persistent = "keep-alive" in options and "close" not in options
        return
    head.persistent = "close" not in options
    head.upgrade = "upgrade" in options and "HTTP_UPGRADE" in environ
    head.plain_but_last = head.plain and not head.persistent and not head.upgrade
    head.plain = head.plain and head.persistent and not head.upgrade


def _decide_framing(head: RequestHead, environ: dict[str, Any]) -> None:
    head.plain_but_content = head.plain
    head.plain = head.plain_but_last = False
    length = environ.get("CONTENT_LENGTH")
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        check_transfer_encoding(coding, head.http_minor, length is not None)
        head.chunked = True
    elif length is not None:
        head.content_length = parse_content_length(length)


def _decide_expectation(head: RequestHead, value: str) -> None:
    if head.http_minor == 0:
        return  # RFC 9110, 10.1.1: not for HTTP/1.0
    if value.lower() != "100-continue":
        raise ExpectationFailed(f"unknown expectation {value[:64]!r}")
    head.expect_continue = True
    head.plain_but_content = False

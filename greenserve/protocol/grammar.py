"""Productions of RFC 9110, 9112 and 3986, by their names, as compiled patterns and octet sets.

Heads are handled as text decoded from ISO-8859-1, one character an octet.
"""

from __future__ import annotations

import re

#: token = 1*tchar (RFC 9110, 5.6.2): methods, field names, connection options.
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def fold_case(text: str) -> str:
    """Return `text` with its ASCII letters in lower case, as names and tokens are compared (RFC 9110, 5.1).

    `lower` alone would make a k of the Kelvin sign, which no client or application may pass for one.
    """
    return (
        text.lower()
        if text.isascii()
        else text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
    )


#: HTTP-version (RFC 9112, 2.3).
HTTP_VERSION = re.compile(r"HTTP/([0-9])\.([0-9])")

#: What a request target may hold.  RFC 3986 plus what browsers leave unescaped in a path or query
#: (WHATWG URL): ``[ ] | ^ ` { } \``.  No fragment, no space, no control, no octet above 126.
REQUEST_TARGET = re.compile(r"[!$-;=?-~]+")

#: A percent sign that does not begin pct-encoded (RFC 3986, 2.1).
MALFORMED_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

#: absolute-form (RFC 9112, 3.2.2): authority, then path and query.
ABSOLUTE_FORM = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)([/?].*)?")

_PCT = r"%[0-9A-Fa-f]{2}"
_REG_NAME = rf"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|{_PCT})*"
_IP_LITERAL = r"\[(?:[0-9A-Fa-f:.]{2,45}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\]"

#: Host = uri-host [ ":" port ] (RFC 9110, 7.2).  No userinfo; may be empty.  A comma is legal in
#: reg-name but is how two Host fields look once joined: refused.
HOST = re.compile(rf"(?!.*,)(?:{_IP_LITERAL}|{_REG_NAME})(?::[0-9]*)?")

#: Content-Length = 1*DIGIT (RFC 9110, 8.6).  Not ``\d``: that takes every script's digits.
DIGITS = re.compile(r"[0-9]+")

#: The same, as far as an application may announce: less than 2**63.
LENGTH = re.compile(r"[0-9]{1,18}")

#: field-value octets (RFC 9110, 5.5): HTAB, SP, VCHAR, obs-text; with CR and LF, a whole head.
FIELD_OCTETS = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
HEAD_OCTETS = FIELD_OCTETS + b"\r\n"

#: Marks octets for `bytes.translate`: "!" what no field line holds (controls, CR and LF), "?" what a
#: field may hold and a request target not, "." the rest.  Counting marks checks a head in one pass;
#: deleting the legal octets instead costs three times as much, for its table is built each time.
MARKS = bytes(
    ord("!") if octet not in FIELD_OCTETS else ord("?") if octet > 126 or chr(octet) in '\t"#<>' else ord(".")
    for octet in range(256)
)

#: status-code SP [ reason-phrase ] as an application gives it (PEP 3333; RFC 9112, 4).
STATUS = re.compile(r"([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")

_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_TOKEN_BYTES = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

#: chunk-size [ chunk-ext ], without its CRLF (RFC 9112, 7.1): the size is group 1.
CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})"
    rb"(?:[ \t]*;[ \t]*" + _TOKEN_BYTES + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN_BYTES + rb"|" + _QUOTED + rb"))?)*"
)

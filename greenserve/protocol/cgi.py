"""Field names as environ keys (RFC 3875, 4.1.18; PEP 3333), and fields that recur, remembered.

Both tables are bounded, and cleared when full: a client can neither grow them nor keep junk in them
for ever.
"""

from __future__ import annotations

from greenserve.protocol.grammar import TOKEN

NAMES_LIMIT = 512
LINES_LIMIT = 1024
LINE_SIZE_LIMIT = 512

#: Field name as sent -> environ key.
names: dict[str, str] = {}

#: Whole field line as sent -> (environ key, value).  Only fields of the allow-list below: a secret
#: travels under many names, so what is not known to be harmless is not kept.
known_lines: dict[str, tuple[str, str]] = {}

_HARMLESS = frozenset(
    {
        "HTTP_USER_AGENT",
        "HTTP_CACHE_CONTROL",
        "HTTP_PRAGMA",
        "HTTP_UPGRADE_INSECURE_REQUESTS",
        "HTTP_ACCEPT",
        "HTTP_ACCEPT_CHARSET",
        "HTTP_ACCEPT_ENCODING",
        "HTTP_ACCEPT_LANGUAGE",
    }
)
_HARMLESS_PREFIXES = ("HTTP_SEC_FETCH_", "HTTP_SEC_CH_")

#: Fields that say something about the message or the connection: the parser has to look at them.
_SPECIAL = frozenset(
    {"HTTP_HOST", "HTTP_CONNECTION", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT"}
)

#: Lines that say what holds anyway.
_USUAL = {
    "Connection: keep-alive": ("HTTP_CONNECTION", "keep-alive"),
    "Connection: Keep-Alive": ("HTTP_CONNECTION", "Keep-Alive"),
}
known_lines.update(_USUAL)

#: The keys that something is to be done about: the special ones, and those of the allow-list, as far as
#: they were met.
remarkable: set[str] = set(_SPECIAL)


def prefixed(name: str) -> str:
    """Return the environ key of a field whose name is given in capitals and underscores."""
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + name


def environ_key(name: str) -> str:
    """Return the environ key of a field name, or "" where the name is not a token (RFC 9110, 5.1).

    A dash in front marks a key that the caller has to decide about: that of a name with an underscore
    (``X_Real_Ip`` would pass for ``X-Real-Ip``), and of ``Proxy``.
    """
    if not TOKEN.fullmatch(name):
        return ""
    upper = name.upper().replace("-", "_")
    if "_" in name or upper == "PROXY":
        return "-" + upper
    key = prefixed(upper)
    if len(name) <= 64:
        if len(names) >= NAMES_LIMIT:
            names.clear()
            remarkable.intersection_update(_SPECIAL)
        names[name] = key
        if key in _HARMLESS or key.startswith(_HARMLESS_PREFIXES):
            remarkable.add(key)
    return key


def remember_line(line: str, key: str, value: str) -> bool:
    """Remember a checked field line, so that the next one like it need not be split.

    Return False for a special one, which is not remembered.
    """
    if key in _SPECIAL:
        return False
    if len(line) <= LINE_SIZE_LIMIT:
        if len(known_lines) >= LINES_LIMIT:
            known_lines.clear()
            known_lines.update(_USUAL)
        known_lines[line] = (key, value)
    return True

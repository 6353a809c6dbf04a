"""The text formats of the access log: directives of Apache's mod_log_config, and gunicorn's.

    TextFormat -> _parse -> _directive      a format to literals and expressions

What a peer sent can neither break a line nor forge one: quotes, backslashes and all that is not printable
ASCII are escaped as Apache's mod_log_config does.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

from greenserve.errors import ConfigError
from greenserve.observe.access_format import AccessFormat, Values
from greenserve.observe.clock import Clock
from greenserve.observe.logs import escape

# What may stand in a text line as it is.  bytes.translate that deletes these is the fastest check of
# lines (1.9 us for 32 of 100 octets; a pattern takes 8.7).
PLAIN_OCTETS = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))

# A literal, or the source of an expression and whether the peer has a say in its value.
Part = str | tuple[str, bool]

COMMON_CLOCK = Clock("[%d/%b/%Y:%H:%M:%S %z]")


def basic_user(environ: dict[str, Any]) -> str | None:
    """Return the user-id of Basic credentials (RFC 7617, 2) as a native string, None without one."""
    scheme, _, credentials = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, _ = b64decode(credentials.strip()).partition(b":")
    except ValueError:
        return None
    # Without a colon it is no user-id, and may be a secret.
    return user.decode("latin-1") if colon and user else None


def user_text(environ: dict[str, Any]) -> str:
    """Return the user-id, escaped, or "-"."""
    # The field is not in quotes: a space would let "a - - [time" pass for several fields.
    user = basic_user(environ)
    return "-" if user is None else escape(user).replace(" ", r"\x20")


def request_line(environ: dict[str, Any]) -> str:
    """Return the request line as the client sent it, "-" for a request that was refused."""
    if "REQUEST_METHOD" not in environ:
        return "-"
    return " ".join(
        [str(environ.get(name, "-")) for name in ("REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL")]
    )


def host_name(environ: dict[str, Any]) -> object:
    """Return the host that the client named, without its port, else the server's."""
    host = re.sub(r":\d*$", "", str(environ.get("HTTP_HOST", "")))
    return host or environ.get("SERVER_NAME") or "-"


def cookie(environ: dict[str, Any], name: str) -> str:
    """Return the value of the cookie `name` (RFC 6265, 4.2.1), or "-"."""
    for pair in str(environ.get("HTTP_COOKIE", "")).split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            return value.strip() or "-"
    return "-"


def response_field(fields: list[tuple[str, str]], name: str) -> str:
    """Return the values of the response field with this lower-case name, joined, or "-"."""
    return ", ".join([value for key, value in fields if key.lower() == name]) or "-"


DIRECTIVE = re.compile(
    r"""%\( (?: (?P<short>[A-Za-z]) | \{ (?P<name>[^{}]+) \} (?P<table>[eio]) ) \)[ds]
      | % [<>]? (?: (?P<unless>!?) (?P<statuses>[0-9]{3}(?:,[0-9]{3})*) )? [<>]?
          (?: \{ (?P<argument>[^{}]+) \} )? (?P<letter>[A-Za-z%])""",
    re.VERBOSE,
)
BACKSLASHED = {r"\n": "\n", r"\t": "\t", r"\"": '"', r"\\": "\\"}

# The directives, their argument in front or gunicorn's parentheses around them: an environ variable,
# or a Python expression, of text that the peer has a say in or of our own.
VARIABLES = {
    "A": "SERVER_NAME", "v": "SERVER_NAME", "H": "SERVER_PROTOCOL", "m": "REQUEST_METHOD",
    "p": "SERVER_PORT", "{canonical}p": "SERVER_PORT", "{local}p": "SERVER_PORT", "{remote}p": "REMOTE_PORT",
    "(a)": "HTTP_USER_AGENT", "(f)": "HTTP_REFERER",
}  # fmt: skip
REQUEST_LINE = """f'{environ["REQUEST_METHOD"]} {environ["RAW_URI"]} {environ["SERVER_PROTOCOL"]}'"""
PEER_TEXTS = {
    "a": 'get("REMOTE_ADDR") or peer or "-"', "h": 'get("REMOTE_ADDR") or peer or "-"',
    "{c}a": 'peer or "-"', "s": 'status[:3] or "-"', "r": REQUEST_LINE, "V": "host_name(environ)",
    "q": """f'?{get("QUERY_STRING")}' if get("QUERY_STRING") else "" """,
    "(q)": 'get("QUERY_STRING") or ""',
    "U": """f'{get("SCRIPT_NAME", "")}{get("PATH_INFO", "")}' or "-" """,
}  # fmt: skip
CLOCK_TEXT = "{0}.text if {0}.since <= started and started < {0}.until else {0}.render(started)"
OWN_TEXTS = {
    "l": '"-"', "B": "sent", "b": 'sent or "-"',
    "D": "f'{elapsed * 1e6:.0f}'", "{us}T": "f'{elapsed * 1e6:.0f}'",
    "(M)": "int(elapsed * 1e3)", "{ms}T": "int(elapsed * 1e3)",
    "T": "int(elapsed)", "{s}T": "int(elapsed)", "(L)": "f'{elapsed:.6f}'",
    "P": "getpid()", "{pid}P": "getpid()", "(p)": "f'<{getpid()}>'",
    "t": CLOCK_TEXT.format("common_clock"), "{sec}t": "int(started)",
    "{msec}t": "int(started * 1e3)", "{msec_frac}t": "f'{int(started * 1e3) % 1000:03d}'",
    "{usec}t": "int(started * 1e6)", "{usec_frac}t": "f'{int(started * 1e6) % 1000000:06d}'",
    "u": 'user_text(environ) if "HTTP_AUTHORIZATION" in environ else "-"',
}  # fmt: skip
GUNICORN_TOO = frozenset("hlutrmUHsBbTD")


def _parse(format: str, constants: dict[str, object]) -> Iterator[Part]:
    """Yield the parts of a format; what users wrote is put into `constants`, under names for the source."""
    position = 0
    for match in DIRECTIVE.finditer(format):
        yield _literal(format, position, match.start())
        position = match.end()
        yield "%" if match["letter"] == "%" else _directive(format, match, constants)
    yield _literal(format, position, len(format))


def _literal(format: str, start: int, end: int) -> str:
    text = format[start:end]
    if (stray := text.find("%")) >= 0:
        raise _unknown(format, start + stray, text[stray:].split()[0][:32])
    return re.sub(r"\\.", lambda match: BACKSLASHED.get(match[0], match[0]), text)


def field_variable(name: str) -> str:
    """Return the environ key of a request field (RFC 3875, 4.1.18)."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _unknown(format: str, at: int, directive: str) -> ConfigError:
    return ConfigError("access_log_format", format, f"unknown directive {directive!r} at character {at + 1}")


def _directive(format: str, match: re.Match[str], constants: dict[str, object]) -> Part:
    """Return the source for one directive.  Raises ConfigError when there is none."""

    def constant(value: object) -> str:
        name = f"k{len(constants)}"
        constants[name] = value
        return name

    argument, letter = match["argument"] or match["name"], match["letter"] or match["table"]
    if match["short"]:
        key = match["short"] if match["short"] in GUNICORN_TOO else f"({match['short']})"
    else:
        key = f"{{{argument}}}{letter}" if argument else letter
    by_peer = key not in OWN_TEXTS
    if key in VARIABLES:
        source = f'get("{VARIABLES[key]}") or "-"'
    elif key in PEER_TEXTS or key in OWN_TEXTS:
        source = PEER_TEXTS.get(key) or OWN_TEXTS[key]
    elif argument and letter == "i":
        source = f'get({constant(field_variable(argument))}) or "-"'
    elif argument and letter == "o":
        source = f"response_field(fields, {constant(argument.lower())})"
    elif argument and letter == "C":
        source = f"cookie(environ, {constant(argument)})"
    elif argument and letter == "e":
        # gunicorn's names are in any case; of the variables only those with a dot are in lower case.
        name = argument.upper() if match["table"] and "." not in argument else argument
        source = f"""f'{{get({constant(name)}, "-")}}' or "-" """
    elif argument and letter == "t":
        try:
            source, by_peer = _time_source(argument, constant), False
        except ValueError as error:
            raise ConfigError("access_log_format", format, f"{match[0]!r}: {error}") from None
    else:
        raise _unknown(format, match.start(), match[0])
    if match["statuses"]:
        codes = constant(frozenset(match["statuses"].split(",")))
        source = f'({source}) if status[:3] {"not " if match["unless"] else ""}in {codes} else "-"'
    return source, by_peer


def _time_source(argument: str, constant: Callable[[object], str]) -> str:
    moment, colon, rest = argument.partition(":")
    if not colon or moment not in ("begin", "end"):
        moment, rest = "begin", argument
    source = OWN_TEXTS.get(f"{{{rest}}}t")
    if source is None:
        clock = Clock(rest)
        clock.render(0)  # a ValueError comes now or never
        source = CLOCK_TEXT.format(constant(clock))
    return source if moment == "begin" else source.replace("started", "(started + elapsed)")


HELPERS = (escape, user_text, request_line, host_name, cookie, response_field)


class TextFormat(AccessFormat):
    """A text with directives.  Raises ConfigError for one without, and for the first unknown one."""

    def __init__(self, format: str) -> None:
        constants: dict[str, object] = {}
        parts = list(_parse(format, constants))
        found = [part for part in parts if not isinstance(part, str)]
        if not found:
            raise ConfigError(
                "access_log_format", format, "not common, combined, json or a text with directives"
            )
        sources = [source for source, _ in found]
        # What meets missing variables.
        careful = [source.replace(REQUEST_LINE, "request_line(environ)") for source in sources]
        names = {helper.__name__: helper for helper in HELPERS}
        AccessFormat.__init__(
            self, sources, careful, {**names, "getpid": os.getpid, "common_clock": COMMON_CLOCK, **constants}
        )
        literals = "".join([part for part in parts if isinstance(part, str)]) + "\n"
        self._unplain = literals.encode().translate(None, PLAIN_OCTETS)
        self._by_peer = [by_peer for _, by_peer in found]
        template = "".join([part.replace("%", "%%") if isinstance(part, str) else "%s" for part in parts])
        self._line: Callable[[Values], str] = f"{template}\n".__mod__

    def lines(self, gathered: list[Values]) -> str:
        """Return the lines; values are escaped only where some need it.

        They do not when the octets that are not plain are just those of the literals.
        """
        try:
            text = "".join(map(self._line, gathered))
            if text.encode().translate(None, PLAIN_OCTETS) == self._unplain * len(gathered):
                return text
        except UnicodeEncodeError:
            pass
        return "".join(map(self._line, map(self._escape, gathered)))

    def _escape(self, values: Values) -> Values:
        return tuple(
            escape(value) if by_peer else value for value, by_peer in zip(values, self._by_peer, strict=True)
        )

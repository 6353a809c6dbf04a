"""The access log: compiles a log format to one function that builds the line of a request.

    compile_format -> _parse -> _directive      a format to literals and expressions
                   -> _build                    expressions to one Python function

What a peer sent can neither break a line nor forge one: in text formats quotes, backslashes and all
that is not printable ASCII are escaped as Apache's mod_log_config does, JSON strings as RFC 8259, 7 says.
"""

from __future__ import annotations

import os
import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any, cast

from greenserve.errors import ConfigError
from greenserve.observe.logs import escape, to_text

COMMON = '%h %l %u %t "%r" %>s %b'
FORMATS = {"common": COMMON, "combined": COMMON + ' "%{Referer}i" "%{User-Agent}i"'}

# What may stand in a text line as it is.  bytes.translate that deletes these is the fastest check of a
# whole line (0.3 us for 225 octets; str.isprintable takes 0.6, a pattern 1.1).
PLAIN_OCTETS = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))


@dataclass(eq=False)
class AccessEntry:
    """What the log tells about one request.

    `environ` is empty for a request that was refused; `status` is code and reason phrase, empty when
    nothing was answered; `fields` are the application's response fields; `sent` counts the octets of
    the content; `started` is a time.time() value, `elapsed` in seconds; `peer` is the address alone.
    """

    __slots__ = ("environ", "status", "fields", "sent", "started", "elapsed", "peer")
    environ: dict[str, Any]
    status: str
    fields: list[tuple[str, str]]
    sent: int
    started: float
    elapsed: float
    peer: str


Line = Callable[[AccessEntry], str]
# A literal, or the source of an expression and whether the peer has a say in its value.
Part = str | tuple[str, bool]


def compile_format(format: str) -> Line:
    """Return the function that builds the line of a request, without its newline.

    `format` is "common", "combined", "json" or a text with the directives of Apache's mod_log_config or
    the ones of gunicorn (``%(h)s``).  Missing values are "-" (null in JSON).  Raises ConfigError for a
    format without directives and for the first unknown one, naming it and its place.
    """
    if format == "json":
        return json_line
    try:
        format.encode()
    except UnicodeEncodeError:
        raise ConfigError("access_log_format", format, "not valid UTF-8") from None
    constants: dict[str, object] = {}
    parts = list(_parse(FORMATS.get(format, format), constants))
    if all(isinstance(part, str) for part in parts):
        raise ConfigError("access_log_format", format, "not common, combined, json or a text with directives")
    return _build(parts, constants)


MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
PERCENT = re.compile("%.", re.DOTALL)
C_LOCALE = {"%c": "%a %b %e %H:%M:%S %Y", "%h": "%b", "%r": "%I:%M:%S %p", "%x": "%m/%d/%y", "%X": "%H:%M:%S"}


class Clock:
    """The text of the second that a moment lies in, rendered once, by strftime, English in any locale.

    `text` holds for moments from `since` to before `until`; for any other, `render` has to be asked.
    The comparison costs a third of what int() and a look-up cost.
    """

    __slots__ = ("format", "split", "since", "until", "text", "known")

    def __init__(self, format: str, split: Callable[[float], time.struct_time] = time.localtime) -> None:
        self.format = PERCENT.sub(lambda match: C_LOCALE.get(match[0], match[0]), format)
        self.split = split
        self.since = self.until = 0
        self.text = ""
        self.known: dict[int, str] = {}

    def render(self, moment: float) -> str:
        """Return the text for `moment`, seconds since the epoch, and keep it for what follows."""
        second = int(moment // 1)
        text = self.known.get(second)
        if text is None:
            # Long requests carry an old start, so several seconds are in use at a time.
            if len(self.known) >= 64:
                self.known.clear()
            text = self.known[second] = self._strftime(second)
        self.since, self.until, self.text = second, second + 1, text
        return text

    def _strftime(self, second: int) -> str:
        now = self.split(second)
        day, month = DAYS[now.tm_wday], MONTHS[now.tm_mon - 1]
        half = "AM" if now.tm_hour < 12 else "PM"
        names = {"%a": day[:3], "%A": day, "%b": month[:3], "%B": month, "%p": half}
        return time.strftime(PERCENT.sub(lambda match: names.get(match[0], match[0]), self.format), now)


STATUS_CODES = frozenset(map(str, range(100, 1000)))  # what may be a number in JSON
COMMON_CLOCK = Clock("[%d/%b/%Y:%H:%M:%S %z]")
JSON_CLOCK = Clock("%Y-%m-%dT%H:%M:%S", time.gmtime)


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
    "a": 'get("REMOTE_ADDR") or entry.peer or "-"', "h": 'get("REMOTE_ADDR") or entry.peer or "-"',
    "{c}a": 'entry.peer or "-"', "s": 'entry.status[:3] or "-"', "r": REQUEST_LINE, "V": "host_name(environ)",
    "q": """f'?{get("QUERY_STRING")}' if get("QUERY_STRING") else "" """,
    "(q)": 'get("QUERY_STRING") or ""',
    "U": """f'{get("SCRIPT_NAME", "")}{get("PATH_INFO", "")}' or "-" """,
}  # fmt: skip
CLOCK_TEXT = "{0}.text if {0}.since <= entry.started < {0}.until else {0}.render(entry.started)"
OWN_TEXTS = {
    "l": '"-"', "B": "entry.sent", "b": 'entry.sent or "-"',
    "D": "f'{entry.elapsed * 1e6:.0f}'", "{us}T": "f'{entry.elapsed * 1e6:.0f}'",
    "(M)": "int(entry.elapsed * 1e3)", "{ms}T": "int(entry.elapsed * 1e3)",
    "T": "int(entry.elapsed)", "{s}T": "int(entry.elapsed)", "(L)": "f'{entry.elapsed:.6f}'",
    "P": "getpid()", "{pid}P": "getpid()", "(p)": "f'<{getpid()}>'",
    "t": CLOCK_TEXT.format("common_clock"), "{sec}t": "int(entry.started)",
    "{msec}t": "int(entry.started * 1e3)", "{msec_frac}t": "f'{int(entry.started * 1e3) % 1000:03d}'",
    "{usec}t": "int(entry.started * 1e6)", "{usec_frac}t": "f'{int(entry.started * 1e6) % 1000000:06d}'",
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
        source = f"response_field(entry.fields, {constant(argument.lower())})"
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
        source = f'({source}) if entry.status[:3] {"not " if match["unless"] else ""}in {codes} else "-"'
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
    return source if moment == "begin" else source.replace("entry.started", "(entry.started + entry.elapsed)")


HELPERS = (escape, user_text, request_line, host_name, cookie, response_field)
SOURCE = """
def careful(entry):
    environ = entry.environ
    get = environ.get
    {careful}
    return f"{template}"

def line(entry):
    environ = entry.environ
    get = environ.get
    try:
        {plain}
        text = f"{template}"
        if text.encode().translate(None, plain_octets) == expected:
            return text
    except (KeyError, UnicodeEncodeError):
        pass
    return careful(entry)
"""


def _build(parts: list[Part], constants: dict[str, object]) -> Line:
    """Return the function that joins the parts; values are escaped only in lines that need it.

    A line needs it unless the octets in it that are not plain are just those of the literals.
    """
    template, plain, careful = "", [], []
    for number, part in enumerate(parts):
        name = f"v{number}"
        template += f"{{{name}}}"
        if isinstance(part, str):
            constants[name] = part
            continue
        source, by_peer = part
        plain.append(f"{name} = {source}")
        source = source.replace(REQUEST_LINE, "request_line(environ)")  # which meets missing variables
        careful.append(f"{name} = escape({source})" if by_peer else f"{name} = {source}")
    literals = "".join([part for part in parts if isinstance(part, str)])
    namespace: dict[str, Any] = {
        "__builtins__": {kind.__name__: kind for kind in (int, KeyError, UnicodeEncodeError)},
        **{helper.__name__: helper for helper in HELPERS},
        "getpid": os.getpid,
        "common_clock": COMMON_CLOCK,
        "plain_octets": PLAIN_OCTETS,
        "expected": literals.encode().translate(None, PLAIN_OCTETS),
        **constants,
    }
    source = SOURCE.format(careful="\n    ".join(careful), plain="\n        ".join(plain), template=template)
    exec(compile(source, "<access log format>", "exec"), namespace)
    return cast(Line, namespace["line"])


# What gevent.pywsgi writes for a request: its end, local time, and how long it took in seconds.
pywsgi_line = compile_format('%{c}a - - [%{end:%Y-%m-%d %H:%M:%S}t] "%r" %s %b %(L)s')


def json_line(entry: AccessEntry) -> str:
    """Return a JSON object (RFC 8259) on one line: duration in seconds, time in UTC (RFC 3339), else null.

    Octets beyond ASCII are shown as UTF-8 where they are that, else as Latin-1.
    """
    try:
        line = _json_line(entry, encode_basestring_ascii)
    except TypeError:  # the application put something else than text into the environ
        return _json_line(entry, _quote_octets)
    # The first look takes a tenth of the second one's time.
    return _json_line(entry, _quote_octets) if "\\" in line and "\\u00" in line else line


def _quote_octets(value: object) -> str:
    text = to_text(value)
    try:
        text = text.encode("latin-1").decode()
    except UnicodeError:
        pass
    return encode_basestring_ascii(text)


def _json_line(entry: AccessEntry, quote: Callable[[str], str]) -> str:
    environ, started = entry.environ, entry.started
    get = environ.get
    clock = JSON_CLOCK
    second = clock.text if clock.since <= started < clock.until else clock.render(started)
    millisecond = "%03d" % (started % 1 * 1e3)  # noqa: UP031 - half the time of a format specifier
    status = code if (code := entry.status[:3]) in STATUS_CODES else "null"  # nothing was answered
    values = (
        get("REMOTE_ADDR") or entry.peer or None,
        get("REQUEST_METHOD"),
        f"{get('SCRIPT_NAME', '')}{get('PATH_INFO', '')}" if "PATH_INFO" in environ else None,
        get("QUERY_STRING"),
        get("SERVER_PROTOCOL") if "REQUEST_METHOD" in environ else None,
        get("HTTP_HOST"),
        get("HTTP_REFERER"),
        get("HTTP_USER_AGENT"),
        get("HTTP_X_REQUEST_ID"),
        basic_user(environ) if "HTTP_AUTHORIZATION" in environ else None,
    )
    texts = ["null" if value is None else quote(value) for value in values]
    address, method, path, query, protocol, host, referer, agent, request_id, user = texts
    return (
        f'{{"time":"{second}.{millisecond}Z","remote_addr":{address},'
        f'"method":{method},"path":{path},"query":{query},"protocol":{protocol},"status":{status},'
        f'"bytes":{entry.sent},"duration":{entry.elapsed:.6f},"host":{host},"referer":{referer},'
        f'"user_agent":{agent},"request_id":{request_id},"user":{user}}}'
    )

"""Access log lines: what each directive shows, and that no peer can break or forge one."""

from __future__ import annotations

import base64
import calendar
import json
import os
import re
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from gevent.pywsgi import WSGIHandler
from hypothesis import given
from hypothesis import strategies as st

from greenserve.errors import ConfigError
from greenserve.observe.access import compile_format, json_format, pywsgi_format
from greenserve.observe.access_format import AccessEntry
from greenserve.observe.access_json import JSON_CLOCK
from greenserve.observe.access_text import COMMON_CLOCK
from greenserve.observe.clock import Clock
from tests.unit.observe.entries import ENVIRON, STARTED, anything, build_entry, build_refused_entry, octets

QUOTED = r'"((?:[^"\\]|\\.)*)"'
COMBINED = re.compile(rf"(\S+) (\S+) (\S+) \[([^]]+)\] {QUOTED} (\S+) (\S+) {QUOTED} {QUOTED}")


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone of its own for these tests, seven hours west of Greenwich."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "TST7")
        time.tzset()
        for clock in (COMMON_CLOCK, JSON_CLOCK):
            forget(clock)
        yield
    time.tzset()
    forget(COMMON_CLOCK)


def forget(clock: Clock) -> None:
    clock.known.clear()
    clock.since = clock.until = 0


DIRECTIVES = {
    "100%% %h": "100% 192.0.2.7", "%a": "192.0.2.7", "%{c}a": "203.0.113.9", "%A": "server.example",
    "%B": "2326", "%b": "2326", "%{session}C": "abc=", "%{a}C": "1", "%{empty}C": "-", "%{other}C": "-",
    "%D": "1234567", "%{REQUEST_METHOD}e": "GET", "%{wsgi.url_scheme}e": "https",
    "%{wsgi.multithread}e": "False", "%{wsgi.URL_SCHEME}e": "-", "%{own}e": "mine", "%{app.user}e": r"Zo\xeb",
    "%h": "192.0.2.7", "%H": "HTTP/1.1", "%{Referer}i": "http://example/start",
    "%{user-agent}i": "curl/8.5", "%{Content-Type}i": "text/plain", "%{content-length}i": "12",
    "%{X-Missing}i": "-", "%{Empty}i": "-", "%l": "-", "%m": "GET", "%{Content-Type}o": "text/html",
    "%{Set-Cookie}o": "a=1, b=2", "%{X-Missing}o": "-", "%p": "8000", "%{canonical}p": "8000",
    "%{local}p": "8000", "%{remote}p": "50001", "%P": str(os.getpid()), "%{pid}P": str(os.getpid()),
    "%q": "?x=1", "%r": "GET /root/a%20b?x=1 HTTP/1.1", "%s": "200", "%>s": "200", "%<s": "200",
    "%t": "[10/Oct/2000:06:55:36 -0700]", "%{%Y-%m-%dT%H:%M:%S%z}t": "2000-10-10T06:55:36-0700",
    "%{%d %b %B %a %A %p}t": "10 Oct October Tue Tuesday AM",
    "%{%c|%x|%X|%r|%h}t": "Tue Oct 10 06:55:36 2000|10/10/00|06:55:36|06:55:36 AM|Oct", "%{%%b}t": "%b",
    "%{begin:%S}t": "36", "%{end:%S}t": "37", "%{sec}t": "971186136", "%{end:sec}t": "971186137",
    "%{msec}t": "971186136123", "%{usec}t": "971186136123456", "%{msec_frac}t": "123",
    "%{usec_frac}t": "123456", "%{end:msec_frac}t": "358", "%T": "1", "%{s}T": "1", "%{ms}T": "1234",
    "%{us}T": "1234567", "%u": "frank", "%U": "/root/a b", "%v": "server.example", "%V": "www.example",
    "%200r": "GET /root/a%20b?x=1 HTTP/1.1", "%400,501{User-agent}i": "-",
    "%!400,501{User-agent}i": "curl/8.5", "%!200,304{User-agent}i|": "-|", "%>200s %404>s": "200 -",
}  # fmt: skip
GUNICORN = {
    "%(h)s": "192.0.2.7", "%(l)s": "-", "%(u)s": "frank", "%(t)s": "[10/Oct/2000:06:55:36 -0700]",
    "%(r)s": "GET /root/a%20b?x=1 HTTP/1.1", "%(m)s": "GET", "%(U)s": "/root/a b", "%(q)s": "x=1",
    "%(H)s": "HTTP/1.1", "%(s)s": "200", "%(B)s": "2326", "%(b)s": "2326", "%(f)s": "http://example/start",
    "%(a)s": "curl/8.5", "%(T)s": "1", "%(D)s": "1234567", "%(D)d": "1234567", "%(M)s": "1234",
    "%(L)s": "1.234567", "%(p)s": f"<{os.getpid()}>", "%({User-Agent}i)s": "curl/8.5",
    "%({content-type}o)s": "text/html", "%({http_host}e)s": "www.example:8000",
    "%({REMOTE_PORT}e)s": "50001", "%({wsgi.url_scheme}e)s": "https",
    '%(h)s %(l)s "%(r)s" 100%%': '192.0.2.7 - "GET /root/a%20b?x=1 HTTP/1.1" 100%',
}  # fmt: skip


@pytest.mark.parametrize("format", [*DIRECTIVES, *GUNICORN])
def test_a_directive_shows_its_value(format: str) -> None:
    assert compile_format(format)(build_entry()) == {**DIRECTIVES, **GUNICORN}[format]


@pytest.mark.parametrize("format", [format for format in [*DIRECTIVES, *GUNICORN] if "U" not in format])
def test_a_line_that_needs_escaping_shows_the_same_values(format: str) -> None:
    line = compile_format(format + ' "%{X-Quote}i"')(build_entry({"HTTP_X_QUOTE": '"'}))
    assert line == {**DIRECTIVES, **GUNICORN}[format] + r' "\""'


def test_the_named_formats() -> None:
    common = '192.0.2.7 - frank [10/Oct/2000:06:55:36 -0700] "GET /root/a%20b?x=1 HTTP/1.1" 200 2326'
    assert compile_format("common")(build_entry()) == common
    assert compile_format("combined")(build_entry()) == f'{common} "http://example/start" "curl/8.5"'
    assert compile_format("json") is json_format


def test_a_refused_request_has_no_values() -> None:
    line = compile_format("combined")(build_refused_entry())
    assert line == '203.0.113.9 - - [10/Oct/2000:06:55:36 -0700] "-" 400 11 "-" "-"'
    line = compile_format("%A %H %m %p %U %u %v %V %{a}C %{X}e [%q] [%(q)s]")(build_refused_entry())
    assert line == "- - - - - - - - - - [] []"


def test_nothing_known_at_all_is_dashes() -> None:
    entry = AccessEntry({}, "", [], 0, STARTED, 0.0, "")
    assert compile_format("%a %{c}a %s %B %b")(entry) == "- - - 0 -"


def test_a_request_line_with_a_missing_variable_is_still_logged() -> None:
    entry = build_entry()
    del entry.environ["RAW_URI"]
    assert compile_format("%r")(entry) == "GET - HTTP/1.1"


def test_no_query_shows_nothing() -> None:
    assert compile_format("%m%q")(build_entry({"QUERY_STRING": ""})) == "GET"


@pytest.mark.parametrize(
    ("host", "shown"),
    [("example", "example"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "server.example")],
)
def test_the_host_is_shown_without_its_port(host: str, shown: str) -> None:
    assert compile_format("%V")(build_entry({"HTTP_HOST": host})) == shown


def basic(credentials: bytes) -> str:
    return base64.b64encode(credentials).decode()


USERS = [
    ("Basic " + basic(b"frank:"), "frank"), ("bASIC   " + basic(b"frank:a:b"), "frank"),
    ("Basic " + basic(b"john doe:x"), r"john\x20doe"), ("Basic " + basic(b'a"\\\n:x'), r"a\"\\\n"),
    ("Basic " + basic("Zoë:x".encode()), r"Zo\xc3\xab"), ("Basic " + basic(b"secret-without-colon"), "-"),
    ("Basic " + basic(b":x"), "-"), ("Basic !", "-"), ("Basic \xe9", "-"), ("Basic", "-"),
    ("Bearer abc", "-"), ("", "-"),
]  # fmt: skip


@pytest.mark.parametrize(("authorization", "shown"), USERS)
def test_the_user_is_the_one_of_basic_credentials(authorization: str, shown: str) -> None:
    assert compile_format("%u")(build_entry({"HTTP_AUTHORIZATION": authorization})) == shown


UNKNOWN = [
    ("%h %y", "'%y'", 4), ("%h %", "'%'", 4), ("%h % h", "'%'", 4), ("%{Foo}h", "'%{Foo}h'", 1),
    ("%i", "'%i'", 1), ("%{}i", "'%{}i'", 1), ("%{Foo", "'%{Foo'", 1), ("%{decades}T", "'%{decades}T'", 1),
    ("%h %(z)s", "'%(z)s'", 4), ("%(h)", "'%(h)'", 1), ("%({x}q)s", "'%({x}q)s'", 1),
    ("%(v)s", "'%(v)s'", 1), ("%I", "'%I'", 1), ("%4h", "'%4h'", 1), ("%!h", "'%!h'", 1),
]  # fmt: skip


@pytest.mark.parametrize(("format", "directive", "place"), UNKNOWN)
def test_an_unknown_directive_is_named_with_its_place(format: str, directive: str, place: int) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_format(format)
    assert caught.value.option == "access_log_format"
    assert caught.value.value == format
    assert caught.value.reason == f"unknown directive {directive} at character {place}"


@pytest.mark.parametrize("format", ["", "combind", "%%", "plain text"])
def test_a_format_that_says_nothing_of_the_request_is_refused(format: str) -> None:
    with pytest.raises(ConfigError, match="common, combined, json"):
        compile_format(format)


@pytest.mark.parametrize("format", ["%h \udcff", "%{\udcff}i"])
def test_a_format_that_is_not_text_is_refused(format: str) -> None:
    with pytest.raises(ConfigError, match="UTF-8"):
        compile_format(format)


def test_a_time_format_that_strftime_refuses_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="access_log_format"):
        compile_format("%{%Y\0}t")


def test_backslashes_in_a_format_mean_what_they_mean_to_apache() -> None:
    assert compile_format(r"\"%h\"\t%m\n\\\x")(build_entry()) == '"192.0.2.7"\tGET\n\\\\x'


@given(st.text(st.characters(exclude_characters="%\\", exclude_categories=["Cs"])))
def test_any_literal_is_copied_and_never_run(literal: str) -> None:
    assert compile_format(f"{literal}%m{literal}")(build_entry()) == f"{literal}GET{literal}"


ESCAPED: list[tuple[object, str]] = [
    ('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\r\nb\tc\vd\be", r"a\r\nb\tc\vd\be"),
    ("\0\x1b[2J\x7f", r"\x00\x1b[2J\x7f"), ("caf\xe9\x85", r"caf\xe9\x85"), ("\u2028", r"\xe2\x80\xa8"),
    ("\ud800", r"\xed\xa0\x80"), (17, "17"), (["\n"], r"['\\n']"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), ESCAPED)
def test_what_the_peer_sent_is_escaped_as_apache_does(value: object, shown: str) -> None:
    assert compile_format('"%{X}i"')(build_entry({"HTTP_X": value})) == f'"{shown}"'


def test_everything_that_a_peer_has_a_say_in_is_escaped() -> None:
    forged = 'x"\n'
    environ = {
        name: forged for name in [*ENVIRON, "HTTP_X"] if name not in ("HTTP_COOKIE", "HTTP_AUTHORIZATION")
    }
    entry = build_entry(environ | {"HTTP_COOKIE": f"c={forged}y"})
    entry.fields, entry.status, entry.peer = [("X", forged)], forged, forged
    format = (
        "%a|%{c}a|%A|%h|%H|%m|%p|%{remote}p|%q|%r|%s|%U|%v|%V|%{X}i|%{X}o|%{HTTP_X}e|%{c}C|%(f)s|%(a)s|%(q)s"
    )
    for shown in compile_format(format)(entry).split("|"):
        assert r"x\"\n" in shown
        assert re.sub(r"\\.", "", shown).isprintable()
        assert '"' not in re.sub(r"\\.", "", shown)


def unescape(text: str) -> str:
    named = {"b": "\b", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
    return re.sub(
        r"\\(?:x([0-9a-f]{2})|(.))",
        lambda match: named[match[2]] if match[2] else chr(int(match[1], 16)),
        text,
    )


@given(referer=octets, agent=octets, target=octets, user=octets)
def test_no_request_breaks_or_forges_a_combined_line(
    referer: str, agent: str, target: str, user: str
) -> None:
    credentials = "Basic " + basic(user.encode("latin-1") + b":x")
    changes = {"HTTP_REFERER": referer, "HTTP_USER_AGENT": agent, "RAW_URI": target}
    line = compile_format("combined")(build_entry({**changes, "HTTP_AUTHORIZATION": credentials}))
    assert line.isascii()
    assert line.isprintable()
    split = COMBINED.fullmatch(line)
    assert split is not None
    assert unescape(split[3]) == (user.partition(":")[0] or "-")
    assert unescape(split[5]) == f"GET {target} HTTP/1.1"
    assert (split[6], split[7]) == ("200", "2326")
    assert unescape(split[8]) == (referer or "-")
    assert unescape(split[9]) == (agent or "-")


@given(anything)
def test_no_text_whatever_breaks_a_line(text: str) -> None:
    entry = build_entry({"HTTP_REFERER": text, "HTTP_USER_AGENT": text, "RAW_URI": text, "PATH_INFO": text})
    entry.peer = text
    for line in (compile_format("combined")(entry), pywsgi_format(entry), json_format(entry)):
        assert line.isascii()
        assert line.isprintable()
    assert COMBINED.fullmatch(compile_format("combined")(entry))
    assert set(json.loads(json_format(entry))) == set(json.loads(json_format(build_entry())))


# -- pywsgi --


def test_the_line_of_pywsgi() -> None:
    line = pywsgi_format(build_entry(sent=13, elapsed=0.000123, status="200 OK"))
    assert line == '203.0.113.9 - - [2000-10-10 06:55:36] "GET /root/a%20b?x=1 HTTP/1.1" 200 13 0.000123'


@pytest.mark.parametrize(("sent", "peer"), [(13, "127.0.0.1"), (0, "127.0.0.1"), (5, "")])
def test_the_line_is_the_one_that_pywsgi_itself_builds(sent: int, peer: str) -> None:
    entry = build_entry(sent=sent, peer=peer, elapsed=0.25, started=1000.0)
    handler = SimpleNamespace(
        response_length=sent,
        time_start=1000.0,
        time_finish=1000.25,
        client_address=(peer, 50001),
        requestline="GET /root/a%20b?x=1 HTTP/1.1",
        status=b"200 OK",
        _orig_status="200 OK",
    )
    without_date = [
        re.sub(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]", "[]", line)
        for line in (pywsgi_format(entry), WSGIHandler.format_request(handler))
    ]
    assert without_date[0] == without_date[1]
    assert "[]" in without_date[0]


# -- time --


def test_each_line_shows_its_own_second() -> None:
    line = compile_format("%{%H:%M:%S}t")
    moments = [STARTED, STARTED + 1, STARTED, STARTED + 0.8765, STARTED + 0.8766, STARTED - 0.5]
    shown = [line(build_entry(started=moment)) for moment in moments]
    assert [text[-2:] for text in shown] == ["36", "37", "36", "36", "37", "35"]


def test_a_second_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock("%S")
    rendered: list[str] = []
    strftime = time.strftime

    def render(format: str, moment: time.struct_time) -> str:
        rendered.append(format)
        return strftime(format, moment)

    monkeypatch.setattr(time, "strftime", render)
    for moment in (10.0, 10.5, 11.0, 10.9, 11.5):
        clock.render(moment)
    assert rendered == ["%S", "%S"]


def test_the_seconds_that_are_kept_are_bounded() -> None:
    clock = Clock("%S")
    for second in range(1000):
        assert clock.render(float(second)) == f"{second % 60:02d}"
        assert len(clock.known) <= 64


def test_the_names_of_days_and_months_do_not_come_from_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda format, _: format)  # what the locale is asked for
    asked = Clock("%c %x %X %r %h %a %A %b %B %p %%p %d").render(STARTED)
    assert not re.search("%[cxXrhaAbBp]", asked.replace("%%", ""))
    assert asked.endswith("Tue Tuesday Oct October AM %%p %d")


@pytest.mark.parametrize("month", range(1, 13))
def test_months_and_halves_of_the_day_have_their_names(month: int) -> None:
    moment = calendar.timegm((2026, month, 15, month + 2, 0, 0))
    expected = time.strftime("%b %B %a %A %p", time.gmtime(moment))  # the C locale, in tests
    assert Clock("%b %B %a %A %p", time.gmtime).render(moment) == expected


def test_the_offset_of_the_zone_is_the_one_of_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    clock = Clock("%H %z")
    assert clock.render(calendar.timegm((2026, 1, 1, 12, 0, 0))) == "13 +0100"
    assert clock.render(calendar.timegm((2026, 7, 1, 12, 0, 0))) == "14 +0200"

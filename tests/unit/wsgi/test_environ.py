"""The part of the environ that all requests of a listener share."""

from __future__ import annotations

import io
import sys
from typing import Any
from wsgiref.validate import check_environ

import pytest

from greenserve.protocol.head import Limits, parse_head
from greenserve.wsgi.environ import build_base_environ, server_software, with_places
from greenserve.wsgi.file_wrapper import FileWrapper

#: What the server adds for a listener.
LISTENER = {
    "wsgi.url_scheme": "http",
    "wsgi.errors": io.StringIO(),
    "SERVER_NAME": "server.example",
    "SERVER_PORT": "80",
}
#: What the server adds for a connection.
CONNECTION = {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "50000"}


def test_the_software_is_recognized_by_its_prefix() -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert server_software("26.9", "1.2") == f"gevent/26.9 greenserve/1.2 Python/{python}"


def test_the_base_environ() -> None:
    environ = build_base_environ("gevent/1 greenserve/2")
    assert environ.pop("wsgi.input").read() == b""
    assert environ == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "gevent/1 greenserve/2",
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }


def test_every_base_environ_is_a_new_one() -> None:
    build_base_environ("one")["wsgi.multiprocess"] = True
    environ = build_base_environ("two")
    assert (environ["SERVER_SOFTWARE"], environ["wsgi.multiprocess"]) == ("two", False)


class OwnEnviron(dict):  # type: ignore[type-arg]
    """A kind of environ that was asked for."""


@pytest.mark.parametrize("kind", [dict, OwnEnviron])
def test_places_are_put_into_a_copy_of_the_same_kind(kind: type[dict[str, Any]]) -> None:
    base = kind(build_base_environ("software"))
    before = dict(base)
    environ = with_places(base)
    assert base == before
    assert before.items() <= environ.items()
    assert type(environ) is kind
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("", "")


@pytest.mark.parametrize("target", ["/", "/a%20b?c", "http://a.example/path?query", "*"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_there_is_a_place_for_everything_but_fields(version: str, target: str) -> None:
    environ = with_places({**build_base_environ("software"), **LISTENER})
    places = set(environ)
    method = "OPTIONS" if target == "*" else "GET"
    assert parse_head(f"{method} {target} HTTP/{version}\r\nHost: a\r\n\r\n".encode(), 0, Limits(), environ)
    environ.update(CONNECTION)
    assert set(environ) - places == {"HTTP_HOST"}


def test_places_do_not_hide_what_is_known_already() -> None:
    assert (
        with_places({"SCRIPT_NAME": "/root", "own": 1}).items() >= {"SCRIPT_NAME": "/root", "own": 1}.items()
    )


def test_the_environ_of_a_request_is_one_of_pep_3333() -> None:
    base = {**build_base_environ("software"), **LISTENER}
    environ = with_places(base)
    parse_head(b"GET /path?query HTTP/1.1\r\nHost: a.example\r\n\r\n", 0, Limits(), environ)
    environ.update(CONNECTION)
    check_environ(environ)
    assert environ == {
        **base,
        **CONNECTION,
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/path",
        "QUERY_STRING": "query",
        "RAW_URI": "/path?query",
        "REQUEST_URI": "/path?query",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "a.example",
    }

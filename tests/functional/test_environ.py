"""The environ of a request, key by key (PEP 3333; RFC 3875, 4.1)."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import gevent
import pytest

from greenserve import WSGIServer, __version__
from greenserve.wsgi.file_wrapper import FileWrapper
from tests.functional.client import get, post, post_chunked
from tests.functional.running import exchange, running
from tests.functional.serving import Recorder, serving, wait_until

ANSWERED = b"\r\n\r\nseen"


def environ_of(request: bytes, **arguments: Any) -> dict[str, Any]:
    """Return the environ that the application gets for `request`."""
    recorder = Recorder()
    with serving(recorder, **arguments) as served:
        assert served.ask(request).content == b"seen"
    return recorder.environs[0]


def test_a_request_without_content_has_exactly_these_keys() -> None:
    recorder = Recorder()
    with serving(recorder) as served:
        client = served.connect()
        client.ask(get("/a%20path?b=%20c"))
        port = str(served.port)
    environ = recorder.environs[0]
    assert type(environ) is dict
    assert callable(environ.pop("wsgi.early_hints"))
    for name in ("read", "readline", "readlines", "__iter__"):
        assert callable(getattr(environ["wsgi.input"], name))
    assert environ.pop("wsgi.input").read() == b""
    assert environ.pop("wsgi.errors") is served.log
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert environ == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "HTTP_HOST": "test.example",
        "PATH_INFO": "/a path",
        "QUERY_STRING": "b=%20c",
        "RAW_URI": "/a%20path?b=%20c",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(client.name[1]),
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/a%20path?b=%20c",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": f"gevent/{gevent.__version__} greenserve/{__version__} Python/{python}",
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
        "wsgi.multiprocess": False,
        "wsgi.multithread": True,
        "wsgi.run_once": False,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
    }


def test_content_of_a_known_length_has_its_type_and_length() -> None:
    environ = environ_of(post(b"a=b", "Content-Type: application/x-www-form-urlencoded"))
    assert (environ["REQUEST_METHOD"], environ["CONTENT_LENGTH"]) == ("POST", "3")
    assert environ["CONTENT_TYPE"] == "application/x-www-form-urlencoded"
    assert environ["wsgi.input_terminated"] is True
    assert {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}.isdisjoint(environ)


def test_chunked_content_has_no_length() -> None:
    environ = environ_of(post_chunked([b"a=b"]))
    assert "CONTENT_LENGTH" not in environ
    assert environ["HTTP_TRANSFER_ENCODING"] == "chunked"
    assert environ["wsgi.input_terminated"] is True


def test_chunked_content_gets_a_length_when_it_is_buffered() -> None:
    environ = environ_of(post_chunked([b"a=b", b"&c=d"]), buffer_chunked=True)
    assert environ["CONTENT_LENGTH"] == "7"
    assert "HTTP_TRANSFER_ENCODING" not in environ


def test_the_file_of_buffered_content_is_closed_with_the_request() -> None:
    recorder = Recorder()
    with serving(recorder, buffer_chunked=True, buffer_memory=0) as served:
        served.ask(post_chunked([b"content"]))
        file = recorder.environs[0]["wsgi.input"]
        wait_until(lambda: file.closed, "the file being closed")


def test_a_request_of_http_1_0_says_so() -> None:
    environ = environ_of(get(version="1.0"))
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "wsgi.early_hints" not in environ  # RFC 8297, 3 and RFC 9110, 15.2: no 1xx to HTTP/1.0


# -- the target


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/plain/path", "/plain/path", ""),
        ("/a?", "/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/%41%62", "/Ab", ""),
        ("/a%2Fb%2fc", "/a/b/c", ""),
        ("/caf%C3%A9", "/caf\xc3\xa9", ""),  # UTF-8, one character an octet (PEP 3333)
        ("/%E2%82%AC", "/\xe2\x82\xac", ""),
        ("/%ff", "/\xff", ""),
        ("/%25", "/%", ""),
        ("/%2541", "/%41", ""),
        ("/a+b", "/a+b", ""),
        ("/%0d%0aX-Injected:%20yes", "/\r\nX-Injected: yes", ""),
        ("/a?b=%C3%A9%20+%", "/a", "b=%C3%A9%20+%"),
        ("//double//slash", "//double//slash", ""),
        ("/a/../b/./c", "/a/../b/./c", ""),
        ("/a;b=c", "/a;b=c", ""),
    ],
)
def test_the_path_is_decoded_and_the_query_is_not(target: str, path: str, query: str) -> None:
    environ = environ_of(get(target))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == target


def test_an_absolute_target_replaces_the_host() -> None:
    environ = environ_of(get("http://there.example:81/a%20b?c"))
    assert environ["HTTP_HOST"] == "there.example:81"
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a b", "c")
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == "http://there.example:81/a%20b?c"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/app/page", "/page"),  # the front end passes the whole path on
        ("/app", ""),
        ("/app/", "/"),
        ("/%61pp/page", "/page"),
        ("/app/app/page", "/app/page"),
        ("/page", "/page"),  # the front end has taken the prefix off
        ("/", "/"),
        ("/application", "/application"),
        ("/App/page", "/App/page"),
    ],
)
def test_the_root_path_is_not_part_of_the_path_whoever_takes_it_off(target: str, path: str) -> None:
    environ = environ_of(get(target), root_path="/app")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", path)
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == target


# -- fields


def test_fields_are_passed_on_by_their_cgi_names() -> None:
    environ = environ_of(get("/", "X-Custom: a value", "accept:text/html", "USER-AGENT:  spaces\t ", "X-1:"))
    assert environ["HTTP_X_CUSTOM"] == "a value"
    assert environ["HTTP_ACCEPT"] == "text/html"
    assert environ["HTTP_USER_AGENT"] == "spaces"
    assert environ["HTTP_X_1"] == ""


def test_repeated_fields_are_joined_and_cookies_in_their_own_way() -> None:
    environ = environ_of(get("/", "X-A: 1", "Cookie: a=b", "x-a: 2", "Cookie: c=d", "X-A:"))
    assert environ["HTTP_X_A"] == "1, 2, "
    assert environ["HTTP_COOKIE"] == "a=b; c=d"


def test_octets_beyond_ascii_are_latin_1() -> None:
    assert environ_of(get("/", "X-Name: caf\xc3\xa9"))["HTTP_X_NAME"] == "caf\xc3\xa9"


def test_a_name_with_an_underscore_does_not_pass_for_one_with_a_dash() -> None:
    lines = [
        "X_Forwarded_For: 6.6.6.6",
        "X-Forwarded_For: 6.6.6.6",
        "Content_Length: 5",
        "Transfer_Encoding: chunked",
    ]
    environ = environ_of(get("/", *lines))
    assert "6.6.6.6" not in environ.values()
    assert {"CONTENT_LENGTH", "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}.isdisjoint(environ)
    environ = environ_of(get("/", "X_Real_Ip: 6.6.6.6", "X-Real-Ip: 1.2.3.4"))
    assert environ["HTTP_X_REAL_IP"] == "1.2.3.4"


def test_a_name_with_an_underscore_is_allowed_or_refused_on_request() -> None:
    assert (
        environ_of(get("/", "X_Real_Ip: 1.2.3.4"), underscore_fields="allow")["HTTP_X_REAL_IP"] == "1.2.3.4"
    )
    with serving(Recorder(), underscore_fields="refuse") as served:
        assert served.ask(get("/", "X_Real_Ip: 1.2.3.4")).status == 400


@pytest.mark.parametrize("name", ["Proxy", "PROXY", "proxy"])
def test_no_field_becomes_the_variable_http_proxy(name: str) -> None:
    assert "HTTP_PROXY" not in environ_of(get("/", f"{name}: http://evil.example"))


def test_no_field_replaces_a_variable_of_the_server() -> None:
    environ = environ_of(
        get("/", "Remote-Addr: 6.6.6.6", "Script-Name: /evil", "Server-Name: evil", "Https: on")
    )
    assert (environ["REMOTE_ADDR"], environ["SCRIPT_NAME"]) == ("127.0.0.1", "")
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert "HTTPS" not in environ
    assert environ["HTTP_REMOTE_ADDR"] == "6.6.6.6"


def test_native_strings_only() -> None:
    environ = environ_of(post(b"content", "Content-Type: text/plain", "X-Name: \xe9", target="/%ff?%ff"))
    for name, value in environ.items():
        assert type(name) is str
        if "." not in name:
            assert type(value) is str, name
            value.encode("latin-1")


def test_what_an_application_does_to_its_environ_does_not_reach_the_next_request() -> None:
    seen = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(sorted(environ))
        environ.clear()
        environ["SCRIPT_NAME"] = "/changed"
        start_response("200 OK", [])
        return [b"seen"]

    with serving(application) as served:
        client = served.connect()
        client.ask(get())
        client.send(get(), get())
        assert [client.read().content for _ in range(2)] == [b"seen", b"seen"]
        served.ask(get())
    assert len(seen) == 4
    assert all(each == seen[0] for each in seen)


def test_what_the_application_writes_to_its_errors_is_in_the_error_log() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("the application complains\n")
        start_response("200 OK", [])
        return []

    with serving(application) as served:
        served.ask(get())
        assert served.log.lines == ["the application complains"]


# -- where it listens


def test_every_listener_has_its_own_name_and_port() -> None:
    recorder = Recorder()
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [listener.getsockname() for listener in listeners]
    with running(WSGIServer(listeners, recorder, log=None)):
        for address in addresses:
            assert exchange(address).endswith(ANSWERED)
    named = [(environ["SERVER_NAME"], int(environ["SERVER_PORT"])) for environ in recorder.environs]
    assert named == addresses


def test_a_unix_socket_has_neither_address_nor_port(tmp_path: Path) -> None:
    recorder = Recorder()
    path = str(tmp_path / "socket")
    with running(WSGIServer(f"unix:{path}", recorder, log=None)):
        assert exchange(path).endswith(ANSWERED)
    environ = recorder.environs[0]
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("", "")
    assert environ["SERVER_NAME"]  # PEP 3333: never empty
    assert environ["SERVER_PORT"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_peer_is_named_by_the_protocol_that_it_came_by(address: str) -> None:
    recorder = Recorder()
    with running(WSGIServer(":0", recorder, log=None)) as server:
        if server.socket.family != socket.AF_INET6:
            pytest.skip("this machine has no IPv6")
        assert exchange((address, server.server_port)).endswith(ANSWERED)
    environ = recorder.environs[0]
    assert environ["REMOTE_ADDR"] == address
    assert environ["SERVER_PORT"] == str(server.server_port)
    assert environ["SERVER_NAME"] not in ("", "::", "0.0.0.0")

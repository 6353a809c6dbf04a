"""gunicorn -k greenserve.gunicorn.Worker: what its settings are for a request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

import pytest

from tests.interop.gunicorn_process import (
    BOOTED,
    RELEASES,
    SECONDS,
    WORKER,
    Gate,
    ask,
    ask_environ,
    connect,
    miss,
    releases,
    start_gunicorn,
    wait_for_handlers,
)
from tests.process import ServerProcess


def line_of(server: ServerProcess, pattern: str) -> str:
    """Return the line in which `pattern` is found, waiting for it."""
    return server.wait_for_line(pattern).string


@pytest.fixture(scope="module", params=RELEASES)
def plain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """gunicorn without settings, for tests that leave it as it is."""
    with start_gunicorn(tmp_path_factory.mktemp("plain"), release=request.param) as server:
        yield server
    assert server.wait() == 0
    assert [line for line in server.lines if "settings without effect" in line] == []


# -- being found, and serving


def test_it_serves_with_its_own_parser_and_in_a_patched_process(plain):
    plain.wait_for_line(rf"Using worker: {WORKER}")
    environ = ask_environ(plain)
    assert environ["SERVER_SOFTWARE"].startswith("gevent/")
    assert "greenserve/" in environ["SERVER_SOFTWARE"]
    assert environ["patched"] is True
    assert ask(plain, "/echo", b"content") == (200, b"content")


def test_it_is_found_as_an_entry_point(tmp_path):
    if not any(each.value == "greenserve.gunicorn:Worker" for each in entry_points(group="gunicorn.workers")):
        miss("greenserve is not installed with its entry point in gunicorn.workers")
    with start_gunicorn(tmp_path, "-k", "egg:greenserve#worker") as server:
        assert "greenserve/" in ask_environ(server)["SERVER_SOFTWARE"]


def test_the_environ_says_that_there_are_no_other_processes(plain):
    assert ask_environ(plain)["wsgi.multiprocess"] is False


def test_the_environ_says_that_there_are_other_processes(tmp_path):
    with start_gunicorn(tmp_path, "-w", "2", config=BOOTED) as server:
        wait_for_handlers(server, 2)
        assert ask_environ(server)["wsgi.multiprocess"] is True


@releases
def test_every_address_is_served(tmp_path, release):
    path = tmp_path / "socket"
    with start_gunicorn(
        tmp_path, "-b", "127.0.0.1:0", "-b", "127.0.0.1:0", "-b", f"unix:{path}", release=release
    ) as server:
        line = line_of(server, "Listening at")
        ports = [int(part.split(":")[-1]) for part in line.split("at: ")[1].split(" ")[0].split(",")[:2]]
        assert ports[0] != ports[1]
        assert [ask(server, port=port) for port in ports] == [(200, b"answer")] * 2
        assert exchange_by_file(path).endswith(b"\r\n\r\nanswer")
    assert server.wait() == 0
    assert not path.exists()


def exchange_by_file(path: Path, *fields: str, target: str = "/") -> bytes:
    """Return what a server on a Unix socket answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        client.connect(str(path))
        lines = (f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", "")
        client.sendall("\r\n".join(lines).encode())
        with client.makefile("rb") as answer:
            return answer.read()


# -- limits and times


def status_of(server: ServerProcess, target: str = "/", *fields: str) -> int:
    with connect(server) as connection:
        connection.putrequest("GET", target)
        for number, value in enumerate(fields):
            connection.putheader(f"X-Field-{number}", value)
        connection.endheaders()
        return connection.getresponse().status


@releases
def test_the_limits_of_a_head_are_those_of_gunicorns_settings(tmp_path, release):
    config = "limit_request_line = 100; limit_request_fields = 6; limit_request_field_size = 200"
    with start_gunicorn(tmp_path, config=config, release=release) as server:
        assert status_of(server, "/answer" + "?" * 20) == 200
        assert status_of(server, "/answer" + "?" * 100) == 414
        assert status_of(server, "/", *"abcd") == 200  # with Host and Accept-Encoding
        assert status_of(server, "/", *"abcde") == 431
        assert status_of(server, "/", "x" * 180) == 200
        assert status_of(server, "/", "x" * 200) == 431


@releases
def test_limits_of_zero_are_as_wide_as_a_head_may_be(tmp_path, release):
    config = "limit_request_line = 0; limit_request_field_size = 0"
    with start_gunicorn(tmp_path, config=config, release=release) as server:
        assert status_of(server, "/answer?" + "x" * 20000, "x" * 20000) == 200
        assert status_of(server, "/", "x" * 70000) == 431


@releases
def test_an_idle_connection_ends_after_keepalive_without_an_answer(tmp_path, release):
    with (
        start_gunicorn(tmp_path, "--keep-alive", "1", release=release) as server,
        connect(server) as connection,
    ):
        connection.connect()
        connection.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
        with connection.sock.makefile("rb") as answers:
            received = answers.read()
        assert received.count(b"HTTP/1.1 200 OK\r\n") == received.count(b"\r\n\r\nanswer") == 2
        assert received.endswith(b"answer")
        assert b"Connection:" not in received


@releases
def test_without_keepalive_every_answer_is_the_last(tmp_path, release):
    with (
        start_gunicorn(tmp_path, "--keep-alive", "0", release=release) as server,
        connect(server) as connection,
    ):
        connection.request("GET", "/")
        assert connection.getresponse().getheader("Connection") == "close"


@releases
def test_worker_connections_bounds_what_is_served_at_once(tmp_path, release):
    gate = Gate()
    with (
        gate.listener,
        start_gunicorn(tmp_path, "--worker-connections", "1", release=release) as server,
        ExitStack() as stack,
    ):
        connections = [stack.enter_context(connect(server)) for _ in range(4)]
        for connection in connections:
            connection.request("GET", gate.path("count"))
        for _ in connections:
            gate.wait_for_knock().close()
        counts = {connection.getresponse().read() for connection in connections}
        assert counts == {b"1 at once"}


# -- the environ


SECURE = {"X_Forwarded_Proto": "https"}


def test_a_trusted_front_end_says_the_scheme(plain):
    assert ask_environ(plain)["wsgi.url_scheme"] == "http"
    assert ask_environ(plain, **SECURE)["wsgi.url_scheme"] == "https"
    assert ask_environ(plain, X_Forwarded_Proto="http")["wsgi.url_scheme"] == "http"
    assert ask_environ(plain, X_Forwarded_Ssl="on")["wsgi.url_scheme"] == "https"
    assert ask(plain, X_Forwarded_Ssl="off", **SECURE)[0] == 400


@releases
@pytest.mark.parametrize(
    ("trusted", "scheme"),
    [("192.0.2.1", "http"), ("127.0.0.0/8", "https"), ("*", "https"), ("", "http")],
)
def test_others_do_not_and_whoever_comes_by_a_unix_socket_does(tmp_path, trusted, scheme, release):
    path = tmp_path / "socket"
    addresses = ("-b", "127.0.0.1:0", "-b", f"unix:{path}")
    arguments = (*addresses, "--forwarded-allow-ips", trusted)
    with start_gunicorn(tmp_path, *arguments, release=release) as server:
        assert ask_environ(server, **SECURE)["wsgi.url_scheme"] == scheme
        assert ask(server, X_Forwarded_Ssl="off", **SECURE)[0] == (400 if scheme == "https" else 200)
        answer = exchange_by_file(path, "X-Forwarded-Proto: https", target="/environ")
        assert b'"wsgi.url_scheme": "https"' in answer


def test_other_fields_may_be_the_ones_that_say_it(tmp_path):
    config = 'secure_scheme_headers = {"X-SCHEME": "tls"}'
    with start_gunicorn(tmp_path, config=config) as server:
        assert ask_environ(server, X_Scheme="tls")["wsgi.url_scheme"] == "https"
        assert ask_environ(server, **SECURE)["wsgi.url_scheme"] == "http"


@pytest.mark.parametrize(("policy", "status"), [("drop", 200), ("refuse", 400), ("dangerous", 200)])
def test_header_map_decides_on_underscores(tmp_path, policy, status):
    with start_gunicorn(tmp_path, "--header-map", policy) as server, connect(server) as connection:
        connection.request("GET", "/environ", headers={"X_User": "name"})
        answer = connection.getresponse()
        assert answer.status == status
        assert (b"HTTP_X_USER" in answer.read()) is (policy == "dangerous")


def test_what_the_environment_of_the_worker_is_to_have(tmp_path):
    config = 'raw_env = ["TOLD=by gunicorn", "SCRIPT_NAME=/environ"]'
    with start_gunicorn(tmp_path, config=config) as server:
        status, content = ask(server, "/environ/environ")
        assert status == 200
        assert b'"TOLD": "by gunicorn"' in content
        assert b'"SCRIPT_NAME": "/environ", ' in content


def test_files_are_sent(plain):
    expect_file(plain, "greenserve.wsgi.file_wrapper")


def test_files_are_sent_without_sendfile(tmp_path):
    with start_gunicorn(tmp_path, "--no-sendfile") as server:
        expect_file(server, "wsgiref.util")


def expect_file(server: ServerProcess, module: str) -> None:
    """See that a file comes whole, through the wrapper of `module`."""
    assert ask_environ(server)["wsgi.file_wrapper"] == module
    assert ask(server, "/file") == (200, Path(__file__).with_name("gunicorn_site.py").read_bytes())


PASTE = """
[app:main]
paste.app_factory = paste_site:make
own = of the application
"""
PASTED = """
def make(global_conf, own):
    def application(environ, start_response):
        start_response("200 OK", [])
        return [f"{own}, {global_conf['wide']}".encode()]
    return application
"""


def test_an_application_of_paste_gets_its_settings(tmp_path):
    (tmp_path / "site.ini").write_text(PASTE)
    (tmp_path / "paste_site.py").write_text(PASTED)
    arguments = ("--paste", str(tmp_path / "site.ini"), "--paste-global", "wide=of all")
    with start_gunicorn(tmp_path, *arguments, application="") as server:
        assert ask(server) == (200, b"of the application, of all")


# -- settings without effect


def test_settings_without_effect_are_said_once(tmp_path):
    config = """
        strip_header_spaces = casefold_http_method = proxy_protocol = True
        http_parser = "python"
        workers = 2
    """
    with start_gunicorn(tmp_path, config=dedent(config) + BOOTED) as server:
        wait_for_handlers(server, 2)
        ask(server)
    assert server.wait() == 0
    (line,) = (line for line in server.lines if "settings without effect" in line)
    assert line.endswith(": casefold_http_method, http_parser, proxy_protocol, strip_header_spaces")


# -- TLS is in test_gunicorn_tls, hooks and logs in test_gunicorn_hooks


def test_plain_octets_of_a_request_that_is_none_are_refused(plain):
    with socket.create_connection(("127.0.0.1", plain.port), timeout=SECONDS) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert ask(plain) == (200, b"answer")

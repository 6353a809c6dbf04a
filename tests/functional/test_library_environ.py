"""The environ of the library call, as programs for pywsgi set it; settings as keywords; unknown arguments."""

from __future__ import annotations

from typing import Any

import gevent
import gevent.pywsgi
import pytest

from greenserve import Config, ConfigError, ListenError, WSGIServer, serve
from tests.functional.client import LIMIT, get
from tests.functional.running import ANSWERED, LOCAL, both, exchange, open_socket, running
from tests.functional.serving import Recorder, answering, wait_until


def environ_of(server: Any, octets: bytes = b"") -> dict[str, Any]:
    """Return the environ that a request to `server`, whose application is replaced, has."""
    server.application = recorder = Recorder()
    with running(server):
        assert exchange(server.address, octets).endswith(b"\r\n\r\nseen")
    return recorder.environs[0]


# -- the environ


@both
def test_an_environ_given_is_in_that_of_every_request(kind: Any) -> None:
    given = {"program.key": [1, 2], "SERVER_NAME": "given.example", "wsgi.multiprocess": True}
    environ = environ_of(kind(LOCAL, log=None, environ=given))
    assert given.items() <= environ.items()
    assert environ["REQUEST_METHOD"] == "GET"
    assert given.keys() == {"program.key", "SERVER_NAME", "wsgi.multiprocess"}


@both
def test_the_environ_can_be_replaced(kind: Any) -> None:
    server = kind(LOCAL, log=None, environ={"first": "yes"})
    server.set_environ({"second": "yes"})
    assert ("first" in server.environ, server.environ["second"]) == (False, "yes")
    server.environ["third"] = "yes"
    environ = environ_of(server)
    assert ("first" in environ, environ["second"], environ["third"]) == (False, "yes", "yes")
    assert environ["SERVER_PORT"] == str(server.server_port)


@both
def test_get_environ_gives_a_copy(kind: Any) -> None:
    server = kind(LOCAL, log=None, environ={"given": "yes"})
    environ = server.get_environ()
    assert environ == server.environ
    environ["changed"] = "yes"
    assert "changed" not in server.environ
    assert environ["given"] == "yes"
    assert environ["wsgi.url_scheme"] == "http"


@both
def test_a_subclass_may_have_another_base(kind: Any) -> None:
    class Server(kind):  # type: ignore[misc]
        base_env = {**kind.base_env, "subclass.key": "yes", "SERVER_SOFTWARE": "mine"}

    environ = environ_of(Server(LOCAL, log=None))
    assert (environ["subclass.key"], environ["SERVER_SOFTWARE"]) == ("yes", "mine")
    assert "subclass.key" not in kind.base_env


class OwnEnviron(dict[str, Any]):
    """A dictionary of the program's own."""


@both
def test_a_subclass_may_have_another_class_of_environs(kind: Any) -> None:
    class Server(kind):  # type: ignore[misc]
        environ_class = OwnEnviron

    server = Server(LOCAL, log=None)
    assert type(server.get_environ()) is OwnEnviron
    assert type(environ_of(server)) is OwnEnviron


@both
def test_environs_may_keep_their_values_to_themselves(kind: Any) -> None:
    class Server(kind):  # type: ignore[misc]
        environ_class = gevent.pywsgi.WSGISecureEnviron

    environ = environ_of(Server(LOCAL, log=None), get("/", "Cookie: secret=1", "Connection: close"))
    assert environ["HTTP_COOKIE"] == "secret=1"
    assert "secret=1" not in repr(environ)


@both
def test_a_subclass_may_compute_the_environ(kind: Any) -> None:
    class Server(kind):  # type: ignore[misc]
        def update_environ(self) -> None:
            super().update_environ()
            self.environ["computed"] = self.environ["SERVER_PORT"]

    server = Server(LOCAL, log=None)
    assert environ_of(server)["computed"] == str(server.server_port)


@both
def test_the_application_finds_its_errors_where_it_was_told(kind: Any) -> None:
    errors = object()
    environ = environ_of(kind(LOCAL, log=None, environ={"wsgi.errors": errors}))
    assert environ["wsgi.errors"] is errors


# -- settings


def test_settings_are_keywords() -> None:
    server = WSGIServer(LOCAL, answering(b"content"), log=None, server_header="mine", limit_request_line="1k")
    assert (server.settings.server_header, server.settings.limit_request_line) == ("mine", 1024)
    with running(server):
        assert b"\r\nServer: mine\r\n" in exchange(server.address)
        assert exchange(server.address, get("/" + "x" * 1024)).startswith(b"HTTP/1.1 414 ")


def test_all_settings_may_be_given_at_once() -> None:
    config = Config.from_keywords(server_header="", worker_connections=7)
    server = WSGIServer(LOCAL, answering(b"content"), log=None, config=config)
    assert server.cap == 7
    with running(server):
        assert b"\r\nServer:" not in exchange(server.address)


@pytest.mark.parametrize(
    ("settings", "cap"),
    [({}, float("inf")), ({"worker_connections": 5}, 5), ({"worker_connections": 0}, float("inf"))],
)
def test_requests_are_bounded_only_on_request(settings: dict[str, Any], cap: float) -> None:
    assert WSGIServer(LOCAL, None, log=None, **settings).cap == cap


def test_an_unknown_argument_is_named() -> None:
    with pytest.raises(TypeError, match="keepalive_tiemout"):
        WSGIServer(LOCAL, None, keepalive_tiemout=5)
    with pytest.raises(TypeError, match="certfiel"):
        WSGIServer(LOCAL, None, certfiel="cert.pem")


def test_a_value_that_a_setting_cannot_have_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="keepalive_timeout"):
        WSGIServer(LOCAL, None, keepalive_timeout="soon")
    with pytest.raises(ConfigError, match="^listener: 'no port': "):
        WSGIServer("no port", None)
    with pytest.raises(ConfigError, match="^listener: '': "):
        WSGIServer([LOCAL, ""], None)


@pytest.mark.parametrize("log", [None, "default"])
def test_a_format_of_the_access_log_is_checked_even_if_nothing_is_logged(log: Any) -> None:
    with pytest.raises(ConfigError, match="^access_log_format: 'NONSENSE': "):
        WSGIServer(LOCAL, None, log=log, access_log_format="NONSENSE")
    with pytest.raises(ConfigError, match="^access_log_format: '%y': "):
        WSGIServer(LOCAL, None, log=log, config=Config.from_keywords(access_log_format="%y"))


def test_an_address_in_use_is_an_error_that_names_it() -> None:
    with running(WSGIServer(LOCAL, None, log=None)) as first:
        second = WSGIServer(first.address, None, log=None)
        with pytest.raises(ListenError, match=f"127.0.0.1:{first.server_port}"):
            second.start()
        assert not second.started


# -- serve()


def test_serve_serves_until_it_is_interrupted(tmp_path: Any) -> None:
    path = tmp_path / "socket"
    serving = gevent.spawn(serve, answering(b"content"), f"unix:{path}", server_header="mine")
    wait_until(path.exists, "the socket")
    answer = exchange(str(path))
    assert answer.endswith(ANSWERED)
    assert b"\r\nServer: mine\r\n" in answer
    serving.kill(KeyboardInterrupt("pressed"), block=False)
    with pytest.raises(KeyboardInterrupt):
        serving.get(timeout=LIMIT)
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        open_socket(str(path))


def test_get_environ_of_a_subclass_makes_the_environ() -> None:
    class Server(WSGIServer):
        def get_environ(self) -> dict[str, Any]:
            return {**super().get_environ(), "own.key": "own"}

    recorder = Recorder()
    with running(Server(LOCAL, recorder, log=None)) as server:
        exchange(server.address, get("/", "Connection: close"))
    assert recorder.environs[0]["own.key"] == "own"


def test_set_environ_after_the_start_is_seen_by_the_next_request() -> None:
    recorder = Recorder()
    with running(WSGIServer(LOCAL, recorder, log=None)) as server:
        server.set_environ({"late.key": "late"})
        exchange(server.address, get("/", "Connection: close"))
        assert recorder.environs[0]["late.key"] == "late"
        assert recorder.environs[0]["SERVER_PORT"] == str(server.server_port)


@pytest.mark.parametrize("name", ["access_log", "bind", "chdir", "pythonpath", "log_level"])
def test_a_setting_that_means_nothing_to_the_library_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        WSGIServer(LOCAL, Recorder(), **{name: "anything"})


@pytest.mark.parametrize("spawn", ["nonsense-object", -1])
def test_a_spawn_that_cannot_be_is_refused(spawn: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="spawn"):
        WSGIServer(LOCAL, Recorder(), spawn=object() if spawn == "nonsense-object" else spawn)

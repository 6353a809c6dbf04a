"""HTTP over TLS: contexts of every kind, the environ, records, files, and the end."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent.socket
import gevent.ssl
import pytest
from gevent.pywsgi import WSGIHandler

from greenserve import Config, WSGIServer
from greenserve.net import stream
from tests.certificates import Authority, Certificate
from tests.functional.client import LIMIT, Truncated, get, post, post_chunked
from tests.functional.running import LOCAL
from tests.functional.secure import Tls
from tests.functional.serving import (
    Gate,
    Recorder,
    Serving,
    answering,
    echo,
    serving,
    show_path,
    turn_hub,
    wait_until,
)

CONTENT = bytes(range(256)) * 16384  # 4 MiB


@pytest.fixture
def tls(authority: Authority, certificate: Certificate) -> Tls:
    return Tls(authority, certificate)


@pytest.fixture
def served(tls: Tls) -> Iterator[Serving]:
    """A server that answers with the path, by TLS."""
    with serving(show_path, **tls.arguments) as served:
        yield served


# -- contexts


def by_arguments(tls: Tls) -> dict[str, Any]:
    return tls.arguments


def by_a_context_of_ssl(tls: Tls) -> dict[str, Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(**tls.arguments)
    return {"ssl_context": context}


def by_a_context_of_gevent(tls: Tls) -> dict[str, Any]:
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(**tls.arguments)
    return {"ssl_context": context}


WAYS = [by_arguments, by_a_context_of_ssl, by_a_context_of_gevent]


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_persists_and_is_parked_in_between(
    tls: Tls, way: Callable[[Tls], dict[str, Any]]
) -> None:
    with serving(show_path, **way(tls)) as served:
        assert served.server.ssl_enabled
        client = tls.connect(served)
        for path in ("/1", "/2", "/3"):
            assert client.ask(get(path)).content == path.encode()
            turn_hub()
            assert served.server.lender.serving() == {}
            assert served.busy == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_content_passes_both_ways(tls: Tls, way: Any, version: ssl.TLSVersion) -> None:
    context = tls.context()
    context.minimum_version = context.maximum_version = version
    with serving(echo, **way(tls)) as served:
        client = tls.connect(served, context)
        sending = gevent.spawn(client.send, post(CONTENT), post_chunked([CONTENT[:100_000]] * 10))
        assert client.read().content == CONTENT
        assert client.read().content == CONTENT[:100_000] * 10
        sending.get(timeout=LIMIT)


def test_the_command_s_settings_are_tls_arguments_too(tls: Tls) -> None:
    config = Config.from_keywords(**tls.arguments)
    server = WSGIServer(LOCAL, show_path, log=None, config=config)
    assert server.ssl_enabled
    assert server.environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_class_of_pywsgi_s_speaks_tls(tls: Tls, way: Any) -> None:
    class Handler(WSGIHandler):
        pass

    with serving(show_path, handler_class=Handler, **way(tls)) as served:
        stalled = served.connect()  # it makes no handshake, and is in nobody's way
        turn_hub()
        client = tls.connect(served)
        assert client.ask(get("/path")).content == b"/path"
        client.close()
        stalled.close()


# -- the environ


def test_the_environ_says_that_it_is_https(tls: Tls) -> None:
    recorder = Recorder()
    with serving(recorder, **tls.arguments) as served:
        client = tls.connect(served)
        for _ in range(2):
            client.ask(get())
        cipher = client.sock.cipher()
    for environ in recorder.environs:
        assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
        assert (environ["SSL_PROTOCOL"], environ["SSL_CIPHER"]) == ("TLSv1.3", cipher[0])
        assert environ["SERVER_PORT"] == str(served.port)
        assert "SSL_CLIENT_CERT" not in environ


def test_the_environ_names_a_client_that_has_a_certificate(tls: Tls, authority: Authority) -> None:
    recorder = Recorder()
    own = authority.issue("client", subject="/O=Tests/CN=client")
    context = tls.context()
    context.load_cert_chain(own.certfile, own.keyfile)
    arguments = {**tls.arguments, "ca_certs": authority.certfile, "cert_reqs": ssl.CERT_REQUIRED}
    with serving(recorder, **arguments) as served:
        assert tls.connect(served, context).ask(get()).status == 200
    environ = recorder.environs[0]
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert environ["SSL_CLIENT_S_DN"] == "CN=client,O=Tests"
    assert environ["SSL_CLIENT_CERT"].startswith("-----BEGIN CERTIFICATE-----\n")


# -- records


def test_requests_in_one_record_are_all_served(served: Serving, tls: Tls) -> None:
    client = tls.connect(served)
    client.send(b"".join(get(f"/{number}") for number in range(50)))
    for number in range(50):
        assert client.read().content == b"/%d" % number
    assert client.ask(get("/last")).content == b"/last"


def test_a_head_in_many_records_is_one_request(served: Serving, tls: Tls) -> None:
    client = tls.connect(served)
    client.send_pieces(get("/path", "X-Field: value"), 1)
    assert client.read().content == b"/path"


def test_content_behind_a_head_in_the_same_record_is_read(tls: Tls) -> None:
    with serving(echo, **tls.arguments) as served:
        client = tls.connect(served)
        for _ in range(3):
            assert (
                client.ask(
                    post(b"x" * 10_000),
                ).content
                == b"x" * 10_000
            )
        client.send(post(b"one") + post_chunked([b"two"]) + post(b"three"))
        assert [client.read().content for _ in range(3)] == [b"one", b"two", b"three"]


def test_a_slow_reader_holds_up_nobody(tls: Tls) -> None:
    with serving(answering(CONTENT * 4), **tls.arguments) as served:
        slow = tls.connect(served, receive_buffer=65536)
        slow.send(get())
        slow.read_head()
        wait_until(lambda: served.connection_of(slow).writer is not None, "its buffers being full")
        head = tls.connect(served)
        assert head.ask(get(method="HEAD"), method="HEAD").status == 200
        received = len(slow.buffer)
        while received < 4 * len(CONTENT):
            received += len(slow.sock.recv(1 << 20))


# -- files


def test_a_file_is_read_and_never_given_to_sendfile(
    tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    path = tmp_path / "content"
    path.write_bytes(CONTENT)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", str(len(CONTENT)))])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    monkeypatch.setattr(stream, "os", SimpleNamespace(**{**vars(os), "sendfile": lambda *a: calls.append(a)}))
    with serving(application, **tls.arguments) as served:
        client = tls.connect(served)
        for _ in range(2):
            assert client.ask(get()).content == CONTENT
    assert calls == []


# -- the end


def test_an_idle_connection_is_ended_with_close_notify(tls: Tls) -> None:
    with serving(show_path, keepalive_timeout=0.05, **tls.arguments) as served:
        client = tls.connect(served)
        client.ask(get())
        client.expect_end()  # strict: without close_notify this is an SSLEOFError


@pytest.mark.parametrize("request_", [get("/", "Connection: close"), get(version="1.0")])
def test_the_last_answer_is_followed_by_close_notify(served: Serving, tls: Tls, request_: bytes) -> None:
    client = tls.connect(served)
    assert client.ask(request_).closes
    client.expect_end()


def test_content_that_the_end_delimits_ends_with_close_notify(tls: Tls) -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one "
        yield b"two"

    with serving(application, **tls.arguments) as served:
        answer = tls.connect(served).ask(get(version="1.0"))
        assert (answer.content, answer.framing) == (b"one two", "close")


def test_stopping_ends_idle_connections_with_close_notify(tls: Tls) -> None:
    gate = Gate()
    with serving(gate, **tls.arguments) as served:
        idle, busy = tls.connect(served), tls.connect(served)
        busy.send(get("/busy"))
        gate.wait_for("/busy")
        stopping = gevent.spawn(served.server.stop, LIMIT)
        idle.expect_end()
        gate.let_go("/busy")
        assert busy.read().closes
        busy.expect_end()
        idle.close()
        busy.close()
        assert stopping.get(timeout=LIMIT) is True


def test_an_answer_that_is_cut_has_no_clean_end(tls: Tls) -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        raise RuntimeError("raised by the application")

    with serving(application, **tls.arguments) as served:
        client = tls.connect(served)
        client.send(get())
        with pytest.raises((Truncated, ssl.SSLEOFError)):
            client.read()
        client = tls.connect(served)
        client.send(get(version="1.0"))
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            client.read()
        assert served.take_errors() == [RuntimeError] * 2


def test_a_client_that_vanishes_is_forgotten(served: Serving, tls: Tls) -> None:
    client = tls.connect(served)
    client.ask(get())
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    wait_until(lambda: not served.server.connections, "the connection being closed")
    assert served.log.lines == []

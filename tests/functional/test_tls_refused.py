"""TLS handshakes that stall or fail, and plain HTTP: one line in the log, and nobody else notices."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator

import gevent.ssl
import pytest

from greenserve.net.tls import build_context
from greenserve.observe.logs import StreamLog
from tests.certificates import Authority, Certificate
from tests.functional.client import Client, get, post
from tests.functional.secure import Tls, is_done, shake_hands
from tests.functional.serving import (
    ErrorLog,
    Recorder,
    Serving,
    serving,
    show_path,
    turn_hub,
    wait_until,
)


@pytest.fixture
def tls(authority: Authority, certificate: Certificate) -> Tls:
    return Tls(authority, certificate)


@pytest.fixture
def served(tls: Tls) -> Iterator[Serving]:
    """A server that answers with the path, by TLS."""
    with serving(show_path, **tls.arguments) as served:
        yield served


HELLO = b"\x16\x03\x01\x02\x00\x01"  # the beginning of a ClientHello


@pytest.mark.parametrize("begun", [b"", HELLO], ids=["nothing", "a part"])
def test_a_handshake_that_stalls_is_ended_in_time(tls: Tls, begun: bytes) -> None:
    with serving(show_path, handshake_timeout=0.05, **tls.arguments) as served:
        client = served.connect()
        client.send(begun)
        client.expect_end()
        (line,) = served.log.lines
        assert f"TLS handshake with 127.0.0.1:{client.name[1]} failed: not done after 0.05 seconds" in line


def test_handshakes_that_stall_hold_up_nobody_and_take_no_slot(tls: Tls) -> None:
    with serving(show_path, worker_connections=1, **tls.arguments) as served:
        stalled = [served.connect() for _ in range(5)]
        for number, client in enumerate(stalled):
            client.send(HELLO[: number + 1])
        wait_until(lambda: all(map(served.knows, stalled)), "all being accepted")
        assert served.busy == 0
        assert tls.connect(served).ask(get("/path")).content == b"/path"


def test_a_handshake_may_be_slow(tls: Tls) -> None:
    with serving(show_path, **tls.arguments) as served:
        client = tls.connect_stepping(served)
        assert not is_done(client)
        for octet in client.outgoing.read():
            client.sock.sendall(bytes([octet]))
            turn_hub(1)
        shake_hands(client)
        client.send(get("/path", "Connection: close"))
        assert client.recv().endswith(b"/path")


def test_a_request_that_comes_with_the_end_of_the_handshake_is_served(served: Serving, tls: Tls) -> None:
    for _ in range(5):
        client = tls.connect_stepping(served)
        shake_hands(client)
        client.send(get("/first") + get("/second"))  # together with the client's last words
        received = b""
        while not received.endswith(b"/second"):
            received += client.recv()
        assert received.count(b"HTTP/1.1 200 OK\r\n") == 2


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x15\x03\x01\x00\x02\x02\x28",  # an alert: handshake failure
        b"\x80\x01\x02garbage" * 3,
        bytes(100),
    ],
    ids=["wrong message", "alert", "garbage", "zeros"],
)
def test_a_handshake_that_fails_is_one_line_in_the_log(served: Serving, octets: bytes) -> None:
    client = served.connect()
    client.send(octets)
    client.read_to_end()
    (line,) = served.log.lines
    assert f"127.0.0.1:{client.name[1]}" in line
    assert "TLS" in line


def test_a_client_that_distrusts_the_server_is_one_line_in_the_log(served: Serving) -> None:
    client = served.connect()
    with pytest.raises(ssl.SSLCertVerificationError):
        distrusting = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        distrusting.wrap_socket(client.sock, server_hostname="localhost")
    wait_until(lambda: not served.server.connections, "the connection being closed")
    assert len(served.log.lines) <= 1  # with TLS 1.3 the server may have been done already


def test_a_client_that_goes_away_during_the_handshake_is_one_line_in_the_log(served: Serving) -> None:
    with served.connect() as client:
        client.send(HELLO)
        wait_until(lambda: served.knows(client), "it being accepted")
    wait_until(lambda: not served.server.connections, "the connection being closed")
    assert len(served.log.lines) == 1


def reset(client: Client) -> None:
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("end", [Client.close, Client.half_close, reset])
@pytest.mark.parametrize("seen", [True, False], ids=["waited for", "at once"])
@pytest.mark.parametrize("octets", [b"", HELLO[:1]], ids=["nothing", "an octet"])
def test_a_probe_that_says_nothing_is_news_for_the_debug_log_only(
    tls: Tls, octets: bytes, seen: bool, end: Callable[[Client], None]
) -> None:
    log = ErrorLog()
    with serving(show_path, error_log=StreamLog(log, "debug"), **tls.arguments) as served:
        client = served.connect()
        if seen:
            wait_until(lambda: served.knows(client), "it being accepted")
            turn_hub()
        client.send(octets)
        if octets:
            turn_hub()  # what is reset at once, the server never gets to see
        end(client)
        wait_until(lambda: log.lines, "the line")
        client.close()
        wait_until(lambda: not served.server.connections, "the connection being closed")
    (line,) = log.lines
    level = "info" if octets else "debug"
    assert f"[{level}] TLS handshake with 127.0.0.1:{client.name[1]} failed: " in line


def test_a_version_before_1_2_is_refused(tls: Tls) -> None:
    assert build_context(**tls.arguments).minimum_version == ssl.TLSVersion.TLSv1_2
    with serving(show_path, **tls.arguments) as served:
        context = tls.context()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or the client would not even try
        with pytest.warns(DeprecationWarning):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):
            tls.connect(served, context)
        wait_until(lambda: served.log.lines, "the line")
        assert len(served.log.matching("TLS handshake with .* failed: ")) == 1


@pytest.mark.parametrize("request_", [get(), post(b"x" * 1000), get(method="PURGE"), get(version="1.0")])
def test_plain_http_on_a_tls_port_is_answered_in_plain_http(served: Serving, request_: bytes) -> None:
    client = served.connect()
    answer = client.ask(request_)
    assert (answer.status, answer.closes) == (400, True)
    client.expect_end()
    assert len(served.log.lines) == 1
    assert f"plain HTTP from 127.0.0.1:{client.name[1]} on a TLS port" in served.log.lines[0]


def test_a_client_without_the_certificate_that_is_required_is_not_served(
    tls: Tls, authority: Authority
) -> None:
    recorder = Recorder()
    arguments = {**tls.arguments, "ca_certs": authority.certfile, "cert_reqs": ssl.CERT_REQUIRED}
    with serving(recorder, **arguments) as served:
        with pytest.raises(OSError):
            tls.connect(served).ask(get())
        wait_until(lambda: served.log.lines, "the line")
        assert len(served.log.matching("TLS handshake with 127.0.0.1:.* failed: (?i:.*certificate)")) == 1
    assert recorder.environs == []


def test_a_stop_does_not_wait_for_a_client_that_has_said_nothing(tls: Tls) -> None:
    """A port scan or a health check would delay every exit by the time limit of the handshake."""
    with serving(show_path, handshake_timeout=600, **tls.arguments) as served:
        client = served.connect()
        wait_until(lambda: served.knows(client))
        assert served.server.stop(30) is True
        client.expect_end()

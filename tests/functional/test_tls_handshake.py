"""TLS handshakes: what is agreed on, callbacks, patched processes, and peers that speak no TLS."""

from __future__ import annotations

import _socket
import ssl
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import gevent.ssl
import pytest

from greenserve.net.tls import build_context, is_plain_http
from tests.certificates import Authority, Certificate
from tests.tls_pair import client_context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_handshake_agrees_on_a_version_and_on_http(
    paired: Any, authority: Authority, version: ssl.TLSVersion
) -> None:
    client = client_context(authority)
    client.minimum_version = client.maximum_version = version
    client.set_alpn_protocols(["h2", "http/1.1"])
    pair = paired(client=client)
    assert pair.server.selected_alpn_protocol() is None
    pair.shake_hands()
    assert pair.server.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    assert pair.server.cipher() == pair.client.tls.cipher()
    assert pair.server.selected_alpn_protocol() == "http/1.1"
    assert pair.server.getpeercert() is None


def test_a_handshake_never_waits(paired: Any) -> None:
    pair = paired()
    for _ in range(2):
        with pytest.raises(ssl.SSLWantReadError):
            pair.server.do_handshake()
    pair.shake_hands()


def test_a_handshake_that_ends_early_is_an_error(paired: Any) -> None:
    pair = paired()
    pair.client_sock.close()
    pair.wait()
    with pytest.raises(OSError) as caught:
        pair.server.do_handshake()
    assert not isinstance(caught.value, (ssl.SSLWantReadError, ssl.SSLWantWriteError))


def test_a_client_that_distrusts_the_server_is_an_error_with_a_reason(paired: Any, tmp_path: Path) -> None:
    pair = paired(client=client_context(Authority(tmp_path, "somebody else")))
    with pytest.raises(ssl.SSLCertVerificationError):
        pair.shake_hands()
    with pytest.raises(OSError, match="(?i)alert.unknown.ca"):
        try:
            pair.server.do_handshake()
        except ssl.SSLWantReadError:
            pair.wait()
            pair.server.do_handshake()
        pair.recv()


@pytest.mark.parametrize("kind", [ssl.SSLContext, gevent.ssl.SSLContext])
def test_a_callback_for_sni_gets_the_tls_socket_and_may_change_its_context(
    paired: Any, authority: Authority, certificate: Certificate, other: Certificate, kind: Any
) -> None:
    seen: list[Any] = []
    second = build_context(other.certfile, other.keyfile)

    def choose(owner: Any, name: str, context: ssl.SSLContext) -> None:
        seen.append((owner, name, context))
        if name == "other.example":
            owner.context = second

    first = kind(ssl.PROTOCOL_TLS_SERVER)
    first.load_cert_chain(certificate.certfile, certificate.keyfile)
    first.sni_callback = choose
    pair = paired(server=first, name="other.example")
    assert pair.server.context is first
    pair.shake_hands()
    assert seen == [(pair.server, "other.example", first)]
    assert pair.server.context is second
    assert ("commonName", "other") in [part[0] for part in pair.client.tls.getpeercert()["subject"]]
    assert pair.server.server_hostname is None


PATCHED = """
    import gevent.monkey
    gevent.monkey.patch_all()
    import _socket, gevent, select, socket, ssl, sys
    from greenserve.net.tls import TlsSocket, build_context, context_from_arguments

    certfile, keyfile, authority = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", 0))

    def ask():
        context = ssl.create_default_context(cafile=authority)
        plain = socket.create_connection(listener.getsockname())
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"question")
            assert client.recv(100) == b"answer", "answer"

    def step(function, *arguments):
        while True:
            try:
                return function(*arguments)
            except (ssl.SSLWantReadError, BlockingIOError):
                gevent.socket.wait_read(plain.fileno(), timeout=10)

    for context in (
        build_context(certfile, keyfile),
        context_from_arguments(certfile=certfile, keyfile=keyfile),
    ):
        assert type(context) is ssl.SSLContext is gevent.ssl.SSLContext
        asking = gevent.spawn(ask)
        accepted = listener.accept()[0]
        plain = _socket.socket(fileno=accepted.detach())
        tls = TlsSocket(plain, context)
        step(tls.do_handshake)
        assert step(tls.recv, 100) == b"question"
        tls.send(b"answer")
        asking.get(timeout=10)
        tls.close()
"""


def test_a_patched_process_has_tls_too(authority: Authority, certificate: Certificate) -> None:
    program = textwrap.dedent(PATCHED)
    arguments = [certificate.certfile, certificate.keyfile, authority.certfile]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, timeout=60)


# Peers that speak no TLS


@pytest.mark.parametrize(
    "method", ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "PRI", "X"]
)
def test_plain_http_is_recognised_and_can_be_answered_in_plain(paired: Any, method: str) -> None:
    pair = paired()
    pair.client_sock.sendall(f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    pair.wait()
    with pytest.raises(ssl.SSLError) as caught:
        pair.server.do_handshake()
    assert is_plain_http(caught.value)
    assert pair.server.transport is pair.plain
    pair.server.transport.send(b"400")
    pair.server.shutdown(_socket.SHUT_WR)
    with pair.client_sock.makefile("rb") as answer:
        assert answer.read() == b"400"


def test_tls_without_a_common_cipher_is_not_plain_http(paired: Any, authority: Authority) -> None:
    client = client_context(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # the server's key is not RSA
    pair = paired(client=client)
    with pytest.raises(ssl.SSLError) as caught:
        pair.shake_hands()
    assert not is_plain_http(caught.value)


@pytest.mark.parametrize("number", [0x0301, 0x0302])
def test_an_old_version_of_tls_is_refused_and_is_not_plain_http(paired: Any, number: int) -> None:
    pair = paired()
    body = struct.pack(">H32sBHHBB", number, b"r" * 32, 0, 2, 0xC009, 1, 0)
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    pair.client_sock.sendall(struct.pack(">BHH", 22, 0x0301, len(hello)) + hello)
    pair.wait()
    with pytest.raises(ssl.SSLError, match="(?i)unsupported.protocol") as caught:
        pair.server.do_handshake()
    assert not is_plain_http(caught.value)

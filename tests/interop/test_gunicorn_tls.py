"""TLS under gunicorn, with greenserve's worker class."""

from __future__ import annotations

import http.client
import json
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Certificate
from tests.interop.gunicorn_process import SECONDS, releases, start_gunicorn
from tests.process import ServerProcess


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.issue("localhost")


def ask_by_tls(
    server: ServerProcess, authority: Authority, own: Certificate | None = None, **options: Any
) -> Any:
    """Return the environ that a request by TLS had, and the connection's TLS socket's facts."""
    context = ssl.create_default_context(cafile=authority.certfile)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if own is not None:
        context.load_cert_chain(own.certfile, own.keyfile)
    for name, value in options.items():
        setattr(context, name, value)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=SECONDS, context=context)
    with closing(connection):
        connection.request("GET", "/environ")
        tls = connection.sock
        told = (tls.selected_alpn_protocol(), tls.cipher()[0], tls.version())
        return json.loads(connection.getresponse().read()), told


@releases
def test_certificates_and_ciphers_are_those_of_the_settings(tmp_path, release, authority, certificate):
    settings = ("--certfile", certificate.certfile, "--keyfile", certificate.keyfile)
    ciphers = ("--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256")
    with start_gunicorn(tmp_path, *settings, *ciphers, release=release) as server:
        environ, told = ask_by_tls(server, authority, maximum_version=ssl.TLSVersion.TLSv1_2)
        assert environ["wsgi.url_scheme"] == "https"
        assert told == ("http/1.1", "ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2")


def test_only_what_is_spoken_is_promised(tmp_path, authority, certificate):
    config = """
        def ssl_context(config, default_factory):
            context = default_factory()
            context.set_alpn_protocols(["h2"])
            return context
    """
    settings = ("--certfile", certificate.certfile, "--keyfile", certificate.keyfile)
    with start_gunicorn(tmp_path, *settings, config=config) as server:
        assert ask_by_tls(server, authority)[1][0] == "http/1.1"


@releases
def test_clients_show_a_certificate_where_that_is_required(tmp_path, release, authority, certificate):
    settings = ("--certfile", certificate.certfile, "--keyfile", certificate.keyfile)
    clients = ("--ca-certs", authority.certfile, "--cert-reqs", "2")
    with start_gunicorn(tmp_path, *settings, *clients, release=release) as server:
        environ, _ = ask_by_tls(server, authority, authority.issue("client"))
        assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
        with pytest.raises(OSError):
            ask_by_tls(server, authority)


@releases
def test_the_hook_makes_the_context(tmp_path, release, authority, certificate):
    config = """
        import ssl

        def ssl_context(config, default_factory):
            context = default_factory()
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            return context
    """
    settings = ("--certfile", certificate.certfile, "--keyfile", certificate.keyfile)
    with start_gunicorn(tmp_path, *settings, config=config, release=release) as server:
        assert ask_by_tls(server, authority)[1][2] == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            ask_by_tls(server, authority, maximum_version=ssl.TLSVersion.TLSv1_2)


def test_a_key_that_cannot_be_read_ends_the_start_instead_of_repeating_it(tmp_path, certificate):
    broken = tmp_path / "broken.pem"
    broken.write_text(Path(certificate.certfile).read_text())
    with start_gunicorn(tmp_path, "--certfile", str(broken)) as server:
        assert server.wait() == 3
        assert sum("Booting worker" in line for line in server.lines) == 1

"""TLS contexts: what is set, what is refused and why; certificates of clients in the environ."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import gevent.ssl
import pytest

from greenserve.errors import ConfigError
from greenserve.net.tls import build_context, context_from_arguments, tls_environ
from greenserve.net.tls_socket import _distinguished_name
from tests.certificates import Authority, Certificate
from tests.tls_pair import client_context


def refusal(function: Any, *arguments: Any, **named: Any) -> tuple[str, Any, str]:
    """Return the option, the value and the reason of the ConfigError that `function` raises."""
    with pytest.raises(ConfigError) as caught:
        function(*arguments, **named)
    return caught.value.option, caught.value.value, caught.value.reason


def test_a_context_has_no_old_version_no_compression_and_no_renegotiation(certificate: Certificate) -> None:
    context = build_context(certificate.certfile, certificate.keyfile)
    assert type(context) is ssl.SSLContext
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode == ssl.CERT_NONE


def test_one_file_may_hold_certificate_and_key(paired: Any, certificate: Certificate) -> None:
    paired(server=build_context(certificate.joined())).shake_hands()


def test_an_encrypted_key_is_opened_by_its_password(paired: Any, certificate: Certificate) -> None:
    keyfile = certificate.encrypted_keyfile("secret")
    paired(server=build_context(certificate.certfile, keyfile, "secret")).shake_hands()


def test_an_encrypted_key_without_a_password_is_refused_and_nobody_is_asked(certificate: Certificate) -> None:
    keyfile = certificate.encrypted_keyfile("secret")
    option, value, reason = refusal(build_context, certificate.certfile, keyfile)
    assert (option, value) == ("keyfile", keyfile)
    assert "encrypted" in reason


@pytest.mark.parametrize("password", ["wrong", "", "x" * 5000])
def test_a_wrong_password_is_refused(certificate: Certificate, password: str) -> None:
    keyfile = certificate.encrypted_keyfile("secret")
    option, value, reason = refusal(build_context, certificate.certfile, keyfile, password)
    assert (option, value) == ("keyfile", keyfile)
    assert "is the password right?" in reason


def test_a_key_of_another_certificate_is_refused(certificate: Certificate, other: Certificate) -> None:
    option, value, reason = refusal(build_context, certificate.certfile, other.keyfile)
    assert (option, value) == ("keyfile", other.keyfile)
    assert reason == f"the key does not match the certificate in {certificate.certfile!r}"


def test_files_that_are_missing_or_unreadable_are_named(
    certificate: Certificate, authority: Authority, tmp_path: Path
) -> None:
    gone, folder = str(tmp_path / "gone.pem"), str(tmp_path)
    assert refusal(build_context, gone) == ("certfile", gone, "No such file or directory")
    assert refusal(build_context, folder) == ("certfile", folder, "Is a directory")
    expected = ("keyfile", gone, "No such file or directory")
    assert refusal(build_context, certificate.certfile, gone) == expected
    expected = ("ca_certs", gone, "No such file or directory")
    assert refusal(build_context, certificate.certfile, certificate.keyfile, ca_certs=gone) == expected


def test_files_with_something_else_in_them_are_named(certificate: Certificate, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("bread, milk\n")
    path = str(notes)
    assert refusal(build_context, path, certificate.keyfile)[:2] == ("certfile", path)
    assert "no certificate" in refusal(build_context, path, certificate.keyfile)[2]
    assert refusal(build_context, certificate.certfile, path)[:2] == ("keyfile", path)
    assert "no private key" in refusal(build_context, certificate.certfile, path)[2]
    option, value, reason = refusal(build_context, certificate.certfile)
    assert (option, value, "no private key" in reason) == ("certfile", certificate.certfile, True)
    assert refusal(build_context, certificate.joined(), ca_certs=path)[:2] == ("ca_certs", path)


def test_a_damaged_key_is_refused(certificate: Certificate, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.key"
    damaged.write_text(Path(certificate.keyfile).read_text().replace("M", "N", 1))
    assert refusal(build_context, certificate.certfile, str(damaged))[:2] == ("keyfile", str(damaged))


def test_ciphers(paired: Any, authority: Authority, certificate: Certificate) -> None:
    name = "ECDHE-ECDSA-AES128-GCM-SHA256"
    client = client_context(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    pair = paired(server=build_context(certificate.joined(), ciphers=name), client=client)
    pair.shake_hands()
    assert tls_environ(pair.server) == {"HTTPS": "on", "SSL_PROTOCOL": "TLSv1.2", "SSL_CIPHER": name}


def test_ciphers_that_nobody_knows_are_refused(certificate: Certificate) -> None:
    option, value, reason = refusal(build_context, certificate.joined(), ciphers="ROT13")
    assert (option, value) == ("ciphers", "ROT13")
    assert "cipher" in reason and "(" not in reason


# Certificates of clients


@pytest.mark.parametrize("cert_reqs", ["optional", "required", ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_verified_client_is_in_the_environ(
    paired: Any, authority: Authority, certificate: Certificate, cert_reqs: Any
) -> None:
    client = authority.issue("client", subject="/C=DE/O=Müller, Söhne/CN=anna")
    server = build_context(certificate.joined(), ca_certs=authority.certfile, cert_reqs=cert_reqs)
    pair = paired(server=server, client=client_context(authority, client))
    pair.shake_hands()
    environ = tls_environ(pair.server)
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert environ["SSL_CLIENT_S_DN"].encode("latin-1").decode() == "CN=anna,O=Müller\\, Söhne,C=DE"
    assert environ["SSL_CLIENT_I_DN"] == "CN=greenserve test authority"
    assert environ["SSL_CLIENT_M_SERIAL"] == "1F2E3D"
    assert environ["SSL_CLIENT_CERT"] in Path(client.certfile).read_text()
    assert environ["SSL_CLIENT_CERT"].startswith("-----BEGIN CERTIFICATE-----\n")


def test_a_folder_of_authorities_is_taken(
    paired: Any, authority: Authority, certificate: Certificate, tmp_path: Path
) -> None:
    # No file has the name that OpenSSL looks for, so nobody is trusted.
    server = build_context(certificate.joined(), ca_certs=str(tmp_path), cert_reqs="required")
    with pytest.raises(ssl.SSLError, match="(?i)certificate.verify.failed"):
        paired(server=server, client=client_context(authority, certificate)).shake_hands()


def test_a_client_may_do_without_a_certificate_where_it_is_optional(
    paired: Any, authority: Authority, certificate: Certificate
) -> None:
    server = build_context(certificate.joined(), ca_certs=authority.certfile, cert_reqs="optional")
    pair = paired(server=server)
    pair.shake_hands()
    assert set(tls_environ(pair.server)) == {"HTTPS", "SSL_PROTOCOL", "SSL_CIPHER"}


def test_a_client_without_a_required_certificate_is_refused(
    paired: Any, authority: Authority, certificate: Certificate
) -> None:
    server = build_context(certificate.joined(), ca_certs=authority.certfile, cert_reqs="required")
    with pytest.raises(ssl.SSLError, match="(?i)peer.did.not.return.a.certificate"):
        paired(server=server).shake_hands()


@pytest.mark.parametrize("cert_reqs", ["optional", "required"])
def test_a_client_whose_certificate_somebody_else_signed_is_refused(
    paired: Any, authority: Authority, certificate: Certificate, tmp_path: Path, cert_reqs: str
) -> None:
    stranger = Authority(tmp_path, "somebody else").issue("client")
    server = build_context(certificate.joined(), ca_certs=authority.certfile, cert_reqs=cert_reqs)
    with pytest.raises(ssl.SSLError, match="(?i)certificate.verify.failed"):
        paired(server=server, client=client_context(authority, stranger)).shake_hands()


def test_verifying_needs_an_authority(certificate: Certificate) -> None:
    option, value, _ = refusal(build_context, certificate.joined(), cert_reqs="required")
    assert (option, value) == ("ca_certs", None)


@pytest.mark.parametrize("value", ["sometimes", 7, None])
def test_an_unknown_way_of_verifying_is_refused(certificate: Certificate, value: Any) -> None:
    expected = ("cert_reqs", value, "not one of none, optional, required")
    assert refusal(build_context, certificate.joined(), cert_reqs=value) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ('a,b+c"d\\e<f>g;h', 'a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h'),
        (" both ", "\\ both\\ "),
        (" ", "\\ "),
        ("#hash", "\\#hash"),
        ("a#b", "a#b"),
        ("a\nb\x00c\x7f", "a\\0Ab\\00c\\7F"),
    ],
)
def test_names_are_escaped(value: str, text: str) -> None:
    assert _distinguished_name(((("commonName", value),),)) == f"CN={text}"


def test_names_have_their_last_part_first_and_parts_may_have_two_values() -> None:
    name = ((("countryName", "DE"),), (("commonName", "a"), ("userId", "b")), (("title", "c"),))
    assert _distinguished_name(name) == "title=c,CN=a+UID=b,C=DE"


# The keyword arguments of pywsgi


def test_a_given_context_wins(certificate: Certificate) -> None:
    for kind in (ssl.SSLContext, gevent.ssl.SSLContext):
        context = kind(ssl.PROTOCOL_TLS_SERVER)
        assert context_from_arguments(ssl_context=context, certfile="gone", server_side=True) is context


def test_what_is_no_context_of_a_server_is_refused() -> None:
    with pytest.raises(TypeError, match="expected an ssl.SSLContext"):
        context_from_arguments(ssl_context=object())  # type: ignore[arg-type]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert refusal(context_from_arguments, ssl_context=context)[0] == "ssl_context"


def test_all_arguments_of_pywsgi_are_taken(
    paired: Any, authority: Authority, certificate: Certificate
) -> None:
    context = context_from_arguments(
        keyfile=certificate.keyfile,
        certfile=certificate.certfile,
        cert_reqs=ssl.CERT_OPTIONAL,
        ssl_version=ssl.PROTOCOL_TLS,
        ca_certs=authority.certfile,
        suppress_ragged_eofs=True,
        do_handshake_on_connect=False,
        ciphers="HIGH",
        server_side=True,
    )
    assert context.verify_mode == ssl.CERT_OPTIONAL
    paired(server=context).shake_hands()


def test_an_argument_that_nobody_knows_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="certfiel"):
        context_from_arguments(certfiel="x")  # type: ignore[call-arg]


def test_no_certificate_is_refused() -> None:
    assert refusal(context_from_arguments, keyfile="x")[0] == "certfile"


def test_tls_1_2_alone_can_be_asked_for(certificate: Certificate) -> None:
    context = context_from_arguments(certfile=certificate.joined(), ssl_version=ssl.PROTOCOL_TLSv1_2)
    assert context.maximum_version == context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", [ssl.PROTOCOL_TLSv1, ssl.PROTOCOL_TLSv1_1, ssl.PROTOCOL_TLS_CLIENT])
def test_versions_that_are_too_old_are_refused(certificate: Certificate, version: int) -> None:
    arguments = {"certfile": certificate.joined(), "ssl_version": version}
    assert refusal(context_from_arguments, **arguments)[:2] == ("ssl_version", version)

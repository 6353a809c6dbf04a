"""TLS on the server's side: its contexts here, a connection's socket and environ in `tls_socket`.

    build_context() / context_from_arguments()      once, when the server is made
    TlsSocket(sock, context)                        once a connection, then do_handshake() until it is done
    is_plain_http(error)                            where that failed
    tls_environ(tls)                                once a connection, for the environ of its requests

TLS 1.2 (RFC 5246) is the oldest version, compression and renegotiation are off (RFC 9325, 3.3 and 3.5),
and http/1.1 is offered by ALPN (RFC 7301).
"""

from __future__ import annotations

import os
import ssl
from _ssl import _SSLContext

from greenserve.errors import ConfigError
from greenserve.net.tls_socket import TlsSocket, is_plain_http, reason_of, tls_environ

__all__ = ["TlsSocket", "build_context", "context_from_arguments", "is_plain_http", "tls_environ"]

VERIFY_MODES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def build_context(
    certfile: str,
    keyfile: str | None = None,
    password: str | None = None,
    ca_certs: str | None = None,
    cert_reqs: str | int = "none",
    ciphers: str | None = None,
) -> ssl.SSLContext:
    """Return a server's context for a certificate chain and its key (in `certfile` too, unless given).

    `cert_reqs` is none, optional or required, or one of ssl's constants: whether clients show a certificate,
    which one of `ca_certs` (a file or a folder) must have signed.  `ciphers` is OpenSSL's list for TLS 1.2.
    Raises ConfigError, which names the file and the reason.
    """
    # Looked up now: once gevent has patched, the class is its own, and the original no longer works.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load_chain(context, certfile, keyfile, password)
    _load_verification(context, ca_certs, cert_reqs)
    if ciphers is not None:
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError as error:
            raise ConfigError("ciphers", ciphers, reason_of(error)) from None
    return context


def context_from_arguments(
    *,
    ssl_context: ssl.SSLContext | None = None,
    keyfile: str | None = None,
    certfile: str | None = None,
    cert_reqs: str | int = "none",
    ssl_version: int | None = None,
    ca_certs: str | None = None,
    ciphers: str | None = None,
    password: str | None = None,
    server_side: bool = True,
    suppress_ragged_eofs: bool = True,
    do_handshake_on_connect: bool = True,
) -> ssl.SSLContext:
    """Return the context that pywsgi's keyword arguments for TLS ask for; `ssl_context` wins.

    The last three are accepted and change nothing: this is a server, a ragged end is an end, and the
    handshake belongs to the connection.  Raises ConfigError, and TypeError where `ssl_context` is none.
    """
    if ssl_context is not None:
        if not isinstance(ssl_context, _SSLContext):
            raise TypeError(f"ssl_context: expected an ssl.SSLContext, not {ssl_context!r}")
        if ssl_context.protocol == ssl.PROTOCOL_TLS_CLIENT:
            raise ConfigError("ssl_context", ssl_context, "it is a client's (PROTOCOL_TLS_CLIENT)")
        return ssl_context
    if certfile is None:
        raise ConfigError("certfile", certfile, "TLS needs a certificate")
    context = build_context(certfile, keyfile, password, ca_certs, cert_reqs, ciphers)
    if ssl_version == ssl.PROTOCOL_TLSv1_2:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    elif ssl_version not in (None, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_SERVER):
        raise ConfigError("ssl_version", ssl_version, "a server's protocol is wanted, TLS 1.2 at least")
    return context


def _load_chain(
    context: ssl.SSLContext, certfile: str, given_keyfile: str | None, password: str | None
) -> None:
    # What is wrong with a key is said of the option that names its file.
    option, keyfile = ("keyfile", given_keyfile) if given_keyfile else ("certfile", certfile)

    def give_password() -> str:
        # Without this OpenSSL would ask for it on the terminal, and wait.
        if password is None:
            raise ConfigError(option, keyfile, "the key is encrypted and there is no password")
        return password

    certificates, key = _read_file("certfile", certfile), _read_file(option, keyfile)
    try:
        context.load_cert_chain(certfile, keyfile, give_password)
    except (ssl.SSLError, ValueError) as error:
        if b"CERTIFICATE-----" not in certificates:
            raise ConfigError("certfile", certfile, "there is no certificate in it (PEM)") from None
        if b"PRIVATE KEY-----" not in key:
            missing = "" if given_keyfile else "keyfile"
            raise ConfigError(option, keyfile, "there is no private key in it (PEM)", missing) from None
        reason = reason_of(error)
        if "mismatch" in reason:
            reason = f"the key does not match the certificate in {certfile!r}"
        elif b"ENCRYPTED" in key:
            reason = f"the key cannot be decrypted, is the password right? ({reason})"
        raise ConfigError(option, keyfile, reason) from None


def _load_verification(context: ssl.SSLContext, ca_certs: str | None, cert_reqs: str | int) -> None:
    mode = VERIFY_MODES.get(cert_reqs, cert_reqs) if isinstance(cert_reqs, str) else cert_reqs
    if mode not in (ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED):
        raise ConfigError("cert_reqs", cert_reqs, f"not one of {', '.join(VERIFY_MODES)}")
    if mode != ssl.CERT_NONE and ca_certs is None:
        raise ConfigError("ca_certs", ca_certs, "needed to verify the certificates of clients")
    context.verify_mode = ssl.VerifyMode(mode)
    if ca_certs is None:
        return
    try:
        if os.path.isdir(ca_certs):
            context.load_verify_locations(capath=ca_certs)
        else:
            _read_file("ca_certs", ca_certs)
            context.load_verify_locations(cafile=ca_certs)
    except ssl.SSLError as error:
        raise ConfigError("ca_certs", ca_certs, reason_of(error)) from None


def _read_file(option: str, path: str) -> bytes:
    # ssl says "No such file or directory" without saying which of them.
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(option, path, error.strerror or str(error)) from None

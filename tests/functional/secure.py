"""Clients that speak TLS with a server that they trust."""

from __future__ import annotations

import ssl
from typing import Any

import gevent.ssl

from tests.certificates import Authority, Certificate
from tests.functional.client import Client
from tests.functional.serving import Serving
from tests.tls_pair import Client as SteppingClient


class Tls:
    """A server's arguments for TLS, and clients that trust it."""

    def __init__(self, authority: Authority, certificate: Certificate) -> None:
        self.authority = authority
        self.arguments = {"certfile": certificate.certfile, "keyfile": certificate.keyfile}

    def context(self) -> Any:
        """Return a client's context, for gevent's sockets."""
        context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=self.authority.certfile)
        return context

    def connect(self, served: Serving, context: Any = None, **options: Any) -> Client:
        """Return a client that has shaken hands.  An end without close_notify is an error to it."""
        client = served.connect(**options)
        client.sock = (context or self.context()).wrap_socket(
            client.sock, server_hostname="localhost", suppress_ragged_eofs=False
        )
        return client

    def connect_stepping(self, served: Serving) -> SteppingClient:
        """Return a client whose handshake has not begun, and is made step by step."""
        context = ssl.create_default_context(cafile=self.authority.certfile)
        return SteppingClient(served.connect().sock, context)


def shake_hands(client: SteppingClient) -> None:
    """Finish the handshake of a stepping client; what it says last is not sent yet."""
    while not is_done(client):
        client.flush()
        assert client.fetch(), "the server has hung up"


def is_done(client: SteppingClient) -> bool:
    """Take one step; return whether it was the last."""
    try:
        client.tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True

"""What the tests of time limits have in common: settings with few limits, clients that send slowly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent

from tests.functional.client import Client
from tests.functional.serving import Serving

#: Seconds; a limit that a test waits for.
SHORT = 0.1

#: Every limit that a connection may meet, off.
OFF: dict[str, Any] = {
    name + "_timeout": 0.0 for name in ("first_byte", "head", "body", "write", "linger")
} | {"keepalive_timeout": 1000.0}


def only(**limits: Any) -> dict[str, Any]:
    """Return settings in which these limits are the only ones."""
    return OFF | limits


def drip(served: Serving, client: Client, octets: Iterator[bytes]) -> None:
    """Send an octet at a time, each once the server has the one before, until the server has enough."""
    connection = served.connection_of(client)
    for octet in octets:
        if not served.knows(client) or connection.state.value == "lingering":
            return
        client.send(octet)
        gevent.idle()


def for_ever(octets: bytes) -> Iterator[bytes]:
    while True:
        yield octets


def expire(served: Serving, client: Client) -> None:
    """Have the deadline of a connection pass before the server has looked at its socket."""
    gevent.get_hub().loop.run_callback(served.connection_of(client).expire)

"""A stop that goes on while a test looks at it."""

from __future__ import annotations

from typing import Any

import gevent

from tests.functional.client import LIMIT, Client
from tests.functional.serving import Serving, wait_until

#: A time that no test waits for.
LONG = 600.0


def start_stopping(served: Serving, timeout: float = LONG) -> Any:
    """Call stop() in a greenlet and return that, when draining has begun."""
    stopping = gevent.spawn(served.server.stop, timeout)
    wait_until(lambda: served.server.draining, "the draining")
    return stopping


def expect_stopped(stopping: Any, *clients: Client) -> None:
    """See that stop() ends, all requests done, once these clients have seen the end of their connections."""
    for client in clients:
        client.expect_end()
        client.close()
    assert stopping.get(timeout=LIMIT) is True

"""An application that does something to the greenlet that it runs in, and whether others are still served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from tests.functional.client import Client, get
from tests.functional.serving import Serving


class Site:
    """An application that calls `action` for ``/act``, and knows who served each request."""

    def __init__(self, action: Callable[[Any], Any] = lambda greenlet: None) -> None:
        self.action = action
        self.greenlets: list[Any] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        greenlet = gevent.getcurrent()
        self.greenlets.append(greenlet)
        if environ["PATH_INFO"] == "/act":
            self.action(greenlet)
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode("latin-1")]


def expect_answers(served: Serving, *clients: Client) -> None:
    """See that old and new connections are served, several times, and all slots come back."""
    for client in (*clients, served.connect(), served.connect()):
        for path in ("/1", "/2"):
            assert client.ask(get(path)).content == path.encode()
    assert served.busy == 0

"""With few descriptors the server takes only the connections it can, and the application has some left."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

from tests.process import start_script

SECONDS = 30  # how long anything here may take before a test gives up on it

LIMIT = 100  # descriptors
MOST = 36  # connections that it leaves room for
OWN = 40  # descriptors that a request opens

PROGRAM = f"""
    import os, resource, sys

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, hard))

    def application(environ, start_response):
        files = [open(os.devnull) for _ in range({OWN})]
        for file in files:
            file.close()
        start_response("200 OK", [("Content-Length", "6")])
        return [b"answer"]

    sys.modules["limited"] = sys.modules["__main__"]
    from greenserve.cli import main
    sys.exit(main(["limited:application"]))
"""

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def read_answer(client: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"answer"):
        octets = client.recv(65536)
        assert octets, f"the end after {received!r}"
        received += octets
    return received


def test_more_clients_than_descriptors_are_served_one_after_the_other(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= LIMIT
    script = tmp_path / "start.py"
    script.write_text(dedent(PROGRAM))
    with ExitStack() as stack:
        server = stack.enter_context(start_script(script))
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), SECONDS))
            for _ in range(LIMIT + 20)
        ]
        for client in clients:
            client.sendall(REQUEST)
        for number, client in enumerate(clients):
            # The first ones are kept open until there is no room; from then on each makes room for one.
            assert read_answer(client).startswith(b"HTTP/1.1 200 OK\r\n"), number
            if number >= MOST - 1:
                clients[number - MOST + 1].close()
    assert [line for line in server.lines if "accept failed" in line or "Traceback" in line] == []

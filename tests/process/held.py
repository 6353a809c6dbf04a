"""An application whose requests may be held, where they wait, and a client that asks it."""

from __future__ import annotations

import http.client
import socket

from tests.process import ServerProcess

SECONDS = 30  # how long anything here may take before a test gives up on it

APPLICATION = """
    import socket
    from gevent import GreenletExit

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            with socket.create_connection(("127.0.0.1", int(environ["QUERY_STRING"]))) as gate:
                try:
                    gate.recv(1)
                except GreenletExit:
                    print("the application was ended", flush=True)
                    raise
        if environ["PATH_INFO"] == "/stubborn":
            with socket.create_connection(("127.0.0.1", int(environ["QUERY_STRING"]))) as gate:
                while True:
                    try:
                        gate.recv(1)
                        break
                    except GreenletExit:
                        print("the application does not end", flush=True)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"answer"]
"""


class Gate:
    """Where a request for `path` waits: it knocks, and goes on when it is told to, or is killed.

    One for `stubborn` goes on waiting when it is killed.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(SECONDS)
        port = self.listener.getsockname()[1]
        self.path, self.stubborn = f"/wait?{port}", f"/stubborn?{port}"

    def wait_for_knock(self) -> socket.socket:
        """Return the other end of the waiting request's socket."""
        knocking, _ = self.listener.accept()
        return knocking


def connect(server: ServerProcess) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    connection.connect()
    return connection


def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"answer")
    return answer

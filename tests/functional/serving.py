"""A real server for a test, in the test's own process and hub: `serving`, and applications for it.

What the server writes to its error log and what reaches the hub as an error is kept.  A test that
causes an error has to take it (`Serving.take_errors`): one that nobody expected fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.event import Event

from greenserve import WSGIServer
from tests.functional.client import LIMIT, Answer, Client, get

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Any]


class ErrorLog:
    """A file-like object that keeps the lines of the error log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.lines += text.splitlines()

    def matching(self, pattern: str) -> list[str]:
        """Return the lines in which `pattern` is found."""
        return [line for line in self.lines if re.search(pattern, line)]


class Serving:
    """A running server with what it said: `log`, and `errors`, the exceptions that reached the hub."""

    def __init__(self, server: WSGIServer, log: ErrorLog) -> None:
        self.server = server
        self.log = log
        self.errors: list[BaseException] = []
        self._clients: list[Client] = []

    @property
    def port(self) -> int:
        return int(self.server.server_port)

    @property
    def busy(self) -> int:
        """How many pool slots are taken."""
        return self.server.slots.busy

    def connect(self, **options: Any) -> Client:
        """Return a new client; it is closed with the server at the latest."""
        self._clients.append(Client(self.port, **options))
        return self._clients[-1]

    def ask(self, *octets: bytes, method: str = "GET") -> Answer:
        """Return the response to a request on a connection of its own."""
        with self.connect() as client:
            return client.ask(*octets, method=method)

    def connect_and_ask(self, count: int, *lines: str) -> dict[str, Client]:
        """Return new clients that have sent a request each, by its path: /0, /1 and so on."""
        clients = {f"/{number}": self.connect() for number in range(count)}
        for path, client in clients.items():
            client.send(get(path, *lines))
        return clients

    def connection_of(self, client: Client) -> Any:
        """Return the server's end of a client's connection."""
        ends = [each for each in self.server.connections if each.remote_port == str(client.name[1])]
        assert len(ends) == 1, f"{client.name} among {self.server.connections}"
        return ends[0]

    def knows(self, client: Client) -> bool:
        """Whether the server has a connection with this client."""
        return any(each.remote_port == str(client.name[1]) for each in self.server.connections)

    def take_errors(self) -> list[type[BaseException]]:
        """Return the types of the exceptions that have reached the hub, which are expected then."""
        taken, self.errors = self.errors, []
        return [type(error) for error in taken]

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()


@contextmanager
def serving(application: Application, **arguments: Any) -> Iterator[Serving]:
    """Run a server with further `arguments` of WSGIServer on a free port; nothing of it is left at the end.

    Stopping does not wait for requests that may be on their way, unless `drain_grace` is given.
    """
    log = ErrorLog()
    arguments = {"log": None, "error_log": log, "drain_grace": 0, **arguments}
    server = WSGIServer(("127.0.0.1", 0), application, **arguments)
    result = Serving(server, log)
    hub = gevent.get_hub()
    hub.print_exception = lambda context, kind, error, traceback: result.errors.append(error)
    try:
        server.start()
        yield result
        result.close_clients()
        assert server.stop(LIMIT), f"still there: {server.connections}"
        assert server.slots.busy == 0 and not server.slots.line
        for error in result.errors:
            raise AssertionError("an error that the test did not take reached the hub") from error
    finally:
        result.close_clients()
        server.kill()
        server.stop(LIMIT)
        del hub.print_exception


class Gate:
    """An application that holds every request until it is let go; `order` are the paths as they came."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._held: dict[str, Event] = {}

    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.order.append(path)
        held = self._held[path] = Event()
        assert held.wait(LIMIT), f"nobody let {path} go"
        start_response("200 OK", [])
        return [path.encode("latin-1")]

    @property
    def held(self) -> list[str]:
        """The paths of the requests that are being held."""
        return list(self._held)

    def wait_for(self, *paths: str) -> None:
        """Wait until all of these requests are held."""
        wait_until(lambda: self._held.keys() >= set(paths), f"{paths} being served")

    def let_go(self, path: str) -> None:
        """Have a request that is held answered."""
        self._held.pop(path).set()

    def run_through(self, clients: dict[str, Client], order: list[str]) -> None:
        """Let the requests go in `order`, in which they have to come, one by one; each client is answered."""
        for path in order:
            self.wait_for(path)
            turn_hub()
            assert self.order[-1] == path
            self.let_go(path)
            assert clients[path].read().content == path.encode()

    def answer_all(self, clients: dict[str, Client], at_once: int) -> None:
        """Have all clients answered in whatever order they come, always as many held as may be."""
        left = dict(clients)
        while left:
            wait_until(lambda: len(self.held) == min(at_once, len(left)), "all slots being taken")  # noqa: B023
            turn_hub(3)
            assert len(self.held) <= at_once
            path = self.held[0]
            self.let_go(path)
            assert left.pop(path).read().content == path.encode()


class Recorder:
    """An application that answers with ``seen``; `environs` are those of the requests that reached it.

    `contents` are what their content was.
    """

    def __init__(self) -> None:
        self.environs: list[Environ] = []
        self.contents: list[bytes] = []

    @property
    def paths(self) -> list[str]:
        return [environ["PATH_INFO"] for environ in self.environs]

    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        self.environs.append(environ)
        self.contents.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [b"seen"]


def show_path(environ: Environ, start_response: Any) -> list[bytes]:
    """Answer with the path; the content is left unread."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


def echo(environ: Environ, start_response: Any) -> list[bytes]:
    """Answer with the content."""
    content = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [content]


def answering(content: Any = b"hello", status: str = "200 OK", *fields: tuple[str, str]) -> Application:
    """Return an application that always gives this status, these fields and `content` as its only block."""

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        start_response(status, list(fields))
        return [content]

    return application


def returning(make: Any, *fields: tuple[str, str], status: str = "200 OK") -> Application:
    """Return an application that returns what `make` makes of the environ."""

    def application(environ: Environ, start_response: Any) -> Any:
        start_response(status, list(fields))
        return make(environ)

    return application


def idle_clients(served: Serving, count: int) -> list[Client]:
    """Return clients that have been answered and keep their connection."""
    clients = [served.connect() for _ in range(count)]
    for client in clients:
        assert client.ask(get("/idle")).status == 200
    return clients


def wait_until(condition: Callable[[], Any], what: str = "") -> Any:
    """Return what `condition` returns once that is true; the hub runs in between."""
    with gevent.Timeout(LIMIT, AssertionError(f"never came true: {what or condition}")):
        while not (result := condition()):
            gevent.idle()
    return result


def turn_hub(times: int = 10) -> None:
    """Let the hub handle what has come, several times until there is nothing to do.

    Octets between two sockets of one machine are there at once, so what could happen has happened then.
    """
    for _ in range(times):
        gevent.idle()

"""nginx or HAProxy as a child of the test, configured by what docs/deploying.md shows.

A recipe is taken from the page by its heading; nothing in it is changed but addresses, files and times.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.functional.client import Answer, Client, get
from tests.listening import free_port, is_listening
from tests.pipes import wait_for
from tests.process import ROOT, ServerProcess, start_process, start_server
from tests.tools import require_tool

PAGE = ROOT / "docs" / "deploying.md"
SITE = "tests.interop.front_site"
SECONDS = 30  # how long anything here may take before a test gives up on it

# What the page has and a test replaces.
ONE, TWO = "127.0.0.1:8000", "127.0.0.1:8001"
UNIX = "/run/greenserve/site.sock"
AUTHORITY = "/etc/ssl/greenserve-ca.pem"

WARNING = re.compile(r"\[WARNING\].* config : |\[(warn|emerg)\]")

#: The recipes that make up a configuration, by program and by where greenserve is.
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "nginx": {
        "one": ("one server", "the site", "streams", "streamed uploads"),
        "two": ("two servers", "the site"),
        "unix": ("a Unix socket", "the site", "streams", "streamed uploads"),
        "tls": ("one server", "the site", "TLS to greenserve"),
    },
    "HAProxy": {
        "one": ("the site", "one server"),
        "two": ("the site", "two servers"),
        "unix": ("the site", "a Unix socket"),
        "tls": ("the site", "TLS to greenserve"),
    },
}

MAIN_OF_NGINX = """
daemon off;
master_process off;  # one process: whoever ends it has ended all of it
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""
GLOBAL_OF_HAPROXY = """
global
    log stdout format raw local0
    maxconn 500
    nbthread 1  # each thread has idle connections of its own, which may lie there for long

{site}
"""


def recipes() -> dict[str, str]:
    """Return the blocks of the page by the heading that they stand under, a heading having one at most."""
    found: dict[str, str] = {}
    title = ""
    for part in re.split(r"^(#.*\n|```\w+\n(?:.*\n)*?```\n)", PAGE.read_text("utf-8"), flags=re.M):
        if part.startswith("#"):
            title = part.strip("# \n")
        elif part.startswith("```"):
            assert title not in found, f"two blocks under {title!r}"
            found[title] = part.partition("\n")[2].removesuffix("```\n")
    return found


def recipe(program: str, where: str) -> str:
    """Return the configuration of `program` in front of greenserve where `PARTS` says."""
    found = recipes()
    blocks = [found[f"{program}: {title}"] for title in PARTS[program][where]]
    if program == "HAProxy":
        return "\n".join(blocks)
    upstream, site, *locations = blocks
    for location in locations:
        site = put_location(site, location)
    return upstream + site


def put_location(site: str, location: str) -> str:
    """Return nginx's server block with a location, in the place of the one for the same path."""
    inner = "".join(f"    {line}\n" for line in location.splitlines())
    start = re.escape(inner.splitlines()[0])
    site = re.sub(rf"^{start}\n.*?^    \}}\n", "", site, flags=re.M | re.S)
    return site.rstrip().removesuffix("}") + inner + "}\n"


def replace(text: str, replaced: Mapping[str, object]) -> str:
    """Return `text` with each key of `replaced`, which has to be in it, replaced by its value."""
    for old, new in replaced.items():
        assert old in text, f"no {old!r} in:\n{text}"
        text = text.replace(old, str(new))
    return text


class FrontEnd:
    """A running nginx or HAProxy: its process, and the port that its clients use."""

    def __init__(self, process: ServerProcess, port: int) -> None:
        self.process = process
        self.port = port

    def connect(self, *, receive_buffer: int = 0) -> Client:
        """Return a new client."""
        return Client(self.port, receive_buffer=receive_buffer)

    def ask(self, *octets: bytes, method: str = "GET") -> Answer:
        """Return the response to a request on a connection of its own."""
        with self.connect() as client:
            return client.ask(*octets, method=method)


@contextmanager
def start_front_end(
    program: str, folder: Path, where: str, replaced: Mapping[str, object]
) -> Iterator[FrontEnd]:
    """Run nginx or HAProxy on a free port, its configuration in `folder`; yield it once it listens."""
    port = free_port()
    listen, main = ("listen 80;", MAIN_OF_NGINX) if program == "nginx" else ("bind :80", GLOBAL_OF_HAPROXY)
    bound = listen.replace(":80", "80").replace("80", f"127.0.0.1:{port}")
    site = replace(recipe(program, where), {listen: bound, **replaced})
    file = folder / f"{program}.conf"
    file.write_text(main.format(folder=folder, site=site))
    options = ["-p", str(folder), "-c"] if program == "nginx" else ["-db", "-f"]
    with start_process([require_tool(program.lower()), *options, str(file)], ready=None) as process:
        wait_for(lambda: is_there(process, port), f"{program} on port {port}")
        assert [line for line in process.lines if WARNING.search(line)] == [], process.report("warned")
        yield FrontEnd(process, port)


def is_there(process: ServerProcess, port: int) -> bool:
    """Whether `process`, which has to be there, listens on `port` by now."""
    assert process.is_running, process.report("ended at once")
    return is_listening(port)


@contextmanager
def paused(process: ServerProcess) -> Iterator[None]:
    """Have a process stand still, while the kernel takes connections and octets for it."""
    process.send_signal(signal.SIGSTOP)
    try:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def serve(*arguments: str, env: Mapping[str, str] | None = None) -> AbstractContextManager[ServerProcess]:
    """Run greenserve with the application of `front_site`, on a free port unless `arguments` say where."""
    is_unix = any(argument.startswith("unix:") for argument in arguments)
    ready = "listening on unix:" if is_unix else r"listening on https?://127\.0\.0\.1:(\d+)"
    return start_server(SITE, *arguments, env=env, ready=ready)


def address(server: ServerProcess) -> str:
    """Return where a server listens, as a front end names it."""
    return f"127.0.0.1:{server.port}"


def wait_for_idle_close(server: ServerProcess) -> None:
    """Wait until the server has closed every connection that is idle now."""
    with Client(server.port) as client:
        client.ask(get("/echo"))
        client.expect_end()  # idle for less time than the others: their end has come before
    with Client(server.port) as client:
        client.ask(get("/echo"))  # whatever the server was at, it is done


class Gate:
    """Where requests for ``/wait``, ``/feed`` and ``/receive`` connect to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(SECONDS)
        self._accepted: list[socket.socket] = []

    def path(self, name: str) -> str:
        """Return the target of a request for `name` that comes here."""
        return f"{name}?{self.listener.getsockname()[1]}"

    def accept(self) -> socket.socket:
        """Return the other end of a request's connection."""
        accepted, _ = self.listener.accept()
        accepted.settimeout(SECONDS)
        self._accepted.append(accepted)
        return accepted

    def has_knock(self) -> bool:
        """Whether a request has connected that was not accepted yet."""
        self.listener.settimeout(0)
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        finally:
            self.listener.settimeout(SECONDS)
        return True

    def close(self) -> None:
        """Close everything: whoever still waits here goes on."""
        for sock in (self.listener, *self._accepted):
            sock.close()

"""The application behind gunicorn: what it is asked to do is in the path."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import sys
from contextlib import suppress
from typing import Any

import gevent
from gevent import monkey

NATIVE_SLEEP = monkey.get_original("time", "sleep")


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Answer, having done what the path names."""
    name = environ["PATH_INFO"].strip("/") or "answer"
    content = globals()[f"do_{name}"](environ)
    if not isinstance(content, bytes):
        return send_file(environ, start_response, content)
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))]
    start_response("200 OK", fields)
    return [content]


def send_file(environ: dict[str, Any], start_response: Any, file: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](file)


def do_answer(environ: dict[str, Any]) -> bytes:
    return b"answer"


def do_pid(environ: dict[str, Any]) -> bytes:
    return str(os.getpid()).encode()


def do_echo(environ: dict[str, Any]) -> bytes:
    content: bytes = environ["wsgi.input"].read()
    return content


def do_environ(environ: dict[str, Any]) -> bytes:
    """Tell what is in the environ, and whether threads and sockets are gevent's."""
    told = {key: value for key, value in environ.items() if isinstance(value, (str, bool))}
    told["patched"] = monkey.is_module_patched("threading") and monkey.is_module_patched("os")
    told["wsgi.file_wrapper"] = environ["wsgi.file_wrapper"].__module__
    told["TOLD"] = os.environ.get("TOLD", "")
    return json.dumps(told).encode()


def do_take(environ: dict[str, Any]) -> bytes:
    """Take the connection over, and say something on it."""
    environ["wsgi.input"].raw._sock.sendall(b"taken over")
    return b""


def do_complain(environ: dict[str, Any]) -> bytes:
    environ["wsgi.errors"].write("a word for the error log\n")
    return b"said"


def do_fail(environ: dict[str, Any]) -> bytes:
    raise LookupError("what the application raised")


def do_tls(environ: dict[str, Any]) -> bytes:
    """Make a context as urllib3 does: with ssl patched too late, that never ends."""
    import ssl

    class Context(ssl.SSLContext):
        pass

    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    early = sys.modules.get("early")
    if early is not None:
        context = early.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    return b"made" if early is None else b"made early"


def do_resolve(environ: dict[str, Any]) -> bytes:
    """Have a thread of the hub's do something."""
    socket.getaddrinfo("localhost", 80)
    name: bytes = gevent.get_hub().threadpool.apply(bytes, (b"localhost",))
    return name


class Beside:
    """What gunicorn runs in processes beside the workers (dirty_apps)."""

    def init(self) -> None: ...

    def __call__(self, action: str, *args: object) -> str:
        return f"{action} {os.getpid()}"

    def close(self) -> None: ...


def do_beside(environ: dict[str, Any]) -> bytes:
    """Ask what runs beside the workers."""
    from gunicorn.dirty import get_dirty_client

    told: str = get_dirty_client().execute(f"{__name__}:Beside", "asked")
    return told.encode()


def do_file(environ: dict[str, Any]) -> io.BufferedReader:
    return open(__file__, "rb")


def knock(environ: dict[str, Any]) -> socket.socket:
    """Connect to the gate whose port is the query."""
    return socket.create_connection(("127.0.0.1", int(environ["QUERY_STRING"])))


def do_wait(environ: dict[str, Any]) -> bytes:
    """Wait at the gate."""
    with knock(environ) as gate:
        gate.recv(1)
    return b"waited"


counted: list[bytes] = []


def do_count(environ: dict[str, Any]) -> bytes:
    """Wait at the gate, and tell how many have done so at once."""
    counted.append(b"")
    most = len(counted)
    do_wait(environ)
    most = max(most, len(counted))
    counted.pop()
    return f"{most} at once".encode()


def do_block(environ: dict[str, Any]) -> bytes:
    """Knock, and let nobody else run from then on, whoever wants to exit."""
    with knock(environ):
        while True:
            with suppress(SystemExit):
                NATIVE_SLEEP(0.01)


def do_match(environ: dict[str, Any]) -> bytes:
    """Knock, and let not even another thread run."""
    with knock(environ):
        re.match(r"(a|aa)+$", "a" * 80 + "b")
    return b"no match"

"""Everything belongs to the hub that the server was started in: several servers, several threads, imports."""

from __future__ import annotations

import http.client
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from typing import Any

import gevent
import pytest

from greenserve import WSGIServer
from tests.functional.client import LIMIT, get
from tests.functional.running import exchange, running
from tests.functional.serving import answering, echo, serving, wait_until
from tests.process import ROOT


def test_two_servers_share_a_hub_and_nothing_else() -> None:
    with serving(answering(b"one")) as one:
        kept = one.connect()
        with running(WSGIServer(("127.0.0.1", 0), answering(b"two"), log=None)) as two:
            assert kept.ask(get()).content == b"one"
            assert exchange(two.address).endswith(b"\r\n\r\ntwo")
            assert one.server.lender is not two.lender
            assert one.server.sweeper is not two.sweeper
        assert kept.ask(get()).content == b"one"


class Threaded:
    """A server with a hub of its own, in a thread of its own."""

    def __init__(self, application: Any) -> None:
        self.server = WSGIServer(("127.0.0.1", 0), application, log=None, drain_grace=0)
        self.hub: Any = None
        self.failure: BaseException | None = None
        self._ready = threading.Event()
        self._stop: Any = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.hub = gevent.get_hub()
        try:
            self._stop = self.hub.loop.async_()
            self._stop.start(lambda: gevent.spawn(self.server.stop, LIMIT))
            self.server.start()
            self._ready.set()
            self.server.serve_forever()
        except BaseException as error:
            self.failure = error
        finally:
            self._ready.set()
            self._stop.close()
            self.hub.destroy(destroy_loop=True)

    def __enter__(self) -> Threaded:
        self._thread.start()
        assert self._ready.wait(LIMIT)
        assert self.failure is None
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.send()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        assert self.failure is None


def ask(port: int, content: bytes) -> bytes:
    """Return the answer to a client that blocks the whole thread that it is used in."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)) as connection:
        answers = []
        for _ in range(2):
            connection.request("POST", "/", content)
            answers.append(connection.getresponse().read())
    assert answers == [content] * 2
    return content


def test_a_server_in_a_second_thread_has_a_hub_of_its_own() -> None:
    with Threaded(echo) as threaded:
        assert threaded.hub is not gevent.get_hub()
        assert threaded.server.hub is threaded.hub
        ask(threaded.server.server_port, b"content")


def test_servers_in_two_threads_work_at_the_same_time() -> None:
    with Threaded(echo) as threaded, serving(echo) as served:
        assert threaded.server.hub is not served.server.hub
        assert served.ask(get(method="POST")).content == b""
        ask(threaded.server.server_port, b"to the other one")
        clients = [threading.Thread(target=ask, args=(served.port, b"from a thread")) for _ in range(3)]
        for client in clients:
            client.start()
        wait_until(lambda: not any(client.is_alive() for client in clients), "the end of the clients")


def test_a_server_may_be_started_in_another_thread_than_it_was_made_in() -> None:
    threaded = Threaded(answering(b"content"))
    assert not threaded.server.started
    with threaded:
        assert threaded.server.started
        with closing(
            http.client.HTTPConnection("127.0.0.1", threaded.server.server_port, timeout=LIMIT)
        ) as client:
            client.request("GET", "/")
            assert client.getresponse().read() == b"content"
    assert not threaded.server.started


# -- in a process of its own


def run(program: str) -> None:
    command = [sys.executable, "-bb", "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_only_start_makes_a_hub() -> None:
    run(
        """
        import threading
        import greenserve
        from greenserve import Config, WSGIServer, serve
        from gevent._hub_local import get_hub_if_exists

        def application(environ, start_response):
            start_response("200 OK", [])
            return []

        assert get_hub_if_exists() is None, "by the import"
        server = WSGIServer(("127.0.0.1", 0), application, worker_connections=10, log=None)
        server.set_environ({"a": "b"})
        repr(server), server.started, server.address
        assert get_hub_if_exists() is None, "by the constructor"
        server.init_socket()
        assert get_hub_if_exists() is None, "by binding"
        server.start()
        assert get_hub_if_exists() is server.hub
        server.stop()
        assert threading.active_count() == 1
        """
    )


def test_importing_the_server_patches_nothing() -> None:
    run(
        """
        import socket, ssl, sys, threading, time
        before = [socket.socket, ssl.SSLContext, threading.Thread.start, time.sleep, threading.local]
        from greenserve import WSGIServer
        server = WSGIServer(("127.0.0.1", 0), None, log=None)
        server.init_socket()
        server.close()
        after = [socket.socket, ssl.SSLContext, threading.Thread.start, time.sleep, threading.local]
        assert before == after
        monkey = sys.modules.get("gevent.monkey")
        assert monkey is None or not monkey.is_module_patched("socket")
        """
    )


@pytest.mark.parametrize("patched", [False, True])
def test_an_unpatched_and_a_patched_process_serve_alike(patched: bool) -> None:
    run(
        f"""
        if {patched}:
            from gevent import monkey
            monkey.patch_all()
        import gevent
        from gevent.socket import create_connection
        from greenserve import WSGIServer

        def application(environ, start_response):
            start_response("200 OK", [])
            return [environ["wsgi.input"].read()]

        with WSGIServer(("127.0.0.1", 0), application, log=None, drain_grace=0) as server:
            server.start()
            with create_connection(server.address) as client, client.makefile("rb") as received:
                client.sendall(b"POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 7\\r\\n\\r\\ncon")
                gevent.sleep(0)
                client.sendall(b"tentGET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
                answers = received.read()
            assert answers.count(b"HTTP/1.1 200 OK") == 2, answers
            assert b"\\r\\n\\r\\ncontentHTTP/1.1" in answers, answers
        """
    )


@pytest.mark.parametrize("asked", [False, True], ids=["unused", "used"])
def test_a_closed_server_does_not_keep_the_event_loop_alive(asked: bool) -> None:
    """Nor does it once it has served: neither its sweeper nor its spare greenlets are work of their own."""
    run(
        f"""
        import gevent
        from gevent.socket import create_connection
        from greenserve import WSGIServer

        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"content"]

        server = WSGIServer(("127.0.0.1", 0), application, log=None)
        server.start()
        assert gevent.wait(timeout=0.01) is False, "a server that listens is work"
        if {asked}:
            with create_connection(server.address) as client, client.makefile("rb") as received:
                client.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
                assert received.read().endswith(b"content")
        server.close()
        assert gevent.wait(timeout={LIMIT}) is True, "there is nothing left to do"
        """
    )

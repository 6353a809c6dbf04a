"""A peer that asks for key updates and takes none of the answers (RFC 8446, 4.6.3) is given up.

The client is openssl's, which sends a KeyUpdate that asks for one for each line ``K`` it reads.  The test
stands between it and the server, so that what the server says can be left lying.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import gevent
import gevent.os
import gevent.socket
import pytest

from tests.certificates import Authority, Certificate
from tests.functional.client import LIMIT, Client, get
from tests.functional.secure import Tls
from tests.functional.serving import Serving, serving, show_path, turn_hub, wait_until
from tests.tools import require_tool

#: Octets that the kernel holds for a peer that takes nothing: as few as it lets one ask for.
SMALL_BUFFER = 2304

#: A server that answers each of them has filled these buffers by far fewer.
MOST_UPDATES = 5000

ASKED = b"KEYUPDATE"  # what the client prints for each


class Updating:
    """A client that has shaken hands; `end` is the socket that the server sees."""

    def __init__(self, process: subprocess.Popen[bytes], own: Any, end: Client) -> None:
        self.printed = b""
        self.end = end
        self.updates = 0
        self._process = process
        self._own = own
        self._tasks = [gevent.spawn(task) for task in (self._print, self._take)]
        self._giving = gevent.spawn(self._give)

    def _print(self) -> None:
        assert self._process.stdout is not None
        while octets := gevent.os.nb_read(self._process.stdout.fileno(), 65536):
            self.printed += octets

    def _take(self) -> None:
        try:
            while octets := self._own.recv(65536):
                self.end.send(octets)
        except OSError:
            pass  # the server has closed it

    def _give(self) -> None:
        while octets := self.end.sock.recv(65536):
            self._own.sendall(octets)

    def write(self, octets: bytes) -> None:
        """Have the client send `octets`."""
        assert self._process.stdin is not None
        self._process.stdin.write(octets)
        self._process.stdin.flush()

    def wait_for(self, octets: bytes) -> None:
        """Wait until the client has printed `octets`."""
        wait_until(lambda: octets in self.printed or self._process.poll() is not None, f"{octets!r}")
        assert octets in self.printed, self.printed

    def stop_reading(self) -> None:
        """Leave what the server sends to the kernel from now on."""
        self._giving.kill()

    def ask_for_update(self) -> None:
        """Have the client ask once; it reads one line at a time if it gets one at a time."""
        self.updates += 1
        self.write(b"K\n")
        wait_until(lambda: self.printed.count(ASKED) == self.updates, "a key update being asked for")

    def stop(self) -> None:
        gevent.killall([*self._tasks, self._giving])


@contextmanager
def updating(served: Serving, authority: Authority) -> Iterator[Updating]:
    """Connect a client to `served`, whose buffers for it are small."""
    served.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    with closing(gevent.socket.socket()) as listener:
        listener.settimeout(LIMIT)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        command = [require_tool("openssl"), "s_client", "-connect", address, "-tls1_3"]
        process = subprocess.Popen(
            [*command, "-CAfile", authority.certfile, "-verify_return_error", "-brief"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with process:
            try:
                assert process.stdout is not None
                os.set_blocking(process.stdout.fileno(), False)
                own, _ = listener.accept()
                client = Updating(process, own, served.connect(receive_buffer=SMALL_BUFFER))
                try:
                    client.wait_for(b"Verification: OK")
                    yield client
                finally:
                    client.stop()
                    own.close()
            finally:
                process.kill()


def flood(served: Serving, client: Updating, other: Client) -> None:
    """Ask for updates until the server has enough; whoever else asks is answered."""
    while served.knows(client.end) and client.updates < MOST_UPDATES:
        client.ask_for_update()
        if client.updates % 32 == 0:
            assert other.ask(get("/other")).content == b"/other"
    turn_hub()
    assert not served.knows(client.end), f"still there after {client.updates} updates"
    assert other.ask(get("/other")).content == b"/other"


@pytest.fixture
def tls(authority: Authority, certificate: Certificate) -> Tls:
    return Tls(authority, certificate)


def test_an_idle_peer_that_takes_no_key_update_is_closed(tls: Tls) -> None:
    with serving(show_path, **tls.arguments) as served:
        other = tls.connect(served)
        with updating(served, tls.authority) as client:
            client.write(get("/first"))
            client.wait_for(b"/first")
            client.stop_reading()
            flood(served, client, other)


def test_an_application_that_reads_from_such_a_peer_gets_an_error(tls: Tls) -> None:
    raised: list[BaseException] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            try:
                environ["wsgi.input"].read()
            except BaseException as error:
                raised.append(error)
                raise
        return show_path(environ, start_response)

    with serving(application, **tls.arguments) as served:
        other = tls.connect(served)
        with updating(served, tls.authority) as client:
            client.write(get("/post", "Content-Length: 1000", method="POST"))
            wait_until(lambda: served.busy, "the request being served")
            client.stop_reading()
            flood(served, client, other)
    assert [isinstance(error, OSError) for error in raised] == [True]


def test_key_updates_that_are_taken_change_nothing(tls: Tls) -> None:
    with serving(show_path, **tls.arguments) as served, updating(served, tls.authority) as client:
        for number in range(3):
            client.ask_for_update()
            client.write(get(f"/answer-{number}"))
            client.wait_for(b"/answer-%d" % number)

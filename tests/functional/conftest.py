"""Listeners that are closed again, certificates for every test that speaks TLS, and pairs of TLS sockets."""

from __future__ import annotations

import _socket
import os
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenserve.net.listener import bind_listener
from greenserve.net.logfile import LogFile
from greenserve.net.tls import build_context
from tests.certificates import Authority, Certificate
from tests.pipes import Pipe, wait_for
from tests.tls_pair import Pair, client_context


@pytest.fixture
def bound() -> Iterator[Any]:
    """`bind_listener`, with everything closed that it made."""
    made: list[_socket.socket] = []

    def bind(address: Any, **options: Any) -> _socket.socket:
        made.append(bind_listener(address, **options))
        return made[-1]

    yield bind
    for sock in made:
        sock.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who has signed the certificates below."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Certificate:
    """The certificate of localhost, 127.0.0.1 and ::1."""
    return authority.issue("localhost")


@pytest.fixture(scope="session")
def other(authority: Authority) -> Certificate:
    """The certificate of other.example."""
    return authority.issue("other", names="DNS:other.example")


@pytest.fixture
def paired(authority: Authority, certificate: Certificate) -> Iterator[Any]:
    """Makes pairs, whose contexts may be given, and closes them."""
    made: list[Pair] = []

    def pair(
        server: ssl.SSLContext | None = None, client: ssl.SSLContext | None = None, **names: str
    ) -> Pair:
        server = server or build_context(certificate.certfile, certificate.keyfile)
        made.append(Pair(server, client or client_context(authority), **names))
        return made[-1]

    yield pair
    for each in made:
        each.close()


@pytest.fixture
def pair(paired: Any) -> Pair:
    """A pair that has shaken hands."""
    result: Pair = paired()
    result.shake_hands()
    return result


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def opened(pipe: Pipe) -> Iterator[Callable[..., LogFile]]:
    """Opens log files, on the pipe unless told otherwise, and closes them."""
    made: list[LogFile] = []

    def open_log(target: Any = None, **options: Any) -> LogFile:
        made.append(LogFile(pipe.writer if target is None else target, **options))
        return made[-1]

    yield open_log
    if pipe.reader >= 0:
        os.close(pipe.reader)  # whoever is stuck gets an error
        pipe.reader = -1
    for file in made:
        file.close()
        wait_for(lambda file=file: not file._turn.locked(), "the thread")

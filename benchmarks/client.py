"""A plain client: it asks what a workload asks, and says whether the answer is right, before any load."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection

from benchmarks.request import HOST, Content, Request
from benchmarks.workload import Method, Workload

TIMEOUT = 20.0  # seconds
END_TIMEOUT = PIPELINE_TIMEOUT = 3.0

#: What is noted of a server that closes when it is asked to, but does not say so (RFC 9112, 9.6).
UNANNOUNCED = "ends the connection without announcing it"


class WrongAnswer(Exception):
    """The server did not answer what it has to; the text says what it did instead."""


@contextmanager
def connected(port: int, tls: bool) -> Iterator[HTTPConnection]:
    """Give a connection that is open.  Raises OSError."""
    connection = HTTPConnection(HOST, port, timeout=TIMEOUT)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is our own
        connection = HTTPSConnection(HOST, port, timeout=TIMEOUT, context=context)
    connection.connect()
    try:
        yield connection
    finally:
        connection.close()


def ask(connection: HTTPConnection, request: Request, number: int = 1) -> bool:
    """Send the request, compare the answer, return whether the connection persists.

    Raises WrongAnswer, OSError.
    """
    connection.send(request.head(number) + b"x" * request.content)
    try:
        response = HTTPResponse(connection.sock, method=request.method)
        response.begin()
        return compare(response, request.answer)
    except OSError:
        raise  # a closed connection is one, and an HTTPException as well
    except HTTPException as error:
        raise WrongAnswer(f"{type(error).__name__}: {error}") from None


def compare(response: HTTPResponse, expected: Content) -> bool:
    """Read the whole answer and return whether the connection persists.  Raises WrongAnswer."""
    if response.status != 200:
        raise WrongAnswer(f"status {response.status}: {response.read(100)!r}")
    if response.getheader("Content-Length", str(len(expected))) != str(len(expected)):
        raise WrongAnswer(f"Content-Length {response.getheader('Content-Length')}, not {len(expected)}")
    persists = not response.will_close
    length = 0
    for block in expected.blocks():
        received = response.read(len(block))
        if received != block:
            raise WrongAnswer(f"other content than expected behind octet {length}: {received[:40]!r}")
        length += len(block)
    if rest := response.read():
        raise WrongAnswer(f"{len(rest)} octets too many")
    return persists


def ask_once(port: int, request: Request, tls: bool = False) -> bool:
    with connected(port, tls) as connection:
        return ask(connection, request)


def check(port: int, workload: Workload) -> str:
    """Ask what the workload asks, twice on one connection where it persists; return what there is to note.

    Raises WrongAnswer, OSError.
    """
    request = workload.request
    with connected(port, workload.tls) as connection:
        persists = ask(connection, request)
        if persists and request.closes:
            expect_end(connection.sock)
        elif persists:
            ask(connection, request)
    if workload.pipelined > 1:
        check_pipelined(port, request, workload.pipelined)
    if workload.method is Method.IDLE and not persists:
        raise WrongAnswer("closes the connection after each answer")
    if request.closes:
        return UNANNOUNCED if persists else ""
    return "" if persists else "closes after each answer"


def expect_end(sock: socket.socket) -> None:
    """Raise WrongAnswer where the connection stays open, OSError."""
    sock.settimeout(END_TIMEOUT)
    try:
        ended = not sock.recv(1)
    except TimeoutError:
        ended = False
    if not ended:
        raise WrongAnswer("keeps the connection that it was asked to close")


def check_pipelined(port: int, request: Request, depth: int) -> None:
    """Send `depth` requests at once and read as many answers.  Raises WrongAnswer, OSError."""
    wanted = request.answer.block
    received = b""
    with socket.create_connection((HOST, port), TIMEOUT) as sock:
        sock.settimeout(PIPELINE_TIMEOUT)
        sock.sendall(request.head() * depth)
        while received.count(wanted) < depth:
            try:
                data = sock.recv(65536)
            except TimeoutError:
                data = b""
            if not data:
                raise WrongAnswer(f"{received.count(wanted)} answers to {depth} pipelined requests")
            received += data


def read_process(port: int) -> int:
    """Return the number of the process that serves, as the application tells it.  Raises WrongAnswer."""
    with connected(port, tls=False) as connection:
        connection.send(Request("/process", Content(b"")).head())
        response = HTTPResponse(connection.sock)
        response.begin()
        content = response.read()
    if not content.isdigit():
        raise WrongAnswer(f"no process number: {content[:40]!r}")
    return int(content)

"""requests and http.client: sessions, uploads, streams, redirects, cookies, several requests on their way."""

from __future__ import annotations

import hashlib
import http.client
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.process import ServerProcess, start_server

SECONDS = 60
CONTENT = bytes(range(256)) * 8192
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LINES = b"".join(b"line %d\n" % number for number in range(1000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    file = tmp_path_factory.mktemp("served") / "file.bin"
    file.write_bytes(CONTENT)
    with start_server("tests.interop.plain_site", env={"FILE": str(file)}) as server:
        yield server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def connection(server: ServerProcess) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as connection:
        yield connection


# -- requests


def test_a_session_stays_in_one_connection(server, session):
    paths = ["/echo", "/stream", "/file", "/status?204", "/status?304", "/cut-not", "/status?500"]
    first = session.get(server.url("/echo"), timeout=SECONDS).json()["REMOTE_PORT"]
    for path in paths:
        session.get(server.url(path), timeout=SECONDS)
        assert session.get(server.url("/echo"), timeout=SECONDS).json()["REMOTE_PORT"] == first


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_may_have_content(server, session, method):
    described = session.request(method, server.url("/echo"), data=b"content", timeout=SECONDS).json()
    assert (described["REQUEST_METHOD"], described["size"]) == (method, 7)


def test_a_head_is_as_long_as_the_get_and_has_no_content(server, session):
    for path in ("/file", "/echo", "/stream"):
        answer = session.head(server.url(path), timeout=SECONDS)
        assert (answer.status_code, answer.content) == (200, b"")
    assert session.head(server.url("/file"), timeout=SECONDS).headers["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize("status", [204, 304])
def test_no_content_where_there_can_be_none(server, session, status):
    answer = session.get(server.url(f"/status?{status}"), timeout=SECONDS)
    assert (answer.status_code, answer.content, answer.headers["X-Kind"]) == (status, b"", "status")
    assert "Transfer-Encoding" not in answer.headers


def test_an_upload_from_a_generator(server, session):
    blocks = (CONTENT[start : start + 70_000] for start in range(0, len(CONTENT), 70_000))
    described = session.post(server.url("/echo"), data=blocks, timeout=SECONDS).json()
    assert (described["HTTP_TRANSFER_ENCODING"], described["CONTENT_LENGTH"]) == ("chunked", None)
    assert described["sha256"] == DIGEST


def test_an_upload_of_a_form(server, session):
    described = session.post(
        server.url("/echo"), data={"a": "b"}, files={"file": CONTENT}, timeout=SECONDS
    ).json()
    assert described["size"] == int(described["CONTENT_LENGTH"]) > len(CONTENT)


def test_a_refused_upload_is_answered_and_the_session_goes_on(server, session):
    answer = session.post(server.url("/refuse"), data=b"x" * 1000, timeout=SECONDS)
    assert (answer.status_code, answer.text) == (413, "too much")
    assert session.post(server.url("/echo"), data=CONTENT, timeout=SECONDS).json()["sha256"] == DIGEST


def test_a_stream_is_read_line_by_line(server, session):
    with session.get(server.url("/stream"), stream=True, timeout=SECONDS) as answer:
        assert b"\n".join(answer.iter_lines()) + b"\n" == LINES


def test_a_download_that_is_given_up_harms_nobody(server, session):
    with session.get(server.url("/file"), stream=True, timeout=SECONDS) as answer:
        assert next(answer.iter_content(1000)) == CONTENT[:1000]
    assert session.get(server.url("/file"), timeout=SECONDS).content == CONTENT


def test_a_stream_that_fails_raises(server, session):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(server.url("/cut"), timeout=SECONDS)
    assert session.get(server.url("/echo"), timeout=SECONDS).status_code == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(server, session, status):
    answer = session.post(server.url(f"/redirect?{status}"), data=b"form", timeout=SECONDS)
    assert [step.status_code for step in answer.history] == [status]
    assert answer.json()["size"] == (4 if status in (307, 308) else 0)


def test_cookies_come_back(server, session):
    seen = [session.get(server.url("/count"), timeout=SECONDS).json() for _ in range(3)]
    assert seen == [{}, {"visits": "1", "second": "yes"}, {"visits": "2", "second": "yes"}]
    assert dict(session.cookies) == {"visits": "3", "second": "yes"}


def test_many_clients_at_a_time(server):
    def ask(number: int) -> list[str]:
        with requests.Session() as session:
            return [
                session.post(server.url(f"/{number}"), data=f"{number}.{turn}", timeout=SECONDS).json()[
                    "sha256"
                ]
                for turn in range(5)
            ]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert answers == [
        [hashlib.sha256(f"{number}.{turn}".encode()).hexdigest() for turn in range(5)] for number in range(20)
    ]


def test_fields_that_are_too_large_are_a_431(server, session):
    answer = session.get(server.url("/echo"), headers={"X-Large": "x" * 100_000}, timeout=SECONDS)
    assert (answer.status_code, answer.text) == (431, "Request Header Fields Too Large")


# -- http.client


def test_chunks_of_the_client_s_own_making(connection):
    connection.request("POST", "/echo", iter([b"one", b"two"]), encode_chunked=True)
    assert b'"size": 6' in connection.getresponse().read()


def test_an_answer_read_in_pieces(connection):
    for _ in range(2):
        connection.request("GET", "/file")
        answer = connection.getresponse()
        pieces = list(iter(lambda answer=answer: answer.read(333_333), b""))
        assert b"".join(pieces) == CONTENT


def test_http_1_0_gets_close_delimited_content(connection):
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    assert (answer.getheader("Transfer-Encoding"), answer.will_close, answer.read()) == (None, True, LINES)


def test_an_upload_that_is_given_up_harms_nobody(server, connection):
    connection.putrequest("PUT", "/echo")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"a part of it")
    connection.close()
    connection.request("GET", "/echo")
    assert connection.getresponse().status == 200


def test_several_ranges_on_their_way_come_back_in_order(server, tmp_path: Path):
    ranges = [(number * 10_000, number * 20_000 + 5) for number in range(20)]
    asked = b"".join(
        b"GET /file HTTP/1.1\r\nHost: localhost\r\nRange: bytes=%d-%d\r\n\r\n" % each for each in ranges
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as client:
        client.sendall(asked)
        with client.makefile("rb") as received:
            for first, last in ranges:
                answer = http.client.HTTPResponse(SocketOf(received))
                answer.begin()
                assert (answer.status, answer.read()) == (206, CONTENT[first : last + 1])


class SocketOf:
    """What HTTPResponse takes for a socket: all responses read from one buffered file."""

    def __init__(self, file: object) -> None:
        self.file = file

    def makefile(self, mode: str) -> object:
        return Unclosable(self.file)


class Unclosable:
    """A file that the end of a response does not close."""

    def __init__(self, file: object) -> None:
        self.file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    def close(self) -> None:
        """Stay open for the next response."""

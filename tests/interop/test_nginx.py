"""nginx alone: HTTP/1.0 to greenserve, what its buffers spare greenserve, its own rules for retries."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.functional.client import Truncated, get, post, post_chunked
from tests.interop.front_end import (
    ONE,
    FrontEnd,
    Gate,
    address,
    paused,
    serve,
    start_front_end,
    wait_for_idle_close,
)
from tests.process import ServerProcess
from tests.process.trees import tcp_queues

CONTENT = bytes(range(256)) * 16384
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LINES = b"".join(b"line %d\n" % number for number in range(1000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that serves one request at a time."""
    file = tmp_path_factory.mktemp("served") / "file.bin"
    file.write_bytes(CONTENT)
    with serve("--worker-connections", "1", env={"FILE": str(file)}) as server:
        yield server


def nginx(
    server: ServerProcess, folder: Path, replaced: Mapping[str, str] | None = None
) -> AbstractContextManager[FrontEnd]:
    """Run nginx in front of a server, with the site of the page but for what is `replaced`."""
    return start_front_end("nginx", folder, "one", {ONE: address(server), **(replaced or {})})


@pytest.fixture
def front(server: ServerProcess, tmp_path: Path) -> Iterator[FrontEnd]:
    with nginx(server, tmp_path) as front:
        yield front


@pytest.fixture
def old(server: ServerProcess, tmp_path: Path) -> Iterator[FrontEnd]:
    """nginx as it was before 1.1 was asked of it: HTTP/1.0, a connection for each request."""
    lines = {"    proxy_http_version 1.1;": "    proxy_http_version 1.0;"}
    lines['    proxy_set_header Connection "";\n'] = ""
    with nginx(server, tmp_path, lines) as front:
        yield front


# -- HTTP/1.0


def test_http_1_0_takes_a_connection_for_each_request(old: FrontEnd) -> None:
    with old.connect() as client:
        seen = [json.loads(client.ask(get("/echo")).content) for _ in range(10)]
    assert {each["SERVER_PROTOCOL"] for each in seen} == {"HTTP/1.0"}
    assert len({each["REMOTE_PORT"] for each in seen}) == 10


def test_everything_arrives_by_http_1_0_too(old: FrontEnd) -> None:
    with old.connect() as client:
        assert client.ask(get("/stream")).content == LINES  # its end is that of the connection
        assert client.ask(get("/file")).content == CONTENT
        assert client.ask(get("/file", method="HEAD"), method="HEAD")["Content-Length"] == str(len(CONTENT))
        for status in (204, 304):
            assert client.ask(get(f"/status?{status}")).status == status
        assert json.loads(client.ask(post(CONTENT, target="/echo")).content)["sha256"] == DIGEST
        uploaded = client.ask(post_chunked([CONTENT], target="/echo"))
        assert json.loads(uploaded.content)["CONTENT_LENGTH"] == str(len(CONTENT))


@pytest.mark.parametrize("path", ["/cut", "/short"])
def test_an_answer_by_http_1_0_that_breaks_off_is_not_whole_for_the_client(old: FrontEnd, path: str) -> None:
    with old.connect() as client, pytest.raises((Truncated, ConnectionResetError)):
        client.ask(get(path))


# -- buffers: greenserve, which has one place only, is free while a client takes its time


def test_a_slow_download_keeps_no_place(front: FrontEnd) -> None:
    with front.connect(receive_buffer=32768) as slow:
        slow.send(get("/file"))
        slow.read_head()
        assert front.ask(get("/stream")).content == LINES
        assert slow.read_some(len(CONTENT)) == CONTENT


def test_a_slow_upload_keeps_no_place(front: FrontEnd) -> None:
    request = post(CONTENT, target="/echo")
    with front.connect() as slow:
        slow.send(request[:-1])
        assert front.ask(get("/stream")).content == LINES
        assert json.loads(slow.ask(request[-1:]).content)["sha256"] == DIGEST


@pytest.mark.parametrize("path", ["/events/feed", "/feed-unbuffered"], ids=["by nginx", "by the application"])
def test_buffering_is_turned_off(old: FrontEnd, gate: Gate, path: str) -> None:
    """Without that, nginx would collect what comes by HTTP/1.0 until it has a buffer full."""
    with old.connect() as client:
        client.send(get(gate.path(path)))
        with gate.accept() as feeding:
            feeding.sendall(b"first\n")
            client.read_head()
            assert client.read_chunk() == b"data: first\n\n"
            feeding.sendall(b"second\n")
            assert client.read_chunk() == b"data: second\n\n"
        assert client.read_chunk() == b""


# -- retries


def test_a_post_that_meets_the_close_of_its_connection_fails_and_was_not_served(tmp_path: Path) -> None:
    """What nginx does not repeat: so greenserve has to keep idle connections for longer than nginx does."""
    with serve("--keepalive-timeout", "0.2") as server, nginx(server, tmp_path) as front:
        is_late = False
        while not is_late:  # the close may have been faster than this test
            with front.connect() as client:
                target = f"/echo?late={time.monotonic_ns()}"
                port = json.loads(front.ask(get("/echo")).content)["REMOTE_PORT"]
                with paused(front.process):
                    client.send(post(b"content", target=target))
                    is_late = tcp_queues(server.port, int(port)) is not None  # it comes before the close
                    wait_for_idle_close(server)
                answer = client.read()
        assert answer.status == 502
    assert [line for line in server.output if target in line] == []


# -- fields


def test_fields_with_underscores_that_nginx_lets_pass_are_dropped(
    server: ServerProcess, tmp_path: Path
) -> None:
    lines = {"    client_max_body_size 32m;": "    client_max_body_size 32m; underscores_in_headers on;"}
    with nginx(server, tmp_path, lines) as front:
        answer = front.ask(get("/echo", "X_Forwarded_For: made-up", "X_A: b"))
    seen = json.loads(answer.content)
    assert seen["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert "HTTP_X_A" not in seen

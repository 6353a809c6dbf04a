"""nginx and HAProxy in front of greenserve, as docs/deploying.md has them: what both have to pass on."""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import gevent
import gevent.pool
import pytest

from tests.functional.client import Answer, Truncated, chunk, get, post, post_chunked
from tests.interop.front_end import (
    ONE,
    PARTS,
    UNIX,
    FrontEnd,
    Gate,
    address,
    serve,
    start_front_end,
)
from tests.interop.front_site import ANNOUNCED
from tests.pipes import wait_for
from tests.process import ServerProcess

CONTENT = bytes(range(256)) * 32768  # 8 MiB: more than all buffers between two programs hold
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LINES = b"".join(b"line %d\n" % number for number in range(1000))

programs = pytest.mark.parametrize("program", PARTS)


@dataclass
class Site:
    """greenserve and what is in front of it."""

    program: str
    server: ServerProcess
    front: FrontEnd


SITES = [(program, where) for program in PARTS for where in ("one", "unix")]


@pytest.fixture(scope="module", params=SITES, ids="-".join)
def site(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A front end with its connections to greenserve over TCP, and over a Unix socket."""
    program, where = request.param
    folder = tmp_path_factory.mktemp(program)
    (folder / "file.bin").write_bytes(CONTENT)
    bind = ["--bind", f"unix:{folder}/site.sock"] if where == "unix" else []
    with ExitStack() as stack:
        server = stack.enter_context(serve(*bind, env={"FILE": str(folder / "file.bin")}))
        replaced = {UNIX: folder / "site.sock"} if bind else {ONE: address(server)}
        front = stack.enter_context(start_front_end(program, folder, where, replaced))
        yield Site(program, server, front)


def described(answer: Answer) -> dict[str, Any]:
    """Return what ``/echo`` says of the request."""
    assert answer.status == 200, answer
    described: dict[str, Any] = json.loads(answer.content)
    return described


# -- many requests, few connections


def test_requests_one_by_one_share_a_connection(site: Site) -> None:
    ports = {described(site.front.ask(get("/echo")))["REMOTE_PORT"] for _ in range(100)}
    assert len(ports) < 4


def test_requests_at_a_time_share_as_many_connections_as_there_are_clients(site: Site) -> None:
    def visit(number: int) -> list[str]:
        with site.front.connect() as client:
            asked = [client.ask(post(b"%d" % turn, target=f"/echo?{number}.{turn}")) for turn in range(25)]
        answers = [described(answer) for answer in asked]
        assert [each["QUERY_STRING"] for each in answers] == [f"{number}.{turn}" for turn in range(25)]
        return [each["REMOTE_PORT"] for each in answers]

    visits = gevent.pool.Pool(8).map(visit, range(8))
    assert len(set().union(*visits)) <= 24  # of 200 requests


# -- answers without content, and errors


def test_answers_that_have_no_content_leave_the_connection_in_order(site: Site) -> None:
    with site.front.connect() as client:
        for status in (204, 304, 404, 500):
            answer = client.ask(get(f"/status?{status}"))
            assert (answer.status, answer["X-Kind"]) == (status, "status")
            assert answer.content == (b"" if status < 400 else b"content")
            assert client.ask(get("/stream")).content == LINES


@pytest.mark.parametrize("path", ["/file", "/echo", "/stream", "/status?404", "/status?204"])
def test_a_head_has_the_fields_of_a_get_and_no_content(site: Site, path: str) -> None:
    with site.front.connect() as client:
        answer = client.ask(get(path, method="HEAD"), method="HEAD")
        assert answer.content == b""
        if path == "/file":
            assert answer["Content-Length"] == str(len(CONTENT))
        assert client.ask(get("/stream")).content == LINES


def test_an_answer_of_unknown_length_that_breaks_off_is_not_whole_for_the_client(site: Site) -> None:
    with site.front.connect() as client, pytest.raises((Truncated, ConnectionResetError)) as caught:
        client.ask(get("/cut"))
    if isinstance(caught.value, Truncated):
        assert caught.value.received == b"the beginning"
    site.server.wait_for_line("cut on purpose")


def test_an_answer_of_known_length_that_breaks_off_is_not_whole_for_the_client(site: Site) -> None:
    with site.front.connect() as client:
        client.send(get("/short"))
        head = Answer(*client.read_head())
        assert (head.status, head["Content-Length"]) == (200, str(ANNOUNCED))
        with pytest.raises((Truncated, ConnectionResetError)):
            client.read_some(ANNOUNCED)
    site.server.wait_for_line("bytes shorter than its Content-Length")
    assert site.front.ask(get("/echo")).status == 200


# -- large content, slow clients


def test_a_large_upload_arrives(site: Site) -> None:
    with site.front.connect() as client:
        assert described(client.ask(post(CONTENT, target="/echo")))["sha256"] == DIGEST
        assert described(client.ask(post(CONTENT, target="/uploads/echo")))["sha256"] == DIGEST


def test_a_large_upload_in_chunks_arrives(site: Site) -> None:
    pieces = [CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000)]
    with site.front.connect() as client:
        assert described(client.ask(post_chunked(pieces, target="/echo")))["sha256"] == DIGEST
        assert described(client.ask(post_chunked(pieces, target="/uploads/echo")))["sha256"] == DIGEST


def test_a_large_download_and_parts_of_it_arrive(site: Site) -> None:
    with site.front.connect() as client:
        assert client.ask(get("/file")).content == CONTENT
        part = client.ask(get("/file", "Range: bytes=1000-5000000"))
        assert (part.status, part.content) == (206, CONTENT[1000:5000001])
        assert client.ask(get("/file")).content == CONTENT


def test_a_client_that_takes_its_time_gets_it_all_and_holds_up_nobody(site: Site) -> None:
    with site.front.connect(receive_buffer=32768) as slow:
        slow.send(get("/file"))
        slow.read_head()
        for _ in range(10):
            assert site.front.ask(get("/stream")).content == LINES
        assert slow.read_some(len(CONTENT)) == CONTENT


def test_a_client_that_leaves_in_the_middle_harms_nobody(site: Site) -> None:
    before = len(site.server.lines)
    for _ in range(5):
        with site.front.connect(receive_buffer=4096) as leaving:
            leaving.send(get("/file"))
            leaving.read_head()
        with site.front.connect() as leaving:
            leaving.send(post(CONTENT, target="/uploads/echo")[: len(CONTENT) // 2])
        assert site.front.ask(get("/stream")).content == LINES
    assert site.server.lines[before:] == []


# -- streams


def test_events_arrive_one_by_one(site: Site, gate: Gate) -> None:
    with site.front.connect() as client:
        client.send(get(gate.path("/events/feed")))
        with gate.accept() as feeding:
            for number in range(3):  # each only after the one before it has arrived
                feeding.sendall(b"%d\n" % number)
                if number == 0:
                    client.read_head()
                assert client.read_chunk() == b"data: %d\n\n" % number
        assert client.read_chunk() == b""
        assert client.ask(get("/stream")).content == LINES


def test_a_stream_ends_when_its_client_has_left(site: Site, gate: Gate) -> None:
    with site.front.connect() as client:
        client.send(get(gate.path("/events/feed")))
        feeding = gate.accept()
        assert is_fed(feeding)
        client.read_head()
    wait_for(lambda: not is_fed(feeding), "the end of the stream")


def is_fed(feeding: socket.socket) -> bool:
    """Whether the application takes another event."""
    try:
        feeding.sendall(b"is anybody there?\n")
    except OSError:
        return False
    return True


@pytest.mark.parametrize("coding", ["chunked", "length"])
def test_an_upload_is_passed_on_as_it_comes(site: Site, gate: Gate, coding: str) -> None:
    lines = [b"first\n", b"second\n", b"third\n"]
    length = sum(map(len, lines))
    framing = "Transfer-Encoding: chunked" if coding == "chunked" else f"Content-Length: {length}"
    with site.front.connect() as client:
        client.send(get(gate.path("/uploads/receive"), framing, method="POST"))
        client.send(chunk(lines[0]) if coding == "chunked" else lines[0])
        with gate.accept() as received:
            for line, following in zip(lines, [*lines[1:], b""], strict=True):
                assert received.recv(100) == line
                client.send(chunk(following) if coding == "chunked" else following)
        assert client.read().content.decode() == ("chunked" if coding == "chunked" else str(length))


def test_an_upload_that_nobody_reads_is_answered(site: Site) -> None:
    for size, target in itertools.product((1000, len(CONTENT)), ("/refuse", "/uploads/refuse")):
        with site.front.connect() as client:
            sending = gevent.spawn(client.send, post(CONTENT[:size], target=target))
            answer = client.read()
            assert (answer.status, answer.content) == (413, b"too much")
            sending.kill()
    assert site.front.ask(get("/stream")).content == LINES


def test_a_client_that_expects_to_be_asked_for_its_content_is_asked(site: Site) -> None:
    expecting = f"Content-Length: {len(CONTENT)}", "Expect: 100-continue"
    for target in ("/echo", "/uploads/echo"):
        with site.front.connect() as client:
            client.send(get(target, *expecting, method="POST"))
            assert client.read_interim().status == 100
            assert described(client.ask(CONTENT))["sha256"] == DIGEST


# -- what the application is told


def test_forwarded_fields_are_those_of_the_front_end(site: Site) -> None:
    names = [f"X{a}Forwarded{b}{what}" for a in "-_" for b in "-_" for what in ("For", "Proto")]
    seen = described(site.front.ask(get("/echo", *[f"{name}: made-up" for name in names])))
    forwarded = {name: value for name, value in seen.items() if "FORWARDED" in name}
    assert forwarded == {"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "http"}
    assert seen["HTTP_HOST"] == "test.example"
    assert "HTTP_CONNECTION" not in seen


def test_a_path_is_passed_on_as_it_was_sent(site: Site) -> None:
    target = "/caf%C3%A9%20a%2Fb;c?d=%2F%3f&&e"
    assert described(site.front.ask(get(target)))["RAW_URI"] == target

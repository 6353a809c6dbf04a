"""What a request waits for, in the flight recorder: however often, and on whatever its connection does."""

from __future__ import annotations

from contextlib import closing

import pytest

from greenserve.process.flight import APPLICATION, READING, WAITING, WRITING
from tests.functional.client import get
from tests.functional.recording import LARGE, Recorded, ask, recording
from tests.functional.running import open_socket
from tests.functional.serving import wait_until

POST = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"


def expect(recorded: Recorded, *expected: tuple[str, int]) -> None:
    """Wait until this is in flight: targets with their phases."""
    wait_until(
        lambda: list(zip(recorded.targets, recorded.phases, strict=True)) == list(expected), f"{expected}"
    )


def expect_given_back(recorded: Recorded, count: int) -> None:
    """Wait until so many records have been used and all of them, each once, given back."""
    wait_until(lambda: len(recorded.recorder.free) >= count, "the end of the records")
    assert len(recorded.recorder.free) == len(set(recorded.recorder.free)) == count
    assert recorded.targets == []


def test_a_request_that_has_waited_in_line_waits_in_the_application() -> None:
    with recording(worker_connections=1) as (recorded, server):
        with closing(open_socket(server.address)) as one, closing(open_socket(server.address)) as two:
            one.sendall(get("/wait"))
            expect(recorded, ("/wait", APPLICATION))
            two.sendall(get("/again"))
            expect(recorded, ("/wait", APPLICATION), ("/again", WAITING))
            recorded.go.set()
            assert one.recv(4096)
            expect(recorded, ("/again", APPLICATION))
            recorded.go.clear()
            one.sendall(get("/wait"))
            expect(recorded, ("/again", APPLICATION), ("/wait", WAITING))
            recorded.again.set()
            assert two.recv(4096)
            expect(recorded, ("/wait", APPLICATION))
            recorded.go.set()
            assert one.recv(4096)
            expect_given_back(recorded, 2)


@pytest.mark.parametrize("path", ["/read/again", "/wait/read/again"])
def test_a_request_waits_for_its_content_and_then_in_the_application(path: str) -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(POST % path.encode())
        if "wait" in path:
            expect(recorded, (path, APPLICATION))
            recorded.go.set()
        expect(recorded, (path, READING))
        sock.sendall(b"abc")
        expect(recorded, (path, APPLICATION))
        recorded.again.set()
        assert sock.recv(4096)
        expect_given_back(recorded, 1)


@pytest.mark.parametrize("path", ["/large", "/wait/large", "/write/again"])
def test_a_request_whose_client_does_not_read_is_writing(path: str) -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(get(path))
        if "wait" in path:
            expect(recorded, (path, APPLICATION))
            recorded.go.set()
        expect(recorded, (path, WRITING))
        received = 0
        while received < LARGE:
            received += len(sock.recv(1 << 20))
        if "again" in path:
            expect(recorded, (path, APPLICATION))
            recorded.again.set()
        expect_given_back(recorded, 1)


def test_two_requests_that_wait_on_one_connection_one_behind_the_other() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(get("/wait") + get("/again"))
        expect(recorded, ("/wait", APPLICATION))
        recorded.go.set()
        expect(recorded, ("/again", APPLICATION))
        recorded.again.set()
        expect_given_back(recorded, 1)
        recorded.go.clear()
        sock.sendall(get("/wait/next"))
        expect(recorded, ("/wait/next", APPLICATION))
        recorded.go.set()
        expect_given_back(recorded, 1)


def test_requests_that_wait_for_nothing_use_no_record_whatever_was_before() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(get("/one") + get("/two"))
        wait_until(lambda: len(recorded.seen) == 2, "both")
        ask(sock, "/three")
        assert recorded.recorder.free == recorded.targets == []
        sock.sendall(get("/wait"))
        expect(recorded, ("/wait", APPLICATION))
        recorded.go.set()
        assert sock.recv(4096)
        sock.sendall(get("/five") + get("/six"))
        wait_until(lambda: len(recorded.seen) == 6, "both")
        expect_given_back(recorded, 1)


def test_a_request_is_in_flight_as_long_as_the_application_has_it_whatever_the_connection_does() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(get("/wait"))
        expect(recorded, ("/wait", APPLICATION))
        (connection,) = server.connections
        connection.close()
        assert recorded.targets == ["/wait"]
        recorded.go.set()
        expect_given_back(recorded, 1)


def test_a_request_whose_connection_is_closed_while_it_waits_in_line_is_not_in_flight() -> None:
    with recording(worker_connections=1) as (recorded, server):
        with closing(open_socket(server.address)) as one, closing(open_socket(server.address)) as two:
            one.sendall(get("/wait"))
            expect(recorded, ("/wait", APPLICATION))
            two.sendall(get("/never"))
            expect(recorded, ("/wait", APPLICATION), ("/never", WAITING))
            (waiting,) = (each for each in server.connections if each.is_waiting)
            waiting.close()
            assert recorded.targets == ["/wait"]
            recorded.go.set()
            assert one.recv(4096)
            expect_given_back(recorded, 2)
        assert len(recorded.seen) == 1


def test_what_nobody_needs_of_a_request_that_waits_is_let_go() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(get("/wait"))
        expect(recorded, ("/wait", APPLICATION))
        (connection,) = server.connections
        assert connection.head.octets == b""
        recorded.go.set()
        assert sock.recv(4096)

"""Requests in the flight recorder of a worker: while they are in hand, each with its own words."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import pytest

from greenserve.process.flight import APPLICATION, READING, RECORD_SIZE, WAITING
from greenserve.server import http1
from greenserve.server.connection import Connection
from tests.functional.client import get
from tests.functional.recording import HEAD_SIZE, ask, recording
from tests.functional.running import open_socket
from tests.functional.serving import wait_until


def test_each_request_of_a_connection_is_in_flight_until_it_is_answered() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        for target in ("/first", "/second", "/third"):
            ask(sock, target)
            assert recorded.targets == []
        assert recorded.seen == [["/first"], ["/second"], ["/third"]]


def test_a_refused_request_does_not_pass_for_the_one_before_it() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        ask(sock, "/before")
        sock.sendall(b"no request\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert recorded.seen == [["/before"], []]


def test_the_largest_head_is_recorded() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        room = HEAD_SIZE - len(get("/long", "A: ").removesuffix(b"\r\n\r\n"))
        for size, status in ((room, b"200"), (room + 1, b"431")):
            sock.sendall(get("/long", "A: " + size * "a"))
            assert sock.recv(4096).startswith(b"HTTP/1.1 " + status)
        assert recorded.seen[0] == ["/long"]


def test_each_client_is_named() -> None:
    with recording() as (recorded, server):
        with closing(open_socket(server.address)) as one, closing(open_socket(server.address)) as two:
            one.sendall(get("/wait"))
            wait_until(lambda: recorded.targets, "the first request")
            two.sendall(get("/wait"))
            wait_until(lambda: len(recorded.targets) == 2, "the second request")
            clients = [request.text.split(" ")[-1] for request in recorded.recorder.requests()]
            assert sorted(clients) == sorted(f"127.0.0.1:{sock.getsockname()[1]}" for sock in (one, two))
            recorded.go.set()
            assert one.recv(4096) and two.recv(4096)


def test_a_request_that_finds_no_record_is_served_all_the_same() -> None:
    with recording(records=1) as (recorded, server):
        with closing(open_socket(server.address)) as one, closing(open_socket(server.address)) as two:
            one.sendall(get("/wait"))
            wait_until(lambda: recorded.targets, "the first request")
            ask(two, "/quick")
            assert recorded.targets == ["/wait"]
            recorded.go.set()
            assert one.recv(4096)
            ask(two, "/seen")
            assert [sorted(seen) for seen in recorded.seen] == [["/wait"], ["/quick", "/wait"], ["/seen"]]


def test_a_request_that_waits_in_line_keeps_its_record_and_the_time_of_its_arrival() -> None:
    with recording(worker_connections=1) as (recorded, server):
        with closing(open_socket(server.address)) as one, closing(open_socket(server.address)) as two:
            one.sendall(get("/wait"))
            wait_until(lambda: recorded.targets, "the first request")
            two.sendall(get("/last"))
            wait_until(lambda: recorded.phases == [APPLICATION, WAITING], "the second one")
            recorder = recorded.recorder
            began = recorder.memory[RECORD_SIZE + 1 : RECORD_SIZE + 9]
            recorded.go.set()
            assert one.recv(4096) and two.recv(4096)
            assert recorded.seen == [["/wait"], ["/last"]]
            assert recorder.memory[RECORD_SIZE + 1 : RECORD_SIZE + 9] == began
            wait_until(lambda: recorded.targets == [], "the end of both")


def test_a_request_that_waits_is_in_flight_beside_those_that_do_not() -> None:
    with recording() as (recorded, server):
        with closing(open_socket(server.address)) as one, closing(open_socket(server.address)) as two:
            one.sendall(get("/wait"))
            wait_until(lambda: recorded.targets, "the first request")
            for _ in range(2):
                ask(two, "/fast")
                assert recorded.targets == ["/wait"]
            assert [sorted(seen) for seen in recorded.seen[1:]] == 2 * [["/fast", "/wait"]]
            recorded.go.set()
            assert one.recv(4096)
            assert recorded.targets == []
            ask(one, "/next")
            assert recorded.seen[-1] == ["/next"]


def test_a_request_whose_content_is_waited_for_is_reading() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        wait_until(lambda: recorded.phases == [READING], "the wait for the content")
        assert recorded.targets == ["/up"]
        sock.sendall(b"abc")
        assert sock.recv(4096)
        wait_until(lambda: recorded.targets == [], "the end")


def test_what_ends_with_its_connection_gives_the_record_back() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(get("/wait", "Connection: close"))
        wait_until(lambda: recorded.targets, "the request")
        recorded.go.set()
        assert sock.recv(4096)
        wait_until(lambda: recorded.recorder.free == [0], "the record is given back")


def test_each_of_a_row_of_pipelined_requests_is_in_flight() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(get("/one") + get("/two"))
        wait_until(lambda: len(recorded.seen) == 2, "both")
        assert recorded.seen == [["/one"], ["/two"]]


@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_a_request_with_content_is_recorded(framing: str) -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        content = b"abc" if framing[0] == "C" else b"3\r\nabc\r\n0\r\n\r\n"
        for _ in range(2):
            sock.sendall(b"POST /up HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n%b" % (framing.encode(), content))
            assert sock.recv(4096)
        assert recorded.seen == [["/up"], ["/up"]]


def test_a_request_behind_one_that_has_waited_bears_its_own_name_and_comes_to_its_end() -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        sock.sendall(get("/wait") + get("/behind"))
        wait_until(lambda: recorded.targets == ["/wait"], "the first request")
        recorded.go.set()
        wait_until(lambda: len(recorded.seen) == 2, "the second one")
        assert recorded.seen[1] == ["/behind"]
        wait_until(lambda: recorded.targets == [], "the end of both")


def test_between_two_of_a_long_row_none_is_in_flight_and_those_behind_are(monkeypatch: Any) -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:
        seen = []
        give_turn = Connection.give_turn

        def look(connection: Any) -> None:
            server.hub.loop.run_callback(lambda: seen.append(recorded.targets))
            give_turn(connection)

        monkeypatch.setattr(Connection, "give_turn", look)
        row = [f"/{number}" for number in range(2 * http1.TURN_REQUESTS)]
        sock.sendall(b"".join(map(get, [*row, "/wait", "/last"])))
        wait_until(lambda: recorded.targets == ["/wait"], "the one that waits")
        assert seen == [[], []]
        recorded.go.set()
        wait_until(lambda: len(recorded.seen) == len(row) + 2, "the last one")
        assert recorded.seen == [[target] for target in [*row, "/wait", "/last"]]
        wait_until(lambda: recorded.recorder.free == [0] and recorded.targets == [], "the end of all")


def test_two_clients_of_a_unix_socket_are_two(tmp_path: Path) -> None:
    address = str(tmp_path / "socket")
    with recording(listener=f"unix:{address}") as (recorded, server):
        with closing(open_socket(address)) as one, closing(open_socket(address)) as two:
            one.sendall(get("/wait"))
            wait_until(lambda: recorded.targets, "the first request")
            two.sendall(get("/wait"))
            wait_until(lambda: len(recorded.seen) == 2, "the second request")
            assert recorded.seen[1] == ["/wait", "/wait"]
            recorded.go.set()
            assert one.recv(4096) and two.recv(4096)


def test_a_request_that_ends_in_an_exception_of_our_own_gives_its_record_back(monkeypatch: Any) -> None:
    with recording() as (recorded, server), closing(open_socket(server.address)) as sock:

        def fail(*arguments: Any) -> None:
            gevent.sleep(0.01)
            raise gevent.Timeout(1, "from a logging handler")

        monkeypatch.setattr(http1, "settle", fail)
        monkeypatch.setattr(http1, "fail", fail)
        monkeypatch.setattr(server.hub, "handle_error", lambda *arguments: None)
        sock.sendall(get("/wait", "Connection: close"))
        wait_until(lambda: recorded.targets, "the request")
        recorded.go.set()
        assert sock.recv(4096)
        wait_until(lambda: recorded.recorder.free == [0], "the record is given back")
        assert recorded.targets == []

"""The clients of the benchmark suite: what they take for an answer, and what they say where there is none."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from benchmarks.client import UNANNOUNCED, WrongAnswer, check
from benchmarks.clients import crowd, download, idle
from benchmarks.load import Unreadable, run_client
from benchmarks.workload import Method
from benchmarks.workloads import WORKLOADS

LIMIT = 10.0  # seconds; nothing here takes a tenth of that
HELLO = WORKLOADS["hello"]
RIGHT = HELLO.canned().joined
WRONG = RIGHT.replace(b"Hello", b"Howdy")
CLOSING = WORKLOADS["close"].canned().joined

Answers = Callable[[int], bytes]


def answer_all(sock: socket.socket, answers: Answers, closes: bool) -> None:
    """Send what `answers` returns for the number of each request on this connection; nothing ends it."""
    number, buffer = 0, b""
    while data := sock.recv(65536):
        buffer += data
        while b"\r\n\r\n" in buffer:
            buffer = buffer.partition(b"\r\n\r\n")[2]
            if not (answer := answers(number)):
                return
            number += 1
            sock.sendall(answer)
            if closes:
                return


@contextmanager
def server_of(answers: Answers, closes: bool = False) -> Iterator[int]:
    """Give the port of a server that answers so; `closes`: and ends the connection."""
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket) -> None:
        with sock:
            sock.settimeout(LIMIT)
            try:
                answer_all(sock, answers, closes)
            except OSError:
                pass  # a client that has gone

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(sock,), daemon=True))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            for thread in [accepting, *threads]:
                thread.join(LIMIT)


def always(answer: bytes) -> Answers:
    return lambda number: answer


def once(answer: bytes, then: bytes = b"") -> Answers:
    """Answer the first request so, and the others so; nothing ends the connection."""
    return lambda number: then if number else answer


# The check before the load.


def test_right_answers_pass():
    with server_of(always(RIGHT)) as port:
        assert check(port, HELLO) == ""
        assert check(port, WORKLOADS["pipelined"]) == ""


def test_the_second_answer_on_a_connection_is_looked_at():
    with server_of(once(RIGHT, then=WRONG)) as port, pytest.raises(WrongAnswer, match="other content"):
        check(port, HELLO)


def test_every_pipelined_request_wants_its_answer():
    def two(number: int) -> bytes:
        return RIGHT if number < 2 else b""

    with server_of(two) as port, pytest.raises(WrongAnswer, match="2 answers to 16 pipelined requests"):
        check(port, WORKLOADS["pipelined"])


def test_an_end_that_is_announced_and_one_that_is_not():
    with server_of(always(CLOSING), closes=True) as port:
        assert check(port, WORKLOADS["close"]) == ""
        assert check(port, HELLO) == "closes after each answer"
    with server_of(always(RIGHT), closes=True) as port:
        assert check(port, WORKLOADS["close"]) == UNANNOUNCED


def test_a_server_that_keeps_what_it_is_to_close(monkeypatch):
    monkeypatch.setattr("benchmarks.client.END_TIMEOUT", 0.05)
    with server_of(always(RIGHT)) as port, pytest.raises(WrongAnswer, match="keeps the connection"):
        check(port, WORKLOADS["close"])


def test_a_server_that_closes_keeps_no_idle_connections():
    workload = replace(HELLO, method=Method.IDLE)
    with (
        server_of(always(CLOSING), closes=True) as port,
        pytest.raises(WrongAnswer, match="closes the connection"),
    ):
        check(port, workload)


# Programs that are interrupted.


def test_an_interrupt_waits_until_somebody_hears_it(monkeypatch):
    # Python leaves alone an interrupt that is ignored; one that comes before the program has its
    # handler would be lost, and the program never end.
    monkeypatch.setattr("benchmarks.load.GRACE", 2.0)
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(print('heard')))\n"
        "while True: signal.pause()\n"
    )
    command = ["env", "--ignore-signal=INT", sys.executable, "-c", program]
    assert run_client(command, seconds=0.0, interrupt=0.0) == "heard\n"


def test_a_program_that_fails_is_told():
    with pytest.raises(Unreadable, match="ended with status 3: sorry"):
        run_client(["sh", "-c", "echo sorry; exit 3"], LIMIT)


# Downloads.


def fetch(answers: Answers, closes: bool = False) -> download.Tally:
    with server_of(answers, closes) as port:
        return download.run(port, "/", connections=2, warm_up=0.0, seconds=0.1)


def test_the_head_of_a_download_is_not_counted():
    tally = fetch(always(RIGHT))
    assert tally.octets == 13 * len(tally.latencies) > 0


def test_the_content_of_long_downloads_is_counted():
    head, _, _ = RIGHT.partition(b"\r\n\r\n")
    long = head.replace(b": 13", b": 300000") + b"\r\n\r\n" + b"x" * 300_000
    tally = fetch(always(long))
    assert tally.error == ""
    assert len(tally.latencies) > 2  # the connections are used again
    begun = tally.octets - 300_000 * len(tally.latencies)
    assert 0 <= begun <= 2 * 300_000


def test_a_connection_that_ends_as_announced_is_opened_anew():
    tally = fetch(always(CLOSING), closes=True)
    assert tally.error == ""
    assert len(tally.latencies) > 2


FAULTS = {
    RIGHT[:-1]: "ended in the middle",
    RIGHT.replace(b"200 OK", b"503 No"): "answered b'http/1.1 503",
    RIGHT.replace(b"Content-Length", b"X-Length"): "without Content-Length",
}


@pytest.mark.parametrize("answer", FAULTS, ids=FAULTS.values())
def test_what_is_no_download_is_an_error(answer):
    assert FAULTS[answer] in fetch(always(answer), closes=True).error


# Many connections.


def close_all(opening: idle.Opening) -> None:
    for sock in opening.connections:
        sock.close()


def test_idle_connections_are_opened_and_counted():
    with server_of(always(RIGHT)) as port:
        opening = idle.open_all(port, 5, 13)
        assert (len(opening.connections), opening.size, opening.error) == (5, len(RIGHT), "")
        assert idle.count_open(opening.connections) == 5
        opening.connections[0].sendall(idle.REQUEST)
        opening.connections[0].recv(1)  # waits until there is more
        assert idle.count_open(opening.connections) == 4
        close_all(opening)


def test_connections_that_are_not_answered_are_told():
    with server_of(always(b"")) as port:
        opening = idle.open_all(port, 5, 13)
    assert opening.error == "0 of 5 connections opened: closed without an answer"


def crowd_of(answers: Answers) -> crowd.Tally:
    with server_of(answers) as port:
        opening = idle.open_all(port, 5, 13)
        tally = crowd.run(opening, warm_up=0.0, seconds=0.1)
        close_all(opening)
    return tally


def test_every_connection_of_a_crowd_is_kept_busy():
    tally = crowd_of(always(RIGHT))
    assert tally.error == ""
    assert len(tally.answered) == 5
    assert len(tally.latencies) > 5


@pytest.mark.parametrize(
    ("then", "error"), [(b"", "closed without an answer"), (RIGHT + b"!", "an answer of another length")]
)
def test_what_is_no_answer_in_a_crowd_is_an_error(then, error):
    assert crowd_of(once(RIGHT, then)).error == error

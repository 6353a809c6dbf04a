"""The master's view of a worker: what it says, how it ended."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from greenserve.config import Config
from greenserve.config.hooks import Hooks
from greenserve.process import handle
from greenserve.process.failure import Failure
from greenserve.process.flight import FlightRecorder
from greenserve.process.handle import BOOTING, WorkerHandle, ending
from greenserve.process.reload import Generation


@pytest.fixture
def worker():
    made = WorkerHandle(7, 0, 0, Generation(1, Config(), Hooks(), "/", 1), 10.0)
    ends = [os.pipe2(os.O_NONBLOCK), os.pipe2(os.O_NONBLOCK)]
    (made.words, made.says), (made.reports, made.writes) = ends
    yield made
    for fileno in (*made.pipes, made.says, made.writes):
        if fileno >= 0:
            os.close(fileno)


def test_words_may_come_in_pieces(worker):
    os.write(worker.says, b"rea")
    worker.hear(11.0)
    assert worker.state is BOOTING
    os.write(worker.says, b"dy \nreplace it is too large\nrep")
    worker.hear(12.0)
    assert (worker.is_ready, worker.ready_at, worker.reason) == (True, 12.0, "it is too large")


def test_the_first_reason_counts_and_unknown_words_do_not(worker):
    os.write(worker.says, b"replace one\nreplace two\nsing a song\n\xff\n")
    worker.hear(11.0)
    assert worker.reason == "one"


def test_a_failure_is_kept(worker):
    failure = Failure(2, "odd", "where")
    os.write(worker.says, b"failed " + failure.to_text().encode() + b"\n")
    worker.hear(11.0)
    assert worker.failure == failure


def test_pipes_that_have_ended_are_not_waited_for(worker):
    os.close(worker.says)
    os.close(worker.writes)
    worker.hear(11.0)
    assert worker.pipes == []
    worker.says = worker.writes = -1


def test_a_worker_that_was_told_to_end_does_not_become_ready(worker):
    worker.pid = os.getpid()
    worker.send = lambda number: None
    worker.retire(20.0)
    os.write(worker.says, b"ready \n")
    worker.hear(11.0)
    assert not worker.is_ready and not worker.alive


def test_booting_and_serving_have_deadlines_of_their_own(worker):
    config = worker.generation.config
    assert worker.overdue_at(500.0) == 10.0 + config.boot_timeout
    worker.become_ready(40.0)
    assert worker.overdue_at(0.0) == 40.0 + config.timeout  # from ready on
    assert worker.overdue_at(500.0) == 500.0 + config.timeout


def test_one_that_was_told_to_end_while_it_booted_has_the_same_deadlines(worker):
    config = worker.generation.config
    worker.send = lambda number: None
    worker.retire(handle.NEVER)
    assert worker.overdue_at(10.0) == 10.0 + config.boot_timeout
    os.write(worker.says, b"ready \n")
    worker.hear(40.0)
    assert worker.overdue_at(500.0) == 500.0 + config.timeout


def test_one_that_is_aborted_while_it_boots_has_never_been_ready(worker):
    worker.send = lambda number: None
    worker.abort(20.0)
    os.write(worker.says, b"ready \n")
    worker.hear(11.0)
    assert worker.ready_at == handle.NEVER


@pytest.mark.parametrize("retired", [False, True])
def test_one_that_was_told_to_end_before_it_stood_still_stays_so(worker, retired):
    worker.send = lambda number: None
    if retired:
        worker.retire(20.0)
    worker.abort(21.0)
    worker.retire(22.0, signal.SIGQUIT)
    assert worker.retired is retired


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, "ended with the status 0"),
        (3 << 8, "ended with the status 3"),
        (9, "was ended by SIGKILL"),
        (11 | 0x80, "was ended by SIGSEGV, core dumped"),
        (63, "was ended by signal 63"),
    ],
)
def test_how_a_process_has_ended(status, expected):
    assert ending(status) == expected


@pytest.mark.parametrize(
    ("status", "aborted", "kills", "expected"),
    [
        (signal.SIGKILL, False, 8, "was ended by SIGKILL, probably by the system, for want of memory"),
        (signal.SIGKILL, False, 7, "was ended by SIGKILL"),
        (signal.SIGKILL, True, 8, "was ended by SIGKILL"),
        (signal.SIGSEGV, False, 8, "was ended by SIGSEGV"),
        (9 << 8, False, 8, "ended with the status 9"),
    ],
)
def test_who_may_have_killed_a_worker(monkeypatch, status, aborted, kills, expected):
    monkeypatch.setattr(handle, "memory_kills", lambda: 7)
    worker = WorkerHandle(7, 0, 0, Generation(1, Config(), Hooks(), "/", 1), 10.0)
    worker.aborted = aborted
    monkeypatch.setattr(handle, "memory_kills", lambda: kills)
    assert worker.ending(status) == expected


def test_without_a_descriptor_for_the_second_pipe_the_first_is_closed(monkeypatch):
    made = WorkerHandle(7, 0, 0, Generation(1, Config(), Hooks(), "/", 1), 10.0)
    made.recorder = FlightRecorder(1, 100)
    pipes = [os.pipe()]
    monkeypatch.setattr(handle, "nonblocking_pipe", lambda: pipes[0] if made.words < 0 else refuse())
    with pytest.raises(OSError, match="Too many open files"):
        made.open_pipes()
    for fileno in pipes[0]:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fileno)


def refuse():
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

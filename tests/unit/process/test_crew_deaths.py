"""What is said of a worker that has died, and that nothing of it is left."""

from __future__ import annotations

import os
import signal

import pytest

from greenserve.process.failure import Failure
from greenserve.process.flight import APPLICATION, READING, FlightRecorder
from tests.unit.process.crews import FINE, FakeMaster, die, made


@pytest.fixture
def master(monkeypatch):
    return FakeMaster(monkeypatch)


def serve(worker, count, phase=APPLICATION):
    """Have a worker serve so many requests more."""
    for number in range(count):
        worker.recorder.begin(b"127.0.0.1:5", f"GET /{number} HTTP/1.1".encode(), phase)


@pytest.mark.parametrize(("count", "named", "more"), [(1, 1, 0), (10, 10, 0), (11, 10, 1), (15, 10, 5)])
def test_of_many_requests_the_first_are_named(master, count, named, more):
    crew = made(master)
    worker = crew.workers[1001]
    worker.recorder = FlightRecorder(20, 100)
    serve(worker, count)
    die(crew, worker)
    _, told = master.log.errors
    first, *lines = told.splitlines()
    assert first == f"worker 1 (process 1001): it was serving {count} requests"
    assert lines[:named] == [
        f"GET /{number} from 127.0.0.1:5 (in the application, 0.0 s)" for number in range(named)
    ]
    assert lines[named:] == ([f"and {more} more"] if more else [])


def test_requests_are_named_again_if_they_are_others(master):
    crew = made(master, timeout=5)
    told = [crew.workers[1001], crew.workers[1002]]
    for worker in told:
        serve(worker, 1)
        crew.abort(worker, 10.0)
    serve(told[1], 1, READING)
    for worker in told:
        die(crew, worker)
    named = [error.splitlines()[0] for error in master.log.errors if "requests" in error]
    assert named == [
        "worker 1 (process 1001): it is serving 1 requests",
        "worker 2 (process 1002): it is serving 1 requests",
        "worker 2 (process 1002): it was serving 2 requests",
    ]


@pytest.mark.parametrize(("status", "named"), [(signal.SIGKILL, True), (FINE, False), (3 << 8, False)])
def test_one_that_was_to_end_is_missed_only_if_it_was_killed(master, status, named):
    crew = made(master)
    worker = crew.workers[1001]
    serve(worker, 1)
    crew.retire(worker)
    die(crew, worker, status)
    assert len(master.log.errors) == named
    assert crew._start_at == 0.0


def test_what_a_worker_has_reported_is_told_before(master):
    crew = made(master)
    worker = crew.workers[1001]
    worker.report.add(b"Thread 1\n")
    die(crew, worker)
    assert master.log.errors[0] == "the stacks of worker 1 (process 1001)\nThread 1"
    assert "was ended by SIGKILL" in master.log.errors[1]


def test_nothing_of_a_dead_worker_is_left(master):
    crew = made(master)
    worker = crew.workers[1001]
    seen = []
    master.hooks = type("Hooks", (), {"child_exit": staticmethod(lambda *given: seen.append(given))})
    ours = worker.open_pipes()
    pipes = worker.pipes
    crew.board.publish_load(worker.seat, 3)
    for fileno in ours:
        os.close(fileno)
    die(crew, worker, 3 << 8)
    assert seen == [(master, worker)] and worker.exitcode == 3
    assert crew.board.load(worker.seat) > 3
    for fileno in pipes:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fileno)
    with pytest.raises(ValueError, match="closed"):
        worker.recorder.requests()


def test_its_last_words_are_heard(master):
    crew = made(master)
    crew.is_started = False
    crew.current.wanted = 3
    crew.fill(0.0)
    worker = crew.workers[1003]
    words, reports = worker.open_pipes()
    os.write(words, f"failed {Failure(4, 'no such module').to_text()}\n".encode())
    for fileno in (words, reports):
        os.close(fileno)
    die(crew, worker, 4 << 8)
    assert crew.failure == Failure(4, "no such module")

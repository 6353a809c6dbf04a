"""The flight recorder: the request that runs, those that wait; read by another process."""

from __future__ import annotations

import os
import sys

import pytest

from greenserve.config.convert import LARGEST_SIZE
from greenserve.process.flight import APPLICATION, READING, SHOWN, WAITING, FlightRecorder
from greenserve.process.running import CLIENT_SIZE, LARGEST_HEAD, CopiedOctets

HEAD_SIZE = 1000
CLIENT = b"127.0.0.1:5"


def head(target):
    return f"GET /{target} HTTP/1.1\r\nHost: a".encode("latin-1")


@pytest.fixture(params=["ctypes", "no ctypes"])
def make(request, monkeypatch):
    """What makes a recorder for so many, and what its worker notes the running one with."""
    if request.param == "no ctypes":
        monkeypatch.setitem(sys.modules, "ctypes", None)

    def make(count):
        recorder = FlightRecorder(count, HEAD_SIZE)
        running = recorder.map_running()
        assert isinstance(running.head, CopiedOctets) is (request.param == "no ctypes")
        return recorder, running

    return make


def recorder_for(count):
    return FlightRecorder(count, HEAD_SIZE)


def texts(recorder):
    return [request.text for request in recorder.requests()]


def targets(recorder):
    return [text.split(" ")[1][1:] for text in texts(recorder)]


def test_what_has_begun_and_not_ended_is_in_flight():
    recorder = recorder_for(4)
    first, second = (recorder.begin(CLIENT, head(target), APPLICATION) for target in "ab")
    assert targets(recorder) == ["a", "b"]
    recorder.end(first)
    assert targets(recorder) == ["b"]
    again = recorder.begin(CLIENT, head("again"), APPLICATION)
    assert again == first and sorted(targets(recorder)) == ["again", "b"]
    recorder.end(again)
    recorder.end(second)
    assert targets(recorder) == []


def test_the_request_that_runs_is_in_flight_until_another_one_runs_or_none(make):
    recorder, running = make(4)
    assert texts(recorder) == []
    running.client.value, running.head.value = b"127.0.0.1:55555", head("one")
    assert texts(recorder) == ["GET /one from 127.0.0.1:55555"]
    running.client.value, running.head.value = b"127.0.0.1:6", b"GET / HTTP/1.0"
    assert [str(request) for request in recorder.requests()] == [
        "GET / from 127.0.0.1:6 (in the application, 0.0 s)"
    ]
    recorder.clear()
    assert texts(recorder) == []


def test_the_largest_of_the_running_ones_fit(make):
    recorder, running = make(1)
    record = recorder.begin(CLIENT, head("beside"), READING)
    client = b"[" + b"1" * (CLIENT_SIZE - 2) + b"]"
    running.client.value, running.head.value = client, head("x" * HEAD_SIZE)[:HEAD_SIZE]
    recorder.end(record)
    (text,) = texts(recorder)
    assert text == f"GET {'/'.ljust(SHOWN - len('GET '), 'x')} from {client.decode()}"


def test_the_request_that_runs_and_then_waits_is_there_once(make):
    recorder, running = make(4)
    running.client.value, running.head.value = CLIENT, head("x" * 2 * SHOWN)
    recorder.begin(CLIENT, head("x" * 2 * SHOWN), READING)
    assert [request.phase for request in recorder.requests()] == [READING]
    running.client.value = b"127.0.0.1:6"
    assert [request.phase for request in recorder.requests()] == [APPLICATION, READING]


def test_those_that_the_application_has_come_first_then_the_oldest():
    recorder = recorder_for(4)
    recorder.begin(CLIENT, head("waiting"), WAITING)
    recorder.begin_round()
    reading = recorder.begin(CLIENT, head("reading"), READING)
    recorder.begin_round()
    recorder.begin(CLIENT, head("older"), APPLICATION)
    recorder.begin_round()
    recorder.begin(CLIENT, head("younger"), APPLICATION)
    assert targets(recorder) == ["older", "younger", "reading", "waiting"]
    recorder.enter(reading, APPLICATION)
    assert targets(recorder) == ["reading", "older", "younger", "waiting"]


def test_a_request_is_as_old_as_the_round_in_which_it_came(make):
    recorder, running = make(2)
    recorder.begin(CLIENT, head("waiting"), APPLICATION)
    recorder.begin_round()
    running.client.value, running.head.value = CLIENT, head("running")
    older, younger = recorder.requests()
    assert ("waiting" in older.text, "running" in younger.text) == (True, True)
    assert older.age > younger.age >= 0


def test_more_than_there_is_room_for_are_not_recorded_and_disturb_nothing(make):
    recorder, running = make(2)
    running.client.value, running.head.value = CLIENT, head("running")
    records = [recorder.begin(CLIENT, head(target), APPLICATION) for target in "abc"]
    assert records[2] == -1
    recorder.enter(records[2], READING)
    recorder.end(records[2])
    assert sorted(targets(recorder)) == ["a", "b", "running"]
    recorder.end(records[0])
    assert recorder.begin(CLIENT, head("again"), APPLICATION) == records[0]


def test_a_long_target_is_cut_and_octets_stay_readable():
    recorder = recorder_for(3)
    recorder.begin(b"[2001:0db8:0000:0000:0000:0000:0000:0001]:65535", head("x" * 1000), APPLICATION)
    recorder.begin(CLIENT, head("\xe4\xff"), APPLICATION)
    first, second = texts(recorder)
    assert first == f"GET {'/'.ljust(SHOWN - 4, 'x')} from [2001:0db8:0000:0000:0000:0000:0000:0001]:65535"
    assert second == "GET /\xe4\xff from 127.0.0.1:5"


def test_an_empty_line_before_a_request_is_not_shown(make):
    recorder, running = make(1)
    recorder.begin(b"unix", b"\r\nPOST * HTTP/1.0", APPLICATION)
    running.client.value, running.head.value = CLIENT, b"\r\nGET / HTTP/1.0"
    assert texts(recorder) == ["GET / from 127.0.0.1:5", "POST * from unix"]


def test_what_a_child_has_in_hand_outlives_it(make):
    recorder, running = make(4)
    pid = os.fork()
    if not pid:
        recorder.begin(CLIENT, head("last"), APPLICATION)
        running.client.value, running.head.value = CLIENT, head("running")
        os._exit(0)
    os.waitpid(pid, 0)
    assert sorted(targets(recorder)) == ["last", "running"]


def test_what_a_worker_has_left_that_wrote_anywhere_is_read_all_the_same():
    recorder = recorder_for(2)
    recorder.memory[:] = b"\xff" * len(recorder.memory)
    recorder.memory[0] = READING
    assert [request.phase for request in recorder.requests()] == [READING]  # and the running one is the same


def test_of_heads_that_may_be_as_large_as_can_be_the_beginning_is_kept():
    recorder = FlightRecorder(1, LARGEST_SIZE)
    running = recorder.map_running()
    assert len(recorder.memory) < 2 * LARGEST_HEAD
    running.client.value, running.head.value = CLIENT, head("x" * 2 * LARGEST_HEAD)
    assert targets(recorder) == ["x" * (SHOWN - len("GET /"))]


def test_the_memory_is_given_back():
    recorder = recorder_for(1)
    recorder.close()
    with pytest.raises(ValueError, match="closed"):
        recorder.requests()

"""The flight recorder: the request that runs, those that wait; read by another process."""

from __future__ import annotations

import os

from greenserve.process.flight import (
    APPLICATION,
    FREE,
    READING,
    RECORD_SIZE,
    WAITING,
    FlightRecorder,
)


def head(target):
    return f"GET /{target} HTTP/1.1\r\nHost: a".encode("latin-1")


class Owner:
    """One with a request that waits."""

    def __init__(self, recorder, target, phase=APPLICATION, peer="127.0.0.1:5"):
        self.recorder = recorder
        self.place = -1
        recorder.occupy(self, peer)
        self.begin(target, phase)

    def begin(self, target, phase=APPLICATION):
        self.recorder.begin(self.place, head(target), phase)

    def enter(self, phase):
        self.recorder.enter(self.place, phase)


def targets(recorder):
    return [request.text.split(" ")[1][1:] for request in recorder.requests()]


def test_what_has_begun_and_not_ended_is_in_flight():
    recorder = FlightRecorder(4)
    first, second = Owner(recorder, "a"), Owner(recorder, "b")
    assert targets(recorder) == ["a", "b"]
    first.enter(FREE)
    assert targets(recorder) == ["b"]
    first.enter(READING)  # nothing is noted there
    assert targets(recorder) == ["b"]
    first.begin("again")
    assert sorted(targets(recorder)) == ["again", "b"]
    recorder.vacate(second)
    assert (targets(recorder), second.place) == (["again"], -1)


def test_the_request_that_runs_is_in_flight_until_another_one_runs_or_none():
    recorder = FlightRecorder(4)
    one, two = Owner(recorder, ""), Owner(recorder, "", peer="127.0.0.1:6")
    one.enter(FREE)
    two.enter(FREE)
    recorder.run(one.place, head("one"))
    assert [request.text for request in recorder.requests()] == ["GET /one from 127.0.0.1:5"]
    recorder.run(two.place, head("two"))
    assert [str(request) for request in recorder.requests()] == [
        "GET /two from 127.0.0.1:6 (in the application, 0.0 s)"
    ]
    recorder.clear()
    assert targets(recorder) == []


def test_the_request_that_runs_and_then_waits_is_there_once():
    recorder = FlightRecorder(4)
    one = Owner(recorder, "")
    one.enter(FREE)
    recorder.run(one.place, head("one"))
    one.begin("one", READING)
    assert [request.phase for request in recorder.requests()] == [READING]


def test_the_request_that_runs_may_be_of_somebody_without_a_place():
    recorder = FlightRecorder(1)
    recorder.run(-1, head("a"))
    assert [request.text for request in recorder.requests()] == ["GET /a from -"]


def test_those_that_the_application_has_come_first_then_the_oldest():
    recorder = FlightRecorder(4)
    Owner(recorder, "waiting", WAITING)
    recorder.begin_round()
    reading = Owner(recorder, "reading", READING)
    recorder.begin_round()
    Owner(recorder, "older")
    recorder.begin_round()
    Owner(recorder, "younger")
    assert targets(recorder) == ["older", "younger", "reading", "waiting"]
    reading.enter(APPLICATION)
    assert targets(recorder) == ["reading", "older", "younger", "waiting"]


def test_a_request_is_as_old_as_the_round_in_which_it_came():
    recorder = FlightRecorder(2)
    waiting = Owner(recorder, "waiting")
    recorder.begin_round()
    recorder.run(waiting.place + RECORD_SIZE, head("running"))
    older, younger = recorder.requests()
    assert ("waiting" in older.text, "running" in younger.text) == (True, True)
    assert older.age > younger.age >= 0


def test_more_than_there_is_room_for_are_not_recorded_and_disturb_nothing():
    recorder = FlightRecorder(2)
    owners = [Owner(recorder, number) for number in range(3)]
    assert owners[2].place == -1
    owners[2].enter(READING)
    recorder.vacate(owners[2])
    assert targets(recorder) == ["0", "1"]
    place = owners[0].place
    recorder.vacate(owners[0])
    assert Owner(recorder, "again").place == place


def test_who_has_no_request_that_waits_loses_its_place_to_who_has():
    recorder = FlightRecorder(3)
    owners = [Owner(recorder, number) for number in range(3)]
    owners[1].enter(FREE)
    newcomer = Owner(recorder, "newcomer", peer="127.0.0.1:6")
    assert [owner.place // RECORD_SIZE for owner in (*owners, newcomer)] == [1, -1, 3, 2]
    assert sorted(targets(recorder)) == ["0", "2", "newcomer"]
    assert {request.text[-1] for request in recorder.requests() if "newcomer" in request.text} == {"6"}
    recorder.vacate(owners[1])  # has none any more
    assert len(targets(recorder)) == 3
    for owner in (*owners, newcomer):
        owner.enter(FREE)
    assert {Owner(recorder, number).place // RECORD_SIZE for number in range(3)} == {1, 2, 3}


def test_a_long_target_is_cut_and_octets_stay_readable():
    recorder = FlightRecorder(3)
    Owner(recorder, "x" * 1000, peer="[2001:0db8:0000:0000:0000:0000:0000:0001]:65535")
    Owner(recorder, "\xe4\xff")
    first, second = recorder.requests()
    assert first.text.startswith("GET /xxx") and len(first.text) < RECORD_SIZE
    assert first.text.endswith("x from [2001:0db8:0000:0000:0000:0000:0000:0001]:65535")
    assert second.text == "GET /\xe4\xff from 127.0.0.1:5"


def test_an_empty_line_before_a_request_is_not_shown():
    recorder = FlightRecorder(1)
    owner = Owner(recorder, "", peer="unix")
    recorder.begin(owner.place, b"\r\nPOST * HTTP/1.0", APPLICATION)
    assert [request.text for request in recorder.requests()] == ["POST * from unix"]


def test_what_a_child_has_in_hand_outlives_it():
    recorder = FlightRecorder(4)
    pid = os.fork()
    if not pid:
        owner = Owner(recorder, "last")
        recorder.run(owner.place + RECORD_SIZE, head("running"))
        os._exit(0)
    os.waitpid(pid, 0)
    assert sorted(targets(recorder)) == ["last", "running"]

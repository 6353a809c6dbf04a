"""The flight recorder: begun, entered, ended; read by another process."""

from __future__ import annotations

import os

from greenserve.process.flight import (
    APPLICATION,
    READING,
    RECORD_SIZE,
    WAITING,
    FlightRecorder,
)


def texts(recorder):
    return [request.text for request in recorder.requests()]


def test_what_has_begun_and_not_ended_is_in_flight():
    recorder = FlightRecorder(4)
    first, second = recorder.begin("GET /a"), recorder.begin("GET /b")
    assert texts(recorder) == ["GET /a", "GET /b"]
    recorder.end(first)
    assert texts(recorder) == ["GET /b"]
    recorder.end(second)
    assert texts(recorder) == []


def test_those_that_the_application_has_come_first_then_the_oldest():
    recorder = FlightRecorder(4)
    recorder.begin("waiting", WAITING)
    place = recorder.begin("reading")
    recorder.begin("older")
    recorder.begin("younger")
    recorder.enter(place, READING)
    assert texts(recorder) == ["older", "younger", "reading", "waiting"]
    recorder.enter(place, APPLICATION)
    assert texts(recorder) == ["reading", "older", "younger", "waiting"]


def test_more_than_there_is_room_for_are_not_recorded_and_disturb_nothing():
    recorder = FlightRecorder(2)
    places = [recorder.begin(str(number)) for number in range(3)]
    assert places[2] == -1
    recorder.enter(-1, READING)
    recorder.end(-1)
    assert texts(recorder) == ["0", "1"]
    recorder.end(places[0])
    assert recorder.begin("again") == places[0]


def test_a_long_text_is_cut_and_octets_stay_readable():
    recorder = FlightRecorder(2)
    recorder.begin("GET /" + "x" * 1000)
    recorder.begin("GET /\xe4\xff")
    first, second = recorder.requests()
    assert first.text.startswith("GET /xxx") and len(first.text) < RECORD_SIZE
    assert second.text == "GET /\xe4\xff"


def test_a_request_says_what_it_is_doing_and_for_how_long():
    recorder = FlightRecorder(1)
    recorder.begin("GET /a from 127.0.0.1:5")
    (request,) = recorder.requests()
    assert str(request) == "GET /a from 127.0.0.1:5 (in the application, 0.0 s)"
    assert 0 <= request.age < 5


def test_what_a_child_has_in_hand_outlives_it():
    recorder = FlightRecorder(4)
    pid = os.fork()
    if not pid:
        recorder.begin("POST /last")
        os._exit(0)
    os.waitpid(pid, 0)
    assert texts(recorder) == ["POST /last"]

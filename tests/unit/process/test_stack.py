"""Stacks of a blocked worker: the request found in the frames, the report as it arrives."""

from __future__ import annotations

import sys

from greenserve.process.stack import END, LARGEST_REPORT, Report, request_in


def frames_of(environ):
    def application():
        return sys._getframe()

    return application()


def test_the_request_is_found_in_the_frames_of_whoever_has_called():
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/a?b", "PATH_INFO": "/a", "REMOTE_ADDR": "127.0.0.1"}
    assert request_in(serve(environ)) == "GET /a?b from 127.0.0.1"


def serve(environ):
    return frames_of(environ)


def inner():
    return sys._getframe()


def outer(environ):
    frame = inner()
    assert frame.f_back is sys._getframe()
    return request_in(frame)


def test_without_a_target_as_it_was_sent_the_path_does_and_a_unix_socket_has_no_address():
    assert outer({"REQUEST_METHOD": "PUT", "PATH_INFO": "/x", "REMOTE_ADDR": ""}) == "PUT /x from unix"


def test_a_variable_of_that_name_that_is_none_is_passed_by():
    assert outer("no environ") == ""
    assert outer({"PATH": "/bin"}) == ""
    assert request_in(None) == ""


def test_a_report_is_complete_at_its_end_and_begins_with_the_request():
    report = Report()
    assert not report
    report.add(b"Fatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n")
    report.add(b'  File "a.py", line 1 in f\n\nExtension modules: x (total: 1)\nserving GET /')
    assert not report.is_complete
    report.add(b"a from unix\n" + END)
    assert report.is_complete
    assert report.take().split("\n") == [
        "serving GET /a from unix",
        "Current thread 0x1 (most recent call first):",
        '  File "a.py", line 1 in f',
    ]
    assert not report


def test_a_report_that_does_not_end_is_cut():
    report = Report()
    for _ in range(5):
        report.add(b"x" * (LARGEST_REPORT // 2))
    assert len(report.take()) == LARGEST_REPORT

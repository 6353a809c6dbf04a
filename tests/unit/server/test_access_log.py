"""The access log of a server: lines of a round are made together, and none costs another one."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.hub import get_hub

from greenserve import WSGIServer
from greenserve.net.logfile import LogFile
from greenserve.observe.access import compile_format
from greenserve.server.access_log import AccessLog

FORMAT = compile_format("%r %b %{note}e")


class CountingFile(LogFile):
    """Remembers what was written at once."""

    def __init__(self, path: Path) -> None:
        LogFile.__init__(self, path)
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return LogFile.write(self, text)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("not to be shown")


@pytest.fixture
def complaints() -> list[Exception]:
    return []


@pytest.fixture
def file(tmp_path: Path) -> Iterator[CountingFile]:
    made = CountingFile(tmp_path / "access.log")
    yield made
    made.close()


def make(stream: Any, complaints: list[Exception]) -> AccessLog:
    return AccessLog(FORMAT, stream, get_hub().loop, complaints.append)


def record(log: AccessLog, target: object, **more: object) -> None:
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": target, "SERVER_PROTOCOL": "HTTP/1.1", **more}
    log.record(environ, "200 OK", [], 13, 1e9, 0.1, "127.0.0.1")


def test_the_lines_of_a_round_are_written_together_and_in_order(file, complaints):
    log = make(file, complaints)
    for target in "abc":
        record(log, target)
    assert file.written == []
    gevent.sleep(0)
    assert file.written == ["GET a HTTP/1.1 13 -\nGET b HTTP/1.1 13 -\nGET c HTTP/1.1 13 -\n"]
    record(log, "d")
    gevent.sleep(0)
    assert file.written[1:] == ["GET d HTTP/1.1 13 -\n"]
    file.close()
    assert Path(file._path).read_text() == "".join(file.written)


def test_any_other_stream_gets_each_line_at_once(complaints):
    written = []
    stream = io.StringIO()
    stream.write = written.append
    log = make(stream, complaints)
    for target in "ab":
        record(log, target)
    assert written == ["GET a HTTP/1.1 13 -\n", "GET b HTTP/1.1 13 -\n"]
    assert log.gathered == []


def test_a_line_that_cannot_be_made_costs_no_other(file, complaints):
    log = make(file, complaints)
    format = compile_format("%U %{Referer}i")
    log = AccessLog(format, file, get_hub().loop, complaints.append)
    for referer in ("before", Unprintable(), "after"):
        log.record({"PATH_INFO": "/", "HTTP_REFERER": referer}, "200 OK", [], 0, 1e9, 0.1, "")
    gevent.sleep(0)
    assert file.written == ["/ before\n", "/ after\n"]
    assert [str(error) for error in complaints] == ["not to be shown"]


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_what_cannot_be_taken_from_an_environ_is_complained_of(file, complaints, kind):
    log = make(file if kind == "file" else io.StringIO(), complaints)
    record(log, "a", note=Unprintable())
    assert [str(error) for error in complaints] == ["not to be shown"]


def test_a_stream_that_cannot_be_written_is_complained_of(complaints):
    stream = io.StringIO()
    stream.close()
    record(make(stream, complaints), "a")
    (error,) = complaints
    assert isinstance(error, ValueError)


def test_a_request_without_a_line_of_its_own_is_recorded_with_the_others(file, complaints):
    log = make(file, complaints)
    record(log, "a")
    log.record({}, "400 Bad Request", [], 11, 1e9, 0.0, "127.0.0.1")
    log.record({"REQUEST_METHOD": "GET"}, "200 OK", [], 1, 1e9, 0.0, "127.0.0.1")
    gevent.sleep(0)
    assert "".join(file.written) == "GET a HTTP/1.1 13 -\n- 11 -\nGET - - 1 -\n"


def test_what_has_gathered_can_be_written_before_the_round_has_ended(file, complaints):
    log = make(file, complaints)
    record(log, "a")
    log.flush()
    assert file.written == ["GET a HTTP/1.1 13 -\n"]
    log.flush()
    gevent.sleep(0)
    assert len(file.written) == 1


def test_a_child_does_not_write_what_its_parent_has_gathered(file, complaints):
    log = make(file, complaints)
    record(log, "parent")
    pid = os.fork()
    if not pid:
        log.flush()
        record(log, "child")
        log.flush()
        os._exit(0 if file.written == ["GET child HTTP/1.1 13 -\n"] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    gevent.sleep(0)
    assert file.written == ["GET parent HTTP/1.1 13 -\n"]


def test_a_server_that_comes_to_its_end_writes_what_has_gathered(file):
    server = WSGIServer(("127.0.0.1", 0), None, log=file, access_log_format="%r")
    server.start()
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "SERVER_PROTOCOL": "x"}
    server.log_access(environ, "", [], 0, 0.0, 0.0, "")
    server.end_run()
    assert file.written == ["GET / x\n"]
    server.stop()

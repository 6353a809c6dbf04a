"""Log files: order, readers that stall, lines that are lost."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import pytest

from greenserve.net import logfile as logfile_module
from greenserve.net.logfile import BATCH_SIZE, LogFile
from tests.pipes import LIMIT, LINE, STALL, Pipe, is_full, stall, wait_for


def test_lines_arrive_in_order_and_complete(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    file = opened(path)
    lines = [f"line {number}\n" for number in range(50_000)]
    for number, line in enumerate(lines):
        assert file.write(line) == len(line)
        if number % 5_000 == 0:
            gevent.sleep(0)
    file.close()
    assert path.read_text() == "".join(lines)


def test_a_line_arrives_without_being_asked_for(opened: Any, pipe: Pipe) -> None:
    for number in range(3):
        opened().write(f"line {number}\n")
        pipe.read_until(f"line {number}\n")


def test_a_full_batch_does_not_wait_for_the_interval(
    opened: Any, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile_module, "WRITE_INTERVAL", 100 * LIMIT)
    file = opened()
    file.write("first\n")
    file.write("x" * BATCH_SIZE)
    assert pipe.read_until("first\n").startswith("first\n")


def test_several_lines_at_once(opened: Any, pipe: Pipe) -> None:
    opened().writelines(f"line {number}\n" for number in range(3))
    assert pipe.read_until("line 2\n") == "line 0\nline 1\nline 2\n"


def test_any_text_can_be_written(opened: Any, tmp_path: Path) -> None:
    file = opened(tmp_path / "log")
    file.write("grün \ud800\n")
    file.write("")
    file.write(b"octets")
    with pytest.raises(TypeError):
        file.write(None)
    file.close()
    assert (tmp_path / "log").read_bytes() == "grün \\ud800\nb'octets'".encode()


def test_a_logging_handler_writes_to_it(opened: Any, pipe: Pipe) -> None:
    handler = logging.StreamHandler(opened())
    handler.handle(logging.makeLogRecord({"msg": "message"}))
    assert pipe.read_until("message\n") == "message\n"


def test_print_writes_to_it(opened: Any, pipe: Pipe) -> None:
    print("message", file=opened(), flush=True)
    assert pipe.read_until("message\n") == "message\n"


def test_what_it_says_about_itself(opened: Any, pipe: Pipe) -> None:
    file = opened()
    assert (file.fileno(), file.isatty(), file.writable(), file.closed) == (pipe.writer, False, True, False)
    leader, follower = os.openpty()
    try:
        assert opened(follower).isatty()
    finally:
        os.close(leader)
        os.close(follower)


# A reader that stalls


def test_other_greenlets_run_while_the_reader_stalls(opened: Any, pipe: Pipe) -> None:
    file = opened()
    for _ in range(2_000):
        file.write(LINE)
    wait_for(lambda: is_full(pipe), "a full pipe")
    ticked = gevent.event.Event()

    def tick() -> None:
        for _ in range(10):
            file.write("tick\n")
            file.flush()
            gevent.sleep(0)
        ticked.set()

    gevent.spawn(tick)
    assert ticked.wait(LIMIT)
    assert is_full(pipe)
    assert pipe.read_until("tick\n" * 10) == LINE * 2_000 + "tick\n" * 10


def test_lines_beyond_the_limit_are_dropped_and_counted(opened: Any, pipe: Pipe) -> None:
    file = opened(limit=1 << 18)
    stall(file, pipe)
    for number in range(10_000):
        file.write(f"{number:099d}\n")
    assert file.dropped > 5_000
    seen = pipe.read_until("were lost here\n")
    assert file.dropped == 0
    *kept, report = seen.splitlines()[STALL:]
    assert kept == [f"{number:099d}" for number in range(len(kept))]
    assert report == f"greenserve: {10_000 - len(kept)} lines of this log were lost here"
    assert len(kept) > 1_000
    file.write("afterwards\n")
    assert pipe.read_until("afterwards\n").endswith("lost here\nafterwards\n")


def test_a_descriptor_that_is_not_blocking_loses_nothing(opened: Any, pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    file = opened()
    stall(file, pipe)
    assert pipe.read_until(LINE * STALL) == LINE * STALL


# Errors


def test_a_reader_that_has_gone_is_no_error_and_is_counted(opened: Any, pipe: Pipe) -> None:
    file = opened()
    pipe.close_reader()
    for number in range(1, 4):
        file.write(LINE * 10)
        wait_for(lambda number=number: file.dropped == 10 * number, "the count")


def test_a_descriptor_that_is_closed_is_no_error(opened: Any) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    file = opened(writer)
    file.write(LINE)
    wait_for(lambda: file.dropped == 1, "the count")


def test_a_device_that_is_full_is_no_error_and_is_said_once_it_is_not(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    file = opened(path)
    file.write(LINE * 7)
    wait_for(lambda: file.dropped == 7, "the count")
    path.unlink()
    file.reopen()
    file.write("afterwards\n")
    wait_for(path.read_text, "a line in the file")
    assert path.read_text() == "afterwards\ngreenserve: 7 lines of this log were lost here\n"


def test_a_path_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LogFile(tmp_path / "missing" / "log")
    with pytest.raises(IsADirectoryError):
        LogFile(tmp_path)


def test_without_threads_lines_are_written_at_once(
    opened: Any, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    file = opened()
    monkeypatch.setattr(logfile_module, "_start_thread", refuse)
    file.write("line\n")
    assert os.read(pipe.reader, 100) == b"line\n"
    file.write(LINE * 5_000)
    assert is_full(pipe)
    assert file.dropped > 1_000


def test_a_large_text_that_finds_nothing_waiting_is_written_whole(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = opened(path, limit=1000)
    file.write("x" * 5000 + "\n")
    file.close()
    assert path.read_text() == "x" * 5000 + "\n"

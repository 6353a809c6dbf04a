"""Log files: rotation, closing, the end of the process, forks and threads."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.threadpool
import pytest

from greenserve.net import logfile
from tests.pipes import LIMIT, LINE, STALL, Pipe, is_full, stall, wait_for

PATCH = "from gevent import monkey\nmonkey.patch_all()\n"


def run(program: str, *arguments: str, **options: Any) -> tuple[int, str, str]:
    """Run a program, the text of one; return its status and what it wrote to stdout and stderr."""
    command = [sys.executable, "-bb", "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    return result.returncode, result.stdout, result.stderr


def test_a_file_is_appended_to_and_private(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "log"
    umask = os.umask(0)
    try:
        file = opened(str(path))
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not os.get_inheritable(file.fileno())
    assert fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND
    file.write("first\n")
    file.close()
    again = opened(path)
    again.write("second\n")
    again.close()
    assert path.read_text() == "first\nsecond\n"


def test_a_renamed_file_is_left_when_reopened(opened: Any, tmp_path: Path) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    file = opened(path)
    file.write("first\n")
    wait_for(path.read_text, "the first line")
    path.rename(old)
    file.reopen()
    file.write("second\n")
    file.close()
    assert (old.read_text(), path.read_text()) == ("first\n", "second\n")


def test_reopening_closes_the_old_file(opened: Any, tmp_path: Path) -> None:
    file = opened(tmp_path / "log")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        file.write(LINE)
        file.reopen()
    wait_for(lambda: len(os.listdir("/proc/self/fd")) == before, "the old files to be closed")


def test_reopening_that_fails_goes_on_with_the_old_file(opened: Any, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = opened(folder / "log")
    folder.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        file.reopen()
    file.write("line\n")
    file.close()
    assert (tmp_path / "moved" / "log").read_text() == "line\n"


def test_reopening_a_descriptor_does_nothing(opened: Any, pipe: Pipe) -> None:
    file = opened()
    file.reopen()
    file.write("line\n")
    assert pipe.read_until("line\n")


# The end


def test_closing_writes_the_rest_and_leaves_a_descriptor_open(opened: Any, pipe: Pipe) -> None:
    file = opened()
    file.write("line\n")
    file.close()
    assert os.read(pipe.reader, 100) == b"line\n"
    file.write("late\n")
    file.flush()
    file.reopen()
    file.close()
    assert file.closed
    assert file.dropped == 1
    os.write(pipe.writer, b"still open")
    assert os.read(pipe.reader, 100) == b"still open"


def test_closing_closes_a_file(opened: Any, tmp_path: Path) -> None:
    file = opened(tmp_path / "log")
    fileno = file.fileno()
    file.write("line\n")
    file.close()
    assert file.fileno() == -1
    with pytest.raises(OSError):
        os.fstat(fileno)


def test_closing_waits_for_a_reader_that_comes_back_and_lets_others_run(opened: Any, pipe: Pipe) -> None:
    file = opened()
    stall(file, pipe)
    file.write("last\n")
    reading = gevent.spawn(pipe.read_until, "last\n")  # runs once close() lets it
    file.close(LIMIT)
    assert reading.get(timeout=LIMIT) == LINE * STALL + "last\n"


@pytest.mark.parametrize("last", ["", "last\n"], ids=["in the hands of the thread", "behind that"])
def test_a_process_that_is_about_to_end_writes_what_there_is_and_nobody_else_runs(
    opened: Any, pipe: Pipe, monkeypatch: Any, last: str
) -> None:
    file, ran = opened(), []

    def read() -> None:
        with suppress(BlockingIOError):
            pipe.seen += os.read(pipe.reader, 1 << 20)

    def read_and_sleep(seconds: float, sleep: Any = logfile._sleep) -> None:
        read()
        sleep(seconds)

    stall(file, pipe)
    if last:
        file.write(last)
    gevent.spawn(ran.append, "another greenlet")
    monkeypatch.setattr(logfile, "_sleep", read_and_sleep)
    file.write_now(LIMIT)
    read()
    assert pipe.seen.decode() == LINE * STALL + last
    assert ran == []


def test_a_process_that_is_about_to_end_does_not_wait_for_ever(opened: Any, pipe: Pipe) -> None:
    file = opened()
    stall(file, pipe)
    file.write("last\n")
    file.write_now(0.0)
    assert file._gathered == ["last\n"]  # somebody may read yet


def test_closing_gives_up_on_a_reader_that_does_not_come_back(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = opened(path)
    fileno = file.fileno()
    for _ in range(STALL):
        file.write(LINE)
    wait_for(lambda: not file._gathered, "a thread that is stuck")
    file.write("dropped\n")
    file.close(0.0)
    os.fstat(fileno)  # the thread is still writing: closing would hand the number to somebody else
    os.close(reader)
    wait_for(lambda: file.fileno() == -1, "the thread to close the file")


def test_no_hub_is_made_and_the_rest_is_written_at_the_end() -> None:
    program = """
        from gevent._hub_local import get_hub_if_exists
        from greenserve.net.logfile import LogFile
        LogFile(2).write("to stderr\\n")
        file = LogFile(1)
        file.write("to stdout\\n")
        file.flush()
        assert get_hub_if_exists() is None
    """
    assert run(program) == (0, "to stdout\n", "to stderr\n")


def test_lines_that_come_at_the_very_end_are_written_at_once() -> None:
    program = """
        import atexit
        atexit.register(lambda: file.write("late\\n"))  # runs after what the module registers
        from greenserve.net.logfile import LogFile
        file = LogFile(1)
        file.write("first\\n")
    """
    assert run(program) == (0, "first\nlate\n", "")


@pytest.mark.parametrize("first", ["", PATCH], ids=["plain", "patched"])
def test_a_process_ends_although_nobody_reads(pipe: Pipe, first: str) -> None:
    program = """
        import sys, gevent
        from greenserve.net.logfile import LogFile
        file = LogFile(int(sys.argv[1]))
        for _ in range(5_000):
            file.write("x" * 99 + "\\n")
        gevent.sleep(0)
    """
    assert run(first + textwrap.dedent(program), str(pipe.writer), pass_fds=[pipe.writer]) == (0, "", "")
    assert is_full(pipe)


@pytest.mark.parametrize("late", [False, True], ids=["patched first", "patched later"])
def test_a_patched_process_writes_in_a_real_thread(late: bool) -> None:
    program = """
        import os, gevent, gevent.event
        reader, writer = os.pipe()
        file = LogFile(writer)
        for _ in range(2_000):
            file.write("x" * 99 + "\\n")
        while file._gathered:
            gevent.sleep(0.001)
        ticked = gevent.event.Event()
        gevent.spawn(ticked.set)
        assert ticked.wait(20)
        os.close(reader)
        file.close()
        print("done")
    """
    importing = "from greenserve.net.logfile import LogFile\n"
    first = importing + PATCH if late else PATCH + importing
    assert run(first + textwrap.dedent(program)) == (0, "done\n", "")


def test_a_waiting_line_does_not_keep_the_loop_running() -> None:
    program = """
        import gevent
        from greenserve.net.logfile import LogFile
        file = LogFile(1)
        file.write("line\\n")
        assert gevent.get_hub().join() is True
        file.close()
    """
    assert run(program) == (0, "line\n", "")


# Forks and threads


def test_a_fork_writes_no_line_twice_and_works_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    program = """
        import os, sys, warnings
        from greenserve.net.logfile import LogFile
        warnings.simplefilter("ignore", DeprecationWarning)  # that there is a thread is the test
        file = LogFile(sys.argv[1])
        file.write("parent\\n")
        child = os.fork()
        if not child:
            file.write("child\\n")
            file.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        file.close()
    """
    assert run(program, str(path)) == (0, "", "")
    assert sorted(path.read_text().splitlines()) == ["child", "parent"]


def test_native_threads_write_too(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = opened(path)
    pool = gevent.threadpool.ThreadPool(4)

    def write(name: int) -> None:
        for number in range(2_000):
            file.write(f"{name} {number}\n")

    gevent.wait([pool.spawn(write, name) for name in range(4)], timeout=LIMIT)
    pool.kill()
    file.close(LIMIT)
    lines = path.read_text().splitlines()
    for name in range(4):
        mine = [line for line in lines if line.startswith(f"{name} ")]
        assert mine == [f"{name} {number}" for number in range(2_000)]
    assert len(lines) == 8_000


def test_closing_inside_the_hub_does_not_switch(opened: Any, pipe: Pipe) -> None:
    file = opened()
    file.write("line\n")
    done = gevent.event.Event()

    def close() -> None:
        file.close()
        done.set()

    gevent.get_hub().loop.run_callback(close)
    assert done.wait(LIMIT)
    assert os.read(pipe.reader, 100) == b"line\n"

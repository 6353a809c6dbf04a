"""Log files: order, stalled readers, lost lines, rotation, the end of the process, forks and threads."""

from __future__ import annotations

import fcntl
import logging
import os
import select
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.threadpool
import pytest

from greenserve.net import logfile as logfile_module
from greenserve.net.logfile import BATCH_SIZE, LogFile

LIMIT = 20.0  # seconds; nothing here takes a tenth of that

LINE = "x" * 99 + "\n"


class Pipe:
    """A pipe whose reader reads when it is told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.seen = b""

    def read(self) -> None:
        """Take what is in the pipe, waiting until something is."""
        wait_for(lambda: select.select([self.reader], [], [], 0)[0], "something in the pipe")
        self.seen += os.read(self.reader, 1 << 20)

    def read_until(self, text: str) -> str:
        """Read until `text` was seen; return everything so far."""
        while text.encode() not in self.seen:
            self.read()
        return self.seen.decode()

    def close(self) -> None:
        for fileno in (self.reader, self.writer):
            if fileno >= 0:
                os.close(fileno)

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Wait, the other greenlets running, until `condition()` is true."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        gevent.sleep(0.001)


def is_full(pipe: Pipe) -> bool:
    return not select.select([], [pipe.writer], [], 0)[1]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def opened(pipe: Pipe) -> Iterator[Callable[..., LogFile]]:
    """Opens log files, on the pipe unless told otherwise, and closes them."""
    made: list[LogFile] = []

    def open_log(target: Any = None, **options: Any) -> LogFile:
        made.append(LogFile(pipe.writer if target is None else target, **options))
        return made[-1]

    yield open_log
    if pipe.reader >= 0:
        os.close(pipe.reader)  # whoever is stuck gets an error
        pipe.reader = -1
    for file in made:
        file.close()
        wait_for(lambda file=file: not file._turn.locked(), "the thread")


def run(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program that may use LogFile."""
    source = "import os, sys\nfrom greenserve.net.logfile import LogFile\n" + textwrap.dedent(program)
    command = [sys.executable, "-bb", "-X", "dev", "-W", "error", "-c", source, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


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


STALL = 1_000  # lines of 100 octets, more than a pipe holds


def stall(file: LogFile, pipe: Pipe) -> None:
    """Have the writing thread stuck, and nothing waiting behind it."""
    for _ in range(STALL):
        file.write(LINE)
    wait_for(lambda: is_full(pipe) and not file._gathered, "a thread that is stuck")


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


# Files


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
    result = run("""
        import atexit
        from gevent._hub_local import get_hub_if_exists
        file = LogFile(1)
        atexit.register(file.write, "second\\n")  # runs before the file's own
        LogFile(2).write("to stderr\\n")
        file.write("first\\n")
        file.flush()
        assert get_hub_if_exists() is None
    """)
    assert (result.returncode, result.stdout, result.stderr) == (0, "first\nsecond\n", "to stderr\n")


def test_lines_that_come_after_the_end_are_written_at_once() -> None:
    source = "import atexit\natexit.register(lambda: file.write('late\\n'))\n"
    result = run(
        "file = LogFile(1)\nfile.write('first\\n')\n",
    )
    assert result.stdout == "first\n"
    program = (
        f"{source}from greenserve.net.logfile import LogFile\nfile = LogFile(1)\nfile.write('first\\n')\n"
    )
    late = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (late.returncode, late.stdout, late.stderr) == (0, "first\nlate\n", "")


@pytest.mark.parametrize(
    "patch", ["", "from gevent import monkey; monkey.patch_all(); import gevent; gevent.sleep(0)"]
)
def test_a_process_ends_although_nobody_reads(pipe: Pipe, patch: str) -> None:
    program = f"""
        {patch}
        file = LogFile(int(sys.argv[1]))
        for _ in range(5_000):
            file.write("x" * 99 + "\\n")
    """
    result = run(program, str(pipe.writer), pass_fds=[pipe.writer])
    assert (result.returncode, result.stderr) == (0, "")
    assert is_full(pipe)


def test_a_patched_process_writes_in_a_real_thread(pipe: Pipe) -> None:
    result = run("""
        from gevent import monkey; monkey.patch_all()
        import gevent, gevent.event
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
    """)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_the_loop_ends_although_a_line_waits(pipe: Pipe) -> None:
    result = run("""
        import gevent
        file = LogFile(1)
        file.write("line\\n")
        assert gevent.get_hub().join() is True
        file.close()
    """)
    assert (result.returncode, result.stdout, result.stderr) == (0, "line\n", "")


# Forks and threads


def test_a_fork_writes_no_line_twice_and_works_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    program = """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # a thread is there: this is the test
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
    result = run(program, str(path))
    assert (result.returncode, result.stderr) == (0, "")
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

"""The pid file: whole or absent, replaced when its process is gone, removed by its own process only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenserve.errors import ConfigError
from greenserve.process import pidfile
from greenserve.process.pidfile import Pidfile, is_alive


@pytest.fixture
def path(tmp_path):
    return tmp_path / "site.pid"


@pytest.fixture
def start():
    """Return a function that starts a Python process, with arguments behind its program."""
    started = []

    def start(*arguments, program="print(flush=True); input()"):
        command = [sys.executable, "-c", program, *arguments]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        started[-1].stdout.readline()  # the kernel shows its arguments now
        return started[-1]

    yield start
    for process in started:
        process.communicate(b"\n")


@pytest.fixture
def dead(start):
    """Return the number of a process that has ended."""
    process = start(program="")
    process.wait()
    return process.pid


def refused(path):
    with pytest.raises(ConfigError) as error:
        Pidfile(str(path)).create()
    return str(error.value)


def test_it_holds_the_number_of_this_process_and_nothing_lies_beside_it(path):
    umask = os.umask(0)
    try:
        Pidfile(str(path)).create()
    finally:
        os.umask(umask)
    assert path.read_bytes() == b"%d\n" % os.getpid()
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_reader_never_finds_a_part_of_it(path, monkeypatch):
    found = []

    def rename(source, target):
        found.append((path.exists(), Path(source).read_bytes(), target))
        os.replace(source, target)

    monkeypatch.setattr(pidfile.os, "rename", rename)
    Pidfile(str(path)).create()
    assert found == [(False, b"%d\n" % os.getpid(), str(path))]


def test_it_is_removed(path):
    file = Pidfile(str(path))
    file.create()
    file.remove()
    assert not path.exists()
    file.remove()


def test_it_stays_where_it_was_when_the_folder_changes(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    file = Pidfile("site.pid")
    file.create()
    monkeypatch.chdir("/")
    file.remove()
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"0\n", b"%d\n" % os.getpid(), b"9" * 30],
    ids=["empty", "empty line", "nobody", "ours", "too large"],
)
def test_what_no_other_process_has_is_replaced(path, content):
    path.write_bytes(content)
    Pidfile(str(path)).create()
    assert int(path.read_bytes()) == os.getpid()


def test_the_file_of_a_process_that_is_gone_is_replaced(path, dead):
    path.write_text(str(dead))
    Pidfile(str(path)).create()
    assert int(path.read_bytes()) == os.getpid()


def test_the_file_of_a_zombie_is_replaced(path, start):
    process = start("greenserve", program="")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    path.write_text(str(process.pid))
    Pidfile(str(path)).create()
    assert int(path.read_bytes()) == os.getpid()


def test_a_number_that_went_to_another_program_is_no_reason_to_stop(path, start):
    path.write_text(str(start("greenserver", "-greenserve", "http://greenserve/x").pid))
    Pidfile(str(path)).create()
    assert int(path.read_bytes()) == os.getpid()


@pytest.mark.parametrize("argument", ["greenserve", "/srv/venv/bin/greenserve", "greenserve: master [shop]"])
def test_a_living_one_is_an_error(path, start, argument):
    process = start(argument)
    path.write_text(f"{process.pid}\n")
    assert refused(path) == f"pidfile: {str(path)!r}: process {process.pid} is running already"
    assert path.read_text() == f"{process.pid}\n"


def test_a_process_that_was_started_as_this_one_is_one_of_ours(start, monkeypatch):
    process = start()
    own = [sys.executable.encode(), b"-c", b"..."]
    monkeypatch.setattr(pidfile, "command_line", lambda number: own)
    assert is_alive(process.pid)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ([b"python", b"run.py", b"-w", b"2"], [b"python", b"run.py", b"-w", b"4"], True),
        ([b"python", b"run.py"], [b"python", b"other.py"], False),
        ([b"python", b"-m", b"site"], [b"python", b"-m", b"celery"], False),
        ([b"python", b"-m", b"site"], [b"python", b"-m", b"site"], True),
        ([b"python", b"-m", b"greenserve"], [b"/usr/bin/python3", b"-m", b"greenserve"], True),
        ([b"python", b"run.py"], [b""], False),
    ],
)
def test_which_arguments_are_ours(own, other, expected, monkeypatch):
    monkeypatch.setattr(pidfile, "command_line", lambda number: {"self": own}[number])
    assert pidfile.is_ours(other) is expected


def test_where_nobody_says_what_a_process_is_a_living_one_counts(start, monkeypatch):
    process = start()
    monkeypatch.setattr(pidfile, "command_line", lambda number: None)
    assert is_alive(process.pid)


def test_a_process_of_somebody_else_is_alive(start, monkeypatch):
    process = start("greenserve")

    def kill(pid, number):
        raise PermissionError

    monkeypatch.setattr(pidfile.os, "kill", kill)
    assert is_alive(process.pid)


@pytest.mark.parametrize("content", [b"root:x:0:0::/root:/bin/sh\n", b"12 13", b"-1", b"+5", b"\xb9"])
def test_a_file_of_another_kind_is_not_overwritten(path, content):
    path.write_bytes(content)
    assert "there is a file that holds no process number" in refused(path)
    assert path.read_bytes() == content


def test_what_is_no_file_is_neither_replaced_nor_waited_for(path):
    os.mkfifo(path)
    assert "there is a file that holds no process number" in refused(path)
    path.with_name("link").symlink_to(os.devnull)
    assert "there is a file that holds no process number" in refused(path.with_name("link"))
    assert path.is_fifo() and path.with_name("link").is_symlink()


@pytest.mark.parametrize(
    ("name", "reason"), [("none/site.pid", "No such file or directory"), (".", "Is a directory")]
)
def test_where_it_cannot_be_written_the_reason_is_said(tmp_path, name, reason):
    assert refused(tmp_path / name).endswith(reason)


def test_a_file_that_cannot_be_put_into_place_leaves_nothing_behind(path, monkeypatch):
    def rename(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pidfile.os, "rename", rename)
    assert refused(path).endswith("No space left on device")
    assert list(path.parent.iterdir()) == []


def test_what_a_crash_left_beside_it_is_no_obstacle(path):
    beside = Path(f"{path}.{os.getpid()}")
    beside.symlink_to(path.parent / "elsewhere")
    Pidfile(str(path)).create()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["1\n", "no number", ""])
def test_what_is_not_ours_any_more_is_not_removed(path, content):
    file = Pidfile(str(path))
    file.create()
    path.write_text(content)
    file.remove()
    assert path.read_text() == content


def test_a_forked_child_does_not_remove_it(path, monkeypatch):
    file = Pidfile(str(path))
    file.create()
    monkeypatch.setattr(pidfile.os, "getpid", lambda: 2**22 + 1)
    file.remove()
    assert path.exists()


def test_it_can_be_renamed_and_is_known_by_its_new_name(path, tmp_path):
    file = Pidfile(str(path))
    file.create()
    file.rename(f"{path}.old")
    assert not path.exists()
    assert file.path == f"{path}.old"
    Pidfile(str(path)).create()
    file.remove()
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_process_has_written_is_not_moved(path):
    file = Pidfile(str(path))
    file.create()
    path.write_text("1\n")
    file.rename(f"{path}.old")
    assert path.read_text() == "1\n"
    assert not Path(f"{path}.old").exists()


def test_a_name_that_it_cannot_have_leaves_it_where_it_is(path, tmp_path):
    file = Pidfile(str(path))
    file.create()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        file.rename(str(tmp_path / "folder"))
    assert file.path == str(path)
    file.remove()
    assert not path.exists()

"""The master's log: a file that is opened again, a text below a record, a reader that does not read."""

from __future__ import annotations

import os

import pytest

from greenserve.errors import ConfigError
from greenserve.process import log as module
from greenserve.process.log import MasterLog


def test_records_are_appended_and_texts_are_indented(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    log = MasterLog(str(path), "info")
    log.debug("not this one")
    log.error("with %d lines", 2, text="one\n2026-11-21 \x1b two")
    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[1].endswith("[error] with 2 lines")
    assert lines[2:] == ["    one", "    2026-11-21 \\x1b two"]


def test_a_renamed_file_is_followed_by_a_new_one(tmp_path):
    path = tmp_path / "log"
    log = MasterLog(str(path), "info")
    path.rename(tmp_path / "old")
    log.info("old")
    log.stream.reopen()
    log.info("new")
    assert "old" in (tmp_path / "old").read_text()
    assert path.read_text().endswith("[info] new\n")


def test_a_file_that_cannot_be_opened_again_leaves_the_old_one_in_use(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    log = MasterLog(str(folder / "log"), "info")
    folder.rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="error_log"):
        log.stream.reopen()
    log.info("still there")
    assert "still there" in (tmp_path / "moved" / "log").read_text()


def test_a_reader_that_does_not_read_does_not_stop_the_master(monkeypatch):
    reading, writing = os.pipe()
    monkeypatch.setattr(module, "STANDARD_ERROR", writing)
    log = MasterLog("-", "info")
    for _ in range(30):  # 30 times 4 KiB are more than a pipe holds
        log.info("%s", "x" * 4096)
        if log.stream.dropped:
            break
    assert log.stream.dropped == 1
    os.close(reading)
    log.info("nobody is there at all")
    os.close(writing)

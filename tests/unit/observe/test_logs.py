"""The error log: its lines, its set-up, and the objects that a caller may hand over for it."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.errors import ConfigError
from greenserve.observe.logs import (
    ERROR_LOGGER,
    ErrorLog,
    StreamLog,
    as_error_log,
    configure_error_log,
    escape_controls,
)

RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[(\d+)\] \[([a-z]+)\] (.*)")
LEVELS = ["debug", "info", "warning", "error", "critical"]


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """The logger, given back as it was found."""
    logger = logging.getLogger(ERROR_LOGGER)
    before = list(logger.handlers), logger.level, logger.propagate, logger.disabled
    yield logger
    logger.handlers[:], logger.propagate, logger.disabled = before[0], before[2], before[3]
    logger.setLevel(before[1])


class Collector(logging.Handler):
    """A handler such as an application may have."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def build_logger() -> tuple[logging.Logger, Collector]:
    logger = logging.Logger("application")
    collector = Collector()
    logger.addHandler(collector)
    return logger, collector


def split_record(line: str) -> tuple[str, str]:
    match = RECORD.fullmatch(line)
    assert match is not None, line
    assert match[1] == str(os.getpid())
    return match[2], match[3]


# -- the logger --


def test_a_record_is_one_line_with_time_process_and_level() -> None:
    stream = io.StringIO()
    configure_error_log(stream).warning("%d of %s", 3, "four")
    assert stream.getvalue().endswith("\n")
    assert split_record(stream.getvalue()[:-1]) == ("warning", "3 of four")


def test_the_logger_is_found_by_its_name() -> None:
    assert configure_error_log(io.StringIO()) is logging.getLogger("greenserve.error")


def test_configuring_twice_does_not_double_lines() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_error_log(first)
    configure_error_log(second)
    configure_error_log(second).error("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_handlers_of_others_stay(logger: logging.Logger) -> None:
    collector = Collector()
    logger.addHandler(collector)
    configure_error_log(io.StringIO())
    configure_error_log(io.StringIO()).error("seen")
    assert [record.getMessage() for record in collector.records] == ["seen"]


def test_records_go_on_to_the_root_only_while_nothing_is_configured(logger: logging.Logger) -> None:
    collector = Collector()
    logging.getLogger().addHandler(collector)
    try:
        as_error_log("default").error("before")
        configure_error_log(io.StringIO())
        as_error_log("default").error("after")
    finally:
        logging.getLogger().removeHandler(collector)
    assert [record.getMessage() for record in collector.records] == ["before"]


def test_a_logger_that_dict_config_disabled_is_enabled_again(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure_error_log(stream)
    logger.disabled = True
    configure_error_log(stream).error("heard")
    assert "heard" in stream.getvalue()


@pytest.mark.parametrize("level", LEVELS)
def test_the_level_is_the_least_that_is_written(level: str) -> None:
    stream = io.StringIO()
    logger = configure_error_log(stream, level.upper())
    for name in LEVELS:
        getattr(logger, name)("message")
    written = [split_record(line)[0] for line in stream.getvalue().splitlines()]
    assert written == LEVELS[LEVELS.index(level) :]


def test_a_level_may_be_a_number() -> None:
    assert configure_error_log(io.StringIO(), logging.ERROR).level == logging.ERROR


def test_an_unknown_level_is_refused_and_changes_nothing(logger: logging.Logger) -> None:
    configure_error_log(io.StringIO(), "error")
    handlers = list(logger.handlers)
    with pytest.raises(ConfigError, match="log_level: 'loud': not one of debug, info"):
        configure_error_log(io.StringIO(), "loud")
    assert (logger.handlers, logger.level) == (handlers, logging.ERROR)


# -- one line --


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x85\u2028\u2029", r"\x85\xe2\x80\xa8\xe2\x80\xa9"),
        ("\ud800", r"\xed\xa0\x80"),
        ('ü "\\n"', 'ü "\\n"'),
    ],
)
def test_control_characters_are_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_a_message_is_one_line_whatever_a_peer_sent(text: str) -> None:
    stream = io.StringIO()
    configure_error_log(stream).error("bad: %s", text)
    StreamLog(stream).error("bad: %s", text)
    for line in (lines := stream.getvalue().splitlines()):
        line.encode()
        assert split_record(line) == ("error", f"bad: {escape_controls(text)}")
    assert len(lines) == 2


def test_a_traceback_follows_its_message() -> None:
    stream = io.StringIO()
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        configure_error_log(stream).exception("failed: %s", "GET /")
    lines = stream.getvalue().splitlines()
    assert split_record(lines[0]) == ("error", "failed: GET /")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-2:] == ["RuntimeError: first", "second"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\x85", "\u2028"])
def test_a_traceback_cannot_pass_for_another_record(end: str) -> None:
    stream = io.StringIO()
    log = StreamLog(stream)
    try:
        raise RuntimeError(f"bad{end}2026-11-21 01:02:03,123 [1] [info] all is well")
    except RuntimeError:
        log.exception("failed")
    records = [line for line in stream.getvalue().splitlines() if RECORD.match(line)]
    assert [split_record(line) for line in records] == [("error", "failed")]
    assert "all is well" in stream.getvalue()


def test_a_traceback_that_another_handler_rendered_is_not_taken_over(logger: logging.Logger) -> None:
    other = logging.StreamHandler(io.StringIO())
    logger.addHandler(other)
    stream = io.StringIO()
    configure_error_log(stream)
    try:
        raise RuntimeError("\x1b[2J")
    except RuntimeError:
        logger.exception("failed")
    assert r"RuntimeError: \x1b[2J" in stream.getvalue()


# -- what may be handed over --


def call_every_method(log: ErrorLog) -> None:
    log.debug("%s", "a")
    log.info("%s", "b")
    log.warning("%s", "c")
    log.error("%s", "d")
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        log.exception("%s", "e")


def test_a_file_like_object_gets_lines() -> None:
    stream = io.StringIO()
    call_every_method(as_error_log(stream))
    lines = stream.getvalue().splitlines()
    assert [split_record(line) for line in lines[:4]] == [
        ("info", "b"),
        ("warning", "c"),
        ("error", "d"),
        ("error", "e"),
    ]
    assert lines[-1] == "RuntimeError: boom"


def test_a_file_like_object_gets_debug_messages_when_they_are_wanted() -> None:
    stream = io.StringIO()
    StreamLog(stream, "debug").debug("100%")
    assert split_record(stream.getvalue()[:-1]) == ("debug", "100%")


def test_an_exception_that_is_over_has_no_traceback() -> None:
    stream = io.StringIO()
    as_error_log(stream).exception("late")
    assert split_record(stream.getvalue()[:-1]) == ("error", "late")


class Recorder:
    """Just what a log needs, and whether it was flushed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def write(self, text: str) -> None:
        self.calls.append(text[-5:])

    def flush(self) -> None:
        self.calls.append("flush")


class WriteOnly:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def test_each_line_is_one_write_and_flushed() -> None:
    recorder = Recorder()
    as_error_log(recorder).info("1234")
    assert recorder.calls == ["1234\n", "flush"]


def test_write_is_all_that_is_needed() -> None:
    stream = WriteOnly()
    as_error_log(stream).info("enough")
    assert stream.text.endswith("enough\n")


def test_a_stream_that_cannot_be_written_to_raises_nothing() -> None:
    closed = io.StringIO()
    closed.close()
    as_error_log(closed).error("lost")

    class Full(WriteOnly):
        def write(self, text: str) -> None:
            self.text += "tried"
            raise OSError(28, "No space left on device")

    full = Full()
    as_error_log(full).error("lost")
    assert full.text == "tried"


def test_none_swallows_everything(capfd: pytest.CaptureFixture[str]) -> None:
    call_every_method(as_error_log(None))
    assert capfd.readouterr() == ("", "")


def test_the_default_is_the_logger_of_the_server() -> None:
    stream = io.StringIO()
    configure_error_log(stream, "debug")
    call_every_method(as_error_log("default"))
    levels = [match[2] for match in map(RECORD.fullmatch, stream.getvalue().splitlines()) if match]
    assert levels == ["debug", "info", "warning", "error", "error"]


def test_a_logger_gets_records_with_the_place_of_the_call() -> None:
    logger, collector = build_logger()
    call_every_method(as_error_log(logger))
    assert [record.levelname.lower() for record in collector.records] == [*LEVELS[:4], "error"]
    assert {record.funcName for record in collector.records} == {"call_every_method"}
    assert [bool(record.exc_info) for record in collector.records] == [False] * 4 + [True]


def test_a_logger_gets_the_template_and_arguments_without_control_characters() -> None:
    logger, collector = build_logger()
    error = ValueError("a\nb")
    as_error_log(logger).error("%s %d %r %s", "x\r\ny", 3, b"\n", error)
    record = collector.records[0]
    assert record.msg == "%s %d %r %s"
    assert record.getMessage() == r"x\r\ny 3 b'\n' a\nb"


def test_what_logs_and_writes_counts_as_file_like() -> None:
    class Both(WriteOnly):
        def log(self, *args: object) -> None:
            raise AssertionError("the wrong way")

    both = Both()
    as_error_log(both).info("written")
    assert both.text.endswith("written\n")


def test_an_error_log_stays_what_it_is() -> None:
    for log in (StreamLog(io.StringIO()), as_error_log(None), as_error_log("default")):
        assert as_error_log(log) is log


@pytest.mark.parametrize("value", ["stderr", 2, object()])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="^error_log: "):
        as_error_log(value)

"""The loggers of the server, and what else may take its messages: a file-like object or nothing.

A message is one line whatever the peer sent, and nothing in a traceback can pass for another record.
"""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from typing import Any, Protocol, TextIO, cast

from greenserve.errors import ConfigError

ERROR_LOGGER = "greenserve.error"
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

ESCAPES = {"\b": r"\b", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", '"': r"\"", "\\": r"\\"}
UNSAFE = re.compile(r"[^ !#-\[\]-~]")
# C0 and C1 controls, what str.splitlines() takes for the end of a line, and surrogates, which no
# stream can encode.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
CONTROLS_IN_TRACEBACKS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
RECORD_START = re.compile(r"^(?=\d{4}-\d\d-\d\d )", re.MULTILINE)


class ErrorLog(Protocol):
    """What the server asks of an error log: messages with %-arguments, each of them on one line."""

    def debug(self, message: str, /, *args: object) -> None: ...
    def info(self, message: str, /, *args: object) -> None: ...
    def warning(self, message: str, /, *args: object) -> None: ...
    def error(self, message: str, /, *args: object) -> None: ...
    def exception(self, message: str, /, *args: object) -> None: ...


class Writable(Protocol):
    """A file-like object, as far as a log needs one."""

    def write(self, text: str, /) -> object: ...


def escape(value: object) -> str:
    """Return the text of `value` in printable ASCII, quotes and backslashes escaped too, as Apache does."""
    return UNSAFE.sub(_escape_character, to_text(value))


def to_text(value: object) -> str:
    """Return str(value); for bytes their repr, because python -bb forbids the other."""
    return repr(value) if isinstance(value, bytes) else str(value)


def escape_controls(text: str) -> str:
    """Return `text` on one line: control characters escaped, all else, backslashes too, as it is."""
    return CONTROLS.sub(_escape_character, text)


def escape_lines(text: str) -> str:
    """Return `text` on as many lines as it has; control characters but tabs are escaped."""
    return CONTROLS_IN_TRACEBACKS.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    character = match[0]
    if (text := ESCAPES.get(character)) is not None:
        return text
    # Native strings hold octets (PEP 3333); anything wider was put there by the application.
    octets = character.encode("utf-8", "surrogatepass") if character > "\xff" else character.encode("latin-1")
    return "".join([f"\\x{octet:02x}" for octet in octets])


class RecordFormatter(logging.Formatter):
    """``2026-11-21 01:02:03,123 [pid] [info] message``, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without its newline.  `record` is left as it is.

        The base class would take over a traceback that another handler has rendered its own way.
        """
        level, message = record.levelname.lower(), escape_controls(record.getMessage())
        line = f"{self.formatTime(record)} [{record.process}] [{level}] {message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def formatException(self, ei: Any) -> str:
        """Return the traceback; the text of an exception may hold what a peer sent."""
        return RECORD_START.sub("    ", escape_lines(super().formatException(ei)))


FORMATTER = RecordFormatter()


def parse_level(level: str | int) -> int:
    """Return the number of a level.  Raises ConfigError for a name that is none."""
    if isinstance(level, int):
        return level
    try:
        return LEVELS[level.lower()]
    except KeyError:
        raise ConfigError("log_level", level, f"not one of {', '.join(LEVELS)}") from None


def configure_error_log(stream: Writable, level: str | int = "info") -> logging.Logger:
    """Return the logger "greenserve.error", set up to write to `stream` and not to propagate.

    A second call replaces what the first one did, and enables the logger again: the dictConfig of an
    application disables every logger that it does not name.  Handlers of others stay.  Raises
    ConfigError for an unknown level.
    """
    number = parse_level(level)
    logger = logging.getLogger(ERROR_LOGGER)
    for old in [handler for handler in logger.handlers if handler.name == ERROR_LOGGER]:
        logger.removeHandler(old)
    handler = logging.StreamHandler(cast(TextIO, stream))
    handler.name = ERROR_LOGGER
    handler.setFormatter(FORMATTER)
    logger.addHandler(handler)
    logger.setLevel(number)
    logger.propagate = False  # a root handler of the application would write each line again
    logger.disabled = False
    return logger


class StreamLog:
    """An error log on a file-like object.  Nothing is raised when that cannot be written to."""

    def __init__(self, stream: Writable, level: str | int = "info") -> None:
        self.stream = stream
        self.level = parse_level(level)

    def debug(self, message: str, /, *args: object) -> None:
        self._write(logging.DEBUG, message, args)

    def info(self, message: str, /, *args: object) -> None:
        self._write(logging.INFO, message, args)

    def warning(self, message: str, /, *args: object) -> None:
        self._write(logging.WARNING, message, args)

    def error(self, message: str, /, *args: object) -> None:
        self._write(logging.ERROR, message, args)

    def exception(self, message: str, /, *args: object) -> None:
        """Write an error with the traceback of the exception that is being handled."""
        self._write(logging.ERROR, message, args, with_traceback=True)

    def _write(
        self, level: int, message: str, args: tuple[object, ...], with_traceback: bool = False
    ) -> None:
        if level < self.level:
            return
        exc_info = sys.exc_info() if with_traceback else None
        if exc_info == (None, None, None):
            exc_info = None
        record = logging.LogRecord(ERROR_LOGGER, level, "", 0, message, args, exc_info)
        # A full disk or a closed file must not end the request that is being reported.
        with suppress(Exception):
            self.stream.write(FORMATTER.format(record) + "\n")
            flush = getattr(self.stream, "flush", None)
            if flush is not None:
                flush()


class LoggerLog:
    """An error log on a logger, whose handlers may be anybody's: the arguments are escaped beforehand.

    The template is passed on as it is, so that collectors can group by it.  A handler that raises, logging's
    own for a stderr that is closed among them, does not end the request that is being reported.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def debug(self, message: str, /, *args: object) -> None:
        with suppress(Exception):
            self.logger.debug(message, *map(_clean, args), stacklevel=2)

    def info(self, message: str, /, *args: object) -> None:
        with suppress(Exception):
            self.logger.info(message, *map(_clean, args), stacklevel=2)

    def warning(self, message: str, /, *args: object) -> None:
        with suppress(Exception):
            self.logger.warning(message, *map(_clean, args), stacklevel=2)

    def error(self, message: str, /, *args: object) -> None:
        with suppress(Exception):
            self.logger.error(message, *map(_clean, args), stacklevel=2)

    def exception(self, message: str, /, *args: object) -> None:
        """Log an error with the traceback of the exception that is being handled."""
        with suppress(Exception):
            self.logger.error(message, *map(_clean, args), exc_info=True, stacklevel=2)


def _clean(value: object) -> object:
    text = to_text(value)
    return escape_controls(text) if CONTROLS.search(text) else value


class NoLog:
    """An error log that swallows everything."""

    def debug(self, message: str, /, *args: object) -> None:
        """Do nothing; the same for all levels."""

    info = warning = error = exception = debug


def as_error_log(value: object) -> ErrorLog:
    """Return the error log that the argument `error_log` of the library call stands for.

    'default' is the logger "greenserve.error", None swallows everything, else a file-like object or a
    logger.  An object that is both counts as file-like, as for pywsgi.  Raises ConfigError for others.
    """
    if value is None:
        return NoLog()
    if value == "default":
        return LoggerLog(logging.getLogger(ERROR_LOGGER))
    if isinstance(value, StreamLog | LoggerLog | NoLog):
        return value
    if hasattr(value, "write"):
        return StreamLog(value)
    if hasattr(value, "log"):
        return LoggerLog(cast(logging.Logger, value))
    raise ConfigError("error_log", value, "neither 'default', None, a file-like object nor a logger")

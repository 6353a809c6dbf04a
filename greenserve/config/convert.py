"""Text or a native value -> the value of a setting.

A `Converter` reads both forms, so that a value is checked in the same way wherever it comes from, and
shows a value as the text that gives it again.  It raises ValueError with the reason; `Option.convert`
adds which setting it was.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

#: What fits a descriptor count, a backlog, a number of fields: a C int.
LARGEST_NUMBER = 2**31 - 1
#: What fits a length on the wire (RFC 9110, 8.6 asks for care with larger ones).
LARGEST_SIZE = 2**63 - 1

SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}
OCTETS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
SWITCH = {
    "yes": True,
    "true": True,
    "on": True,
    "1": True,
    "no": False,
    "false": False,
    "off": False,
    "0": False,
}
VERIFY_MODES = ("none", "optional", "required")  # in the order of ssl.CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED

DURATION = re.compile(r"(-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)) ?(ms|s|m|h|)")
SIZE = re.compile(r"(-?[0-9]{1,19})([kmg]?)", re.IGNORECASE)
NUMBER = re.compile(r"-?[0-9]{1,18}")
OCTAL = re.compile(r"(?:0o)?([0-7]{1,5})")
OWNER = re.compile(r"[^:\s]+(?::[^:\s]+)?|:[^:\s]+")
ACCOUNT = re.compile(r"[^:\s\x00-\x1f-][^:\s\x00-\x1f]*")
ORIGIN_FORM = re.compile(r"/[!-\"$-~]*")  # no fragment
FIELD_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")  # RFC 9110, 5.5 without obs-text


@dataclass(frozen=True)
class Converter(Generic[T]):
    """How one kind of value is read, checked, and shown again as text."""

    metavar: str
    read: Callable[[object], T]
    show: Callable[[T], str] = str
    repeatable: bool = False


def native_text(value: object) -> str:
    """Return a text or path as text.  Raises ValueError for anything else, and for a NUL character."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise ValueError("not a text")
    if "\0" in value:
        raise ValueError("a NUL character")
    return value


def read_text(value: object) -> str:
    """Return a text that is not empty."""
    read = native_text(value)
    if not read:
        raise ValueError("empty")
    return read


def read_seconds(value: object) -> float:
    """Return a finite duration of 0 seconds or more: ``1.5``, ``"1.5"``, ``"250ms"``, ``"10m"``, ``"1h"``."""
    if isinstance(value, str):
        if not (match := DURATION.fullmatch(value.strip())):
            raise ValueError("not a duration in seconds")
        result = float(match[1]) * SECONDS[match[2]]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        result = float(value)
    else:
        raise ValueError("not a duration in seconds")
    if not math.isfinite(result):
        raise ValueError("not a finite duration")
    if result < 0:
        raise ValueError("a negative duration")
    return result


def read_switch(value: object) -> bool:
    """Return a truth value: a bool, or yes, no, true, false, on, off, 1, 0."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (lower := value.strip().lower()) in SWITCH:
        return SWITCH[lower]
    raise ValueError("neither yes nor no")


def read_mode(value: object) -> int:
    """Return permission bits: an int as it is, a text as octal digits (``660``, ``0o660``)."""
    if isinstance(value, str):
        if not (match := OCTAL.fullmatch(value.strip())):
            raise ValueError("not permissions in octal digits")
        value = int(match[1], 8)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o777:
        raise ValueError("not permissions between 000 and 777")
    return value


def read_owner(value: object) -> str:
    """Return ``user``, ``user:group`` or ``:group``; whether they exist is found out when they are used."""
    read = native_text(value)
    if not OWNER.fullmatch(read):
        raise ValueError("not user, user:group or :group")
    return read


def read_account(value: object) -> str:
    """Return a user or group: a name, or a number as text; whether it exists is found out when it is used."""
    read = str(value) if isinstance(value, int) and not isinstance(value, bool) else native_text(value)
    if not ACCOUNT.fullmatch(read):
        raise ValueError("neither a name nor a number")
    return read


def read_workers(value: object) -> int | str:
    """Return a number of processes, or "auto"."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return "auto"
    if isinstance(value, int) or (isinstance(value, str) and NUMBER.fullmatch(value.strip())):
        return number(at_least=1).read(value)
    raise ValueError("neither a number nor auto")


def read_warmup_path(value: object) -> str:
    """Return a request-target in origin-form (RFC 9112, 3.2.1)."""
    read = native_text(value)
    if not ORIGIN_FORM.fullmatch(read):
        raise ValueError("not a path of printable ASCII that starts with '/'")
    return read


def read_root_path(value: object) -> str:
    """Return "" or a path that starts with a slash and does not end with one; a trailing slash is taken
    off.
    """
    read = native_text(value).rstrip("/")
    if read and not read.startswith("/"):
        raise ValueError("does not start with '/'")
    if any(character in read for character in "?#") or not read.isprintable():
        raise ValueError("not a path")
    return read


def read_field_value(value: object) -> str:
    """Return a field value in printable ASCII, "" included: nothing in it can end the field line (RFC
    9110, 5.5).
    """
    read = native_text(value).strip(" \t")
    if not FIELD_VALUE.fullmatch(read):
        raise ValueError("not a field value in printable ASCII")
    return read


def read_verify_mode(value: object) -> str:
    """Return none, optional or required; ssl.CERT_NONE, CERT_OPTIONAL and CERT_REQUIRED are taken too."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(VERIFY_MODES):
        return VERIFY_MODES[value]
    return one_of(*VERIFY_MODES).read(value)


def read_log_target(value: object) -> str | None:
    """Return "-", "stderr" or a path; ``none``, None and an empty text mean no log at all."""
    read = "none" if value is None else native_text(value)
    return None if read in ("", "none") else read


def show_seconds(value: float) -> str:
    """Return the shortest text for a duration, without its unit."""
    return str(int(value)) if value.is_integer() else str(value)


def show_size(value: int) -> str:
    """Return a size with the largest suffix that divides it."""
    for suffix in "gmk":
        if value and value % OCTETS[suffix] == 0:
            return f"{value // OCTETS[suffix]}{suffix}"
    return str(value)


def bounded(value: int, at_least: int, at_most: int) -> int:
    """Return `value`.  Raises ValueError when it is outside the bounds."""
    if value < at_least:
        raise ValueError(f"less than {at_least}")
    if value > at_most:
        raise ValueError(f"more than {at_most}")
    return value


def number(at_least: int = 0) -> Converter[int]:
    """Return the converter for a count: digits alone, or an int."""

    def read(value: object) -> int:
        if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("not a whole number")
        return bounded(value, at_least, LARGEST_NUMBER)

    return Converter("NUMBER", read)


def size(at_least: int = 0) -> Converter[int]:
    """Return the converter for a number of octets: an int, or digits with one of the suffixes k, m, g
    (1024 each).
    """

    def read(value: object) -> int:
        if isinstance(value, str) and (match := SIZE.fullmatch(value.strip())):
            value = int(match[1]) * OCTETS[match[2].lower()]
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("not a size in octets")
        return bounded(value, at_least, LARGEST_SIZE)

    return Converter("SIZE", read, show_size)


def one_of(*choices: str) -> Converter[str]:
    """Return the converter for one word out of `choices`, in lower or upper case."""
    words = ", ".join(choices[:-1]) + " or " + choices[-1]

    def read(value: object) -> str:
        if isinstance(value, str) and (lower := value.strip().lower()) in choices:
            return lower
        raise ValueError(f"not {words}")

    return Converter("|".join(choices), read)


def optional(converter: Converter[T]) -> Converter[T | None]:
    """Return `converter` with None, or an empty text, for a value that is not given."""

    def read(value: object) -> T | None:
        return None if value is None or value == "" else converter.read(value)

    def show(value: T | None) -> str:
        return "" if value is None else converter.show(value)

    return Converter(converter.metavar, read, show)


def several(converter: Converter[T], separator: str, empty: str = "") -> Converter[tuple[T, ...]]:
    """Return the converter for a tuple: a list or tuple, or one text with `separator` between the values.

    `empty` is the reason why it is refused without any; "": it is not.
    """

    def read(value: object) -> tuple[T, ...]:
        parts: list[object] = []
        for part in value if isinstance(value, (list, tuple)) else [value]:
            found = split(part) if isinstance(part, str) else [part]
            if empty and not found:
                raise ValueError(empty)  # beside others, too: an empty variable, say, is a mistake
            parts += found
        if empty and not parts:
            raise ValueError(empty)
        return tuple(converter.read(part) for part in parts)

    def split(value: str) -> list[str]:
        return [part for each in value.split(separator) if (part := each.strip())]

    def show(value: tuple[T, ...]) -> str:
        return separator.join(converter.show(part) for part in value)

    return Converter(converter.metavar, read, show, repeatable=True)


text = Converter("TEXT", read_text)
path = Converter("PATH", read_text)
seconds = Converter("SECONDS", read_seconds, show_seconds)
switch = Converter("", read_switch, lambda value: "yes" if value else "no")
mode = Converter("MODE", read_mode, lambda value: f"{value:03o}")
owner = Converter("USER:GROUP", read_owner)
account = Converter("NAME", read_account)
workers = Converter("NUMBER|auto", read_workers)
warmup_path = Converter("TARGET", read_warmup_path)
root_path = Converter("PATH", read_root_path)
field_value = Converter("TEXT", read_field_value)
verify_mode = Converter("|".join(VERIFY_MODES), read_verify_mode)
log_target: Converter[str | None] = Converter("TARGET", read_log_target, lambda value: value or "none")

"""Why something could not be started, and the exit status for that."""

from __future__ import annotations

import pytest

from greenserve.errors import AppImportError, ConfigError, ListenError
from greenserve.process.failure import Failure, StartError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ListenError("no port"), Failure(1, "no port")),
        (ConfigError("bind", "x", "odd"), Failure(2, "bind: 'x': odd")),
        (AppImportError("no app", "Traceback"), Failure(4, "no app", "Traceback")),
        (StartError(Failure(7, "said before")), Failure(7, "said before")),
    ],
)
def test_each_error_has_its_status(error, expected):
    assert Failure.of(error) == expected


def test_an_error_of_nobody_s_is_told_with_its_traceback():
    try:
        raise KeyError("nothing")
    except KeyError as error:
        failure = Failure.of(error)
    assert (failure.status, failure.message) == (4, "it failed with KeyError")
    assert "test_failure.py" in failure.origin


def test_it_survives_a_line_of_text():
    failure = Failure(4, "two\nlines \udc80", "a\nb")
    text = failure.to_text()
    assert "\n" not in text
    assert Failure.from_text(text) == failure


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": 1}', "null"])
def test_half_of_one_is_a_failure_as_well(text):
    assert Failure.from_text(text) == Failure(4, "it could not say why")


def test_what_is_told_fits_into_a_pipe_and_keeps_the_end_of_the_traceback():
    text = Failure(4, "m" * 100_000, "\u20ac" * 100_000 + "ValueError: why").to_text()
    assert len(text.encode()) < 65536
    assert Failure.from_text(text).origin.endswith("ValueError: why")

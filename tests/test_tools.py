"""A missing program skips a test on a desk and fails it in CI."""

from __future__ import annotations

import sys

import pytest

from tests.tools import require_tool

MISSING = "a-program-that-nobody-has"


def test_a_program_that_is_there_is_found(monkeypatch):
    folder, _, name = sys.executable.rpartition("/")
    monkeypatch.setenv("PATH", folder)
    assert require_tool(name) == sys.executable


def test_a_missing_program_skips_outside_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=MISSING):
        require_tool(MISSING)


def test_a_missing_program_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=MISSING):
        require_tool(MISSING)

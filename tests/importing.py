"""Applications to import, and what is asked of the importer in its tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from greenserve.errors import AppImportError
from greenserve.importer import load_application

HERE = os.path.dirname(load_application.__code__.co_filename)

APP = """
    def app(environ, start_response):
        return [b"app"]
"""
BOTH = """
    def app(environ, start_response):
        return [b"app"]

    def application(environ, start_response):
        return [b"application"]
"""
NESTED = """
    class Site:
        def wsgi(self, environ, start_response):
            return [b"nested"]

        @property
        def broken(self):
            return self.missing

        @property
        def failing(self):
            raise LookupError("no configuration")

    site = Site()
    settings = {}
"""
FACTORY = """
    class Site:
        def __init__(self, *args, **kwargs):
            self.arguments = args, kwargs

        def __call__(self, environ, start_response):
            return [b"made"]

    def make(name="", count=0, *, debug=False):
        return Site(name, count, debug=debug)

    def nothing():
        pass

    def failing():
        raise ValueError("no database\\nanywhere")

    text = "make"
"""


def write(path: Path, source: str) -> Path:
    """Write a source file, its folders too, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(source))
    return path


def answer(application: Callable[..., Any]) -> bytes:
    """Return what an application answers."""
    return b"".join(application({}, None))


def refusal(target: str | None = None) -> AppImportError:
    """Return the error for a target: one line, and no frame of ours behind it."""
    with pytest.raises(AppImportError) as refused:
        load_application(target)
    assert "\n" not in str(refused.value)
    assert HERE not in refused.value.origin
    assert "importlib" not in refused.value.origin
    return refused.value


def frames_of(error: AppImportError) -> list[str]:
    """Return the files in the traceback that the operator is shown."""
    return [line.split('"')[1] for line in error.origin.splitlines() if line.startswith('  File "')]

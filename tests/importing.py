"""Applications to import, and what is asked of the importer in its tests."""

from __future__ import annotations

import os
from textwrap import dedent

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


def write(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(source))
    return path


def answer(application):
    return b"".join(application({}, None))


def refusal(target=None):
    with pytest.raises(AppImportError) as refused:
        load_application(target)
    assert "\n" not in str(refused.value)
    assert HERE not in refused.value.origin
    assert "importlib" not in refused.value.origin
    return refused.value


def frames_of(error):
    return [line.split('"')[1] for line in error.origin.splitlines() if line.startswith('  File "')]

"""Titles, with the package setproctitle and without it."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from greenserve.process.title import set_title, title_of


@pytest.mark.parametrize(
    ("role", "name", "expected"),
    [
        ("master", "shop", "greenserve: master [shop]"),
        ("worker 2", None, "greenserve: worker 2"),
        ("worker 2", "", "greenserve: worker 2"),
    ],
)
def test_a_title_says_what_a_process_does_and_for_whom(role, name, expected):
    assert title_of(role, name) == expected


def test_the_package_is_used_where_it_is_installed(monkeypatch):
    titles = []
    package = ModuleType("setproctitle")
    package.setproctitle = titles.append
    monkeypatch.setitem(sys.modules, "setproctitle", package)
    assert set_title("greenserve: master") is True
    assert titles == ["greenserve: master"]


def test_without_the_package_nothing_happens(monkeypatch):
    monkeypatch.setitem(sys.modules, "setproctitle", None)
    assert set_title("greenserve: master") is False

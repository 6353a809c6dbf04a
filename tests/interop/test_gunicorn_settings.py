"""Every setting of gunicorn has its place in docs/migrating.md: what becomes of it with this worker class."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gunicorn.config import Config

from greenserve.gunicorn import UNSUPPORTED, unsupported

DOCS = Path(__file__).resolve().parents[2] / "docs" / "migrating.md"
WITHOUT_EFFECT = "What has no effect is named"


@pytest.fixture(scope="module")
def section() -> str:
    return DOCS.read_text().split("## Staying with gunicorn")[1].split("\n## ")[0]


def names_in(text: str) -> list[str]:
    return re.findall("`([a-z0-9_]+)`", text)


def paragraph(section: str) -> str:
    (found,) = (each for each in section.split("\n\n") if each.startswith(WITHOUT_EFFECT))
    return found.partition("The field")[0]


def table(section: str) -> list[str]:
    """Return what is in the first column."""
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return names_in("".join(rows))


def test_no_setting_is_forgotten_or_told_twice(section):
    told = table(section) + names_in(paragraph(section))
    assert sorted(told) == sorted(Config().settings)


def test_what_has_no_effect_is_what_the_log_names(section):
    assert sorted(names_in(paragraph(section))) == sorted(UNSUPPORTED)


def test_nothing_is_named_at_its_default_and_everything_else_is():
    cfg = Config()
    assert unsupported(cfg) == ()
    for name in UNSUPPORTED:
        cfg.settings[name].value = "something else"
    assert unsupported(cfg) == tuple(UNSUPPORTED)

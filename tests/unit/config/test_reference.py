"""docs/settings.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from greenserve.config import Config
from greenserve.config.option import declared_options
from greenserve.config.reference import WIDTH, render_reference

PAGE = Path(__file__).resolve().parents[3] / "docs" / "settings.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text("utf-8") == render_reference(), "run `make docs`"


def test_every_setting_has_an_entry_with_all_its_names():
    page = render_reference()
    for each in declared_options(Config):
        assert f"\n### {each.name}\n" in page
        assert f"`{each.variable}`" in page
        assert each.positional or f"`{each.flag}" in page
    assert "`-b ADDRESS`, `--bind ADDRESS`" in page
    assert "`--buffer-chunked`, `--no-buffer-chunked`" in page


def test_the_lines_of_the_page_are_short():
    assert [line for line in render_reference().splitlines() if len(line) > WIDTH] == []

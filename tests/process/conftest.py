"""The folder of the application that holds requests, and where they wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.process.held import APPLICATION, Gate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the application in held.py."""
    (tmp_path / "held.py").write_text(dedent(APPLICATION))
    return tmp_path


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    with made.listener:
        yield made

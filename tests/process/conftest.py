"""The folder of the application that workers serve, and where its requests wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.masters import Gate, write_application


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the application in site_app.py."""
    return write_application(tmp_path)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    with made.listener:
        yield made

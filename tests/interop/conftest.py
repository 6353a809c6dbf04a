"""Where the requests of `front_site` wait that reach it through a front end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.interop.front_end import Gate


@pytest.fixture
def gate() -> Iterator[Gate]:
    with closing(Gate()) as gate:
        yield gate

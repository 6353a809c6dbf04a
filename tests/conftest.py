"""What holds for every test: no proxy before its server, reproducible properties in CI, the longest first."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# requests and curl would send a request for 127.0.0.1 to a proxy named by the environment.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,::1,localhost"

# How long one example takes says something about the machine and nothing about the property.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

#: Where tests take longest, the longest first; what is in none of these comes last.  When several run at a
#: time, a long one at the end would leave a core with nothing to do.
LONGEST = ("process/test_reliability", "process/", "interop/test_gunicorn", "interop/", "functional/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the long tests to the front; those of one kind stay in their order."""
    items.sort(key=rank)


def rank(item: pytest.Item) -> int:
    """Return how far behind a test is to be."""
    path = item.path.as_posix()
    return next((number for number, part in enumerate(LONGEST) if f"tests/{part}" in path), len(LONGEST))

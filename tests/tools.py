"""Programs that some tests need and that do not come with Python: curl, openssl, nginx, haproxy."""

from __future__ import annotations

import os
import shutil

import pytest

ADMINISTRATORS_PATH = "/usr/local/sbin:/usr/sbin:/sbin"  # nginx and haproxy live there on Debian


def require_tool(name: str) -> str:
    """Return the path of the program `name`.

    Where it is missing the test is skipped, and the reason names it.  In CI (the variable ``CI`` is
    ``true``) the test fails instead: a skip that nobody reads would leave the behaviour untested.
    """
    path = shutil.which(name) or shutil.which(name, path=ADMINISTRATORS_PATH)
    if path is not None:
        return path
    reason = f"{name} is not installed"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason}, and in CI it has to be (.ci/run installs it)")
    pytest.skip(reason)

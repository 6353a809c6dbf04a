"""What launchers are given: ``module:attribute port [--certfile --keyfile] [--access-log] [--nodelay]``."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

HOST = "127.0.0.1"
BACKLOG = 2048
#: More than the most connections that a workload opens.
MOST_CONNECTIONS = 20_000


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("application")
    parser.add_argument("port", type=int)
    parser.add_argument("--certfile")
    parser.add_argument("--keyfile")
    parser.add_argument("--access-log")
    parser.add_argument("--nodelay", action="store_true")
    return parser.parse_args()


def load(target: str) -> Any:
    """Import the application called `target`, ``module:attribute``."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)

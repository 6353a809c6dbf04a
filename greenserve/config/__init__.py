"""The settings: declared once in `sections`, read from everywhere by `load`, described by `reference`.

`Config` is frozen and has no side effects: sockets, contexts and loggers are made by those who need them.
"""

from __future__ import annotations

from greenserve.config.load import load_config
from greenserve.config.option import option
from greenserve.config.sections import Config

__all__ = ["Config", "load_config", "option"]

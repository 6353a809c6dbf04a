"""The text that names an application -> the application.

`load_application` is stable: every application passes through it, and agents may wrap it here.
"""

from __future__ import annotations

from greenserve.importer.load import Application, load_application

__all__ = ["Application", "load_application"]

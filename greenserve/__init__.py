"""greenserve: a WSGI server on gevent.

The public names are imported when they are first used (PEP 562): ``import greenserve`` by itself
brings in neither gevent nor a module that gevent would have to patch first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "AppImportError",
    "ApplicationError",
    "BodyError",
    "BodyTimeout",
    "ChunkedCodingError",
    "ClientDisconnected",
    "Config",
    "ConfigError",
    "ContentTooLarge",
    "ExpectationFailed",
    "GreenserveError",
    "HeadTooLarge",
    "ListenError",
    "MethodNotImplemented",
    "NotImplementedCoding",
    "ProtocolError",
    "RequestTimeout",
    "TargetTooLong",
    "TrailersTooLarge",
    "VersionNotSupported",
    "WSGIServer",
    "__version__",
    "serve",
]

if TYPE_CHECKING:
    from greenserve.config import Config
    from greenserve.errors import (
        AppImportError,
        ApplicationError,
        BodyError,
        BodyTimeout,
        ChunkedCodingError,
        ClientDisconnected,
        ConfigError,
        ContentTooLarge,
        ExpectationFailed,
        GreenserveError,
        HeadTooLarge,
        ListenError,
        MethodNotImplemented,
        NotImplementedCoding,
        ProtocolError,
        RequestTimeout,
        TargetTooLong,
        TrailersTooLarge,
        VersionNotSupported,
    )
    from greenserve.process.worker import serve
    from greenserve.server.server import WSGIServer
else:
    # A type checker that saw this function would take any attribute of the package for granted.
    def __getattr__(name: str) -> object:
        """Return a public name from the module that it lives in.  Raises AttributeError."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        homes = {
            "Config": "greenserve.config",
            "WSGIServer": "greenserve.server.server",
            "serve": "greenserve.process.worker",
        }
        value = getattr(import_module(homes.get(name, "greenserve.errors")), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, whether they have been used yet or not."""
    return sorted({*globals(), *__all__})

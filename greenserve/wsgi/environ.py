"""The part of the environ that is the same for all requests of a listener (PEP 3333; RFC 3875, 4.1)."""

from __future__ import annotations

import sys
from typing import Any

from greenserve.protocol.head import ENVIRON_PLACES
from greenserve.wsgi.file_wrapper import FileWrapper
from greenserve.wsgi.input import EMPTY_INPUT


def server_software(gevent_version: str, version: str) -> str:
    """Return SERVER_SOFTWARE: libraries look for the prefix ``gevent``."""
    return f"gevent/{gevent_version} greenserve/{version} Python/{sys.version_info[0]}.{sys.version_info[1]}"


def build_base_environ(software: str) -> dict[str, Any]:
    """Return a new base environ; scheme, server name and port and wsgi.errors are put in by the server.

    Every path that this server fills `wsgi.input` on ends by itself, so `wsgi.input_terminated` is
    always true.
    """
    return {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": software,
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input": EMPTY_INPUT,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }


def with_places(environ: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `environ` that has a place for what every request sets.

    That is what the parser wants there, and the peer.
    """
    return type(environ)({**ENVIRON_PLACES, **environ, "REMOTE_ADDR": "", "REMOTE_PORT": ""})

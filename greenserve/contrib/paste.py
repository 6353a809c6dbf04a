"""``use = egg:greenserve#main`` in the section ``[server:main]`` of a PasteDeploy file, as pserve reads it.

runner -> build_config -> patch_late -> greenserve.process.worker.run_loading
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from greenserve.errors import ConfigError

if TYPE_CHECKING:
    from greenserve.config import Config

HOST = "127.0.0.1"
PORT = "8000"

#: Settings of the command that come too late when the application has been loaded.
TOO_LATE = ("application", "chdir", "pythonpath")

#: Settings that say what a master does.
FOR_MASTER = (
    "config",
    "workers",
    "worker_class",
    "reuse_port",
    "preload",
    "max_requests",
    "max_requests_jitter",
    "max_worker_age",
    "max_worker_memory",
    "timeout",
    "boot_timeout",
    "warmup_path",
)

LATE = (
    "the application was imported before gevent patched the standard library, and may hold functions that "
    "block every other request; to patch first: python -m gevent.monkey --module pyramid.scripts.pserve FILE"
)


def runner(wsgi_app: Callable[..., Any], global_conf: Mapping[str, str] | None, **settings: str) -> None:
    """Serve `wsgi_app` as the command does, until a signal ends it.

    `settings` are those of docs/settings.md as texts, and `host` and `port` in place of `bind`;
    `global_conf` is not read.  Raises ConfigError, ListenError.
    """
    config = build_config(settings)
    is_late = patch_late()

    # Imported behind the patch, as in greenserve.cli.
    from greenserve.observe.logs import ERROR_LOGGER
    from greenserve.process.worker import run_loading

    def load() -> Callable[..., Any]:
        if is_late:
            from logging import getLogger

            getLogger(ERROR_LOGGER).warning(LATE)
        return wsgi_app

    run_loading(load, config)


def build_config(settings: Mapping[str, str]) -> Config:
    """Return the settings of a server section.  Raises ConfigError."""
    from greenserve.config import Config

    for name in TOO_LATE:
        if name in settings:
            raise ConfigError(name, settings[name], "the application has been loaded already")
    for name in FOR_MASTER:
        if name in settings:
            raise ConfigError(name, settings[name], "only the command has workers")
    own = {name: value for name, value in settings.items() if name not in ("host", "port")}
    if len(own) < len(settings):
        if "bind" in own:
            raise ConfigError("bind", own["bind"], "host and port are given, too")
        host, port = settings.get("host", HOST), settings.get("port", PORT)
        # One after the other, so that the error names what was given.
        check_address("host", host, join_address(host, PORT))
        check_address("port", port, join_address(host, port))
        own["bind"] = join_address(host, port)
    return Config.from_keywords(**own)


def check_address(name: str, value: str, address: str) -> None:
    """Raise ConfigError about the setting `name` if `address`, made with its `value`, cannot be one."""
    from greenserve.net.address import parse_address

    try:
        parse_address(address)
    except ConfigError as error:
        raise ConfigError(name, value, error.reason) from None


def join_address(host: str, port: str) -> str:
    """Return what `bind` takes for a host, which may be an IPv6 address without its brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def patch_late() -> bool:
    """Patch the standard library unless that was done before; return whether it had to be done."""
    from greenserve.patching import is_patched, patch

    if is_patched():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # gevent's: our log has a line for it
        patch()
    return True

"""Generations: what the workers of one reload have in common, and reading the settings again.

A reload makes a new generation; its workers are started beside those of the old one, which end only when all
of the new ones are ready (`greenserve.process.crew`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from greenserve import importer
from greenserve.config import Config
from greenserve.config.hooks import Hooks
from greenserve.config.load import Loaded, config_from
from greenserve.errors import ConfigError
from greenserve.process import cpus
from greenserve.process.board import SEATS

#: A reload needs a seat for each of the old ones and of the new ones, and some leave slowly.
MOST_WORKERS = SEATS // 4

#: What a master is made with: a change needs a new one (USR2).
FIXED = (
    "backlog", "bind", "group", "pidfile", "preload", "reuse_port", "umask", "unix_mode", "unix_owner",
    "user", "worker_class",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where the settings come from; asked again at each reload, it reads the configuration file again."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    #: The current folder when the command was started.
    folder: str

    def read(self) -> Loaded:
        """Return the settings as they are now.  Raises ConfigError."""
        return config_from(self.argv, self.environ, self.folder)


@dataclass(eq=False)
class Generation:
    """The workers that were started with the same settings."""

    number: int
    config: Config
    hooks: Hooks
    folder: str
    #: How many of them there should be.
    wanted: int
    #: The application, where it is imported before the fork.
    application: Any = field(default=None, repr=False)
    #: What the operator calls the settings: in a worker, too, messages name them as they were given.
    names: Mapping[str, str] = field(default_factory=dict, repr=False)

    def load(self) -> Any:
        """Return the application.  Raises AppImportError, and ConfigError for its folder."""
        if self.application is not None:
            return self.application
        self.enter()
        return importer.load_application(self.config.application)

    def enter(self) -> None:
        """Go to the application's folder, anew: a link may lead somewhere else since the last reload."""
        folder = os.path.join(self.folder, self.config.chdir or "")
        try:
            os.chdir(folder)
            wanted = dict.fromkeys(map(os.path.abspath, (os.getcwd(), *self.config.pythonpath)))
        except OSError as error:
            raise ConfigError("chdir", folder, error.strerror or str(error)) from None
        sys.path[:] = [*wanted, *(entry for entry in sys.path if entry not in wanted)]

    def successor(self, loaded: Loaded, notice: Callable[[str], object]) -> Generation:
        """Return the next generation; what cannot be changed is mentioned in a `notice`, and stays."""
        old, new = self.config, loaded.config
        kept = {name: getattr(old, name) for name in FIXED if getattr(old, name) != getattr(new, name)}
        if kept:
            notice(f"changed, but not before an upgrade (USR2): {', '.join(kept)}")
        if old.preload:
            notice(
                "the application was preloaded: the new workers have the same code until an upgrade (USR2)"
            )
        config = replace(new, **kept)
        number = self.number + 1
        wanted = count(config)
        return Generation(number, config, loaded.hooks, self.folder, wanted, self.application, loaded.names)


def count(config: Config) -> int:
    """Return the number of workers that the settings ask for.  Raises ConfigError where they are too many."""
    wanted = cpus.available() if config.workers == "auto" else int(config.workers or 1)
    if wanted > MOST_WORKERS:
        raise ConfigError("workers", wanted, f"more than {MOST_WORKERS}")
    return wanted

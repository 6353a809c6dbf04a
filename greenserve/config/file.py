"""The configuration file: a Python file whose names are settings and hooks.

What it may import is up to it; its own folder is among the places while it is run.  A name that begins
with an underscore is its own business; so are modules, functions and classes, as long as no hook was
meant.
"""

from __future__ import annotations
import __future__

import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from types import FunctionType, ModuleType
from typing import Any

from greenserve.config.hooks import ARGUMENTS, Hooks, read_hooks
from greenserve.config.option import Option, convert_all, declared_options, unknown
from greenserve.config.sections import Config
from greenserve.errors import ConfigError

#: What the file finds as its ``__name__``, as under gunicorn.
MODULE = "__config__"

#: How near the name of a function has to be to that of a hook to be taken for a slip.
SLIP = 0.85


class ConfigFileError(ConfigError):
    """The configuration file cannot be used; `origin` is the traceback of its own frames, if it failed."""

    def __init__(self, path: str, reason: str, origin: str = "") -> None:
        super().__init__(path, None, reason)
        self.origin = origin

    def __str__(self) -> str:
        return f"{self.option}: {self.reason}"


def read_file(path: str, given_as: str = "config") -> tuple[dict[str, Any], Hooks]:
    """Return field name -> checked value, and the hooks, of the file at `path`.

    Raises ConfigError, under the name that the path was `given_as` if there is no such file.
    """
    path = os.path.abspath(path)
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise ConfigError(given_as, path, error.strerror or str(error)) from None
    names = {name: value for name, value in run_file(path, source).items() if not name.startswith("_")}
    hooks = {name: names.pop(name) for name in ARGUMENTS if name in names}
    known = {each.name: each for each in declared_options(Config)}
    settings = {name: names.pop(name) for name in known if name in names}
    refuse_others(path, names, known)
    try:
        return read_settings(path, settings, known), read_hooks(hooks)
    except ValueError as error:
        raise ConfigFileError(path, str(error)) from None


def read_settings(path: str, given: Mapping[str, object], known: Mapping[str, Option]) -> dict[str, Any]:
    """Return field name -> checked value.  Raises ConfigError that names the file."""
    if "config" in given:
        raise ConfigFileError(path, "config: one configuration file does not name another; import it")
    return convert_all(
        {f"{path}: {name}": value for name, value in given.items()},
        {f"{path}: {name}": option for name, option in known.items()},
    )


def refuse_others(path: str, names: Mapping[str, object], known: Mapping[str, Option]) -> None:
    """Raise ConfigFileError for a name that was meant as a setting or a hook, and is neither."""
    private = "(a name of the file's own begins with '_')"
    for name, value in names.items():
        if isinstance(value, (ModuleType, type, __future__._Feature)):
            continue
        if not callable(value):
            raise ConfigFileError(path, f"{name}: {unknown(name, [*known, *ARGUMENTS])} {private}")
        if is_from(value, path) and (near := get_close_matches(name, ARGUMENTS, n=1, cutoff=SLIP)):
            raise ConfigFileError(path, f"{name}: no such hook; did you mean {near[0]}? {private}")


def is_from(value: object, path: str) -> bool:
    """Whether `value` is a function that was defined in the file at `path`."""
    return isinstance(value, FunctionType) and value.__code__.co_filename == path


def run_file(path: str, source: bytes) -> dict[str, Any]:
    """Return the names that the file has after it was run.  Raises ConfigFileError if it fails."""
    module = ModuleType(MODULE)
    module.__file__ = path
    sys.modules[MODULE] = module  # dataclasses look it up
    with importing_from(os.path.dirname(path)):
        try:
            exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
        except (Exception, SystemExit) as error:
            reason = f"it failed with {type(error).__name__}"
            raise ConfigFileError(path, reason, own_traceback(error)) from None
    return vars(module)


@contextmanager
def importing_from(folder: str) -> Iterator[None]:
    """Have `folder` come first among the places that modules are imported from."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def own_traceback(error: BaseException) -> str:
    """Return the traceback of what the file raised, from the file's first frame on."""
    frames = error.__traceback__ and error.__traceback__.tb_next  # the first one is run_file's
    return "".join(traceback.format_exception(type(error), error, frames))

"""option(): one declaration of a setting, from which everything else derives.

The field ``keepalive_timeout`` gives the flag ``--keepalive-timeout``, the variable
``GREENSERVE_KEEPALIVE_TIMEOUT``, the keyword of the library call, and the rows in ``--help`` and
docs/settings.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from greenserve.config.convert import Converter
from greenserve.errors import ConfigError

T = TypeVar("T")

PREFIX = "GREENSERVE_"


@dataclass(frozen=True)
class Option:
    """One setting as it was declared; `name` is that of its field."""

    default: Any
    converter: Converter[Any]
    help: str
    metavar: str
    flags: tuple[str, ...]
    positional: bool
    name: str = ""

    @property
    def flag(self) -> str:
        """The long flag; a positional one is known by its name."""
        return self.name if self.positional else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, a flag without a value."""
        return isinstance(self.default, bool)

    @property
    def shown_default(self) -> str:
        """The default as text; "" when there is none."""
        return self.converter.show(self.default)

    def convert(self, value: object, given_as: str) -> Any:
        """Return the checked value.  Raises ConfigError that names the setting as it was `given_as`."""
        try:
            return self.converter.read(value)
        except ValueError as error:
            # A flag that may be repeated, and was not, has a list all the same.
            shown = value[0] if isinstance(value, list) and len(value) == 1 else value
            raise ConfigError(given_as, shown, str(error)) from None


def option(
    default: T,
    converter: Converter[T],
    help: str,
    *,
    metavar: str = "",
    flags: tuple[str, ...] = (),
    positional: bool = False,
) -> T:
    """Declare a setting as a field of a section; to the type checker it is its default.

    `help` is one sentence with the unit and what the default means.  `flags` are short ones beside the
    long flag.
    """
    declared = Option(default, converter, help, metavar or converter.metavar, flags, positional)
    return field(default=default, metadata={"option": declared})


def declared_options(section: type) -> Iterator[Option]:
    """Yield the options of a section (or of the whole Config), in the order of their declaration."""
    for each in fields(section):
        yield replace(each.metadata["option"], name=each.name)


def convert_all(given: Mapping[str, object], known: Mapping[str, Option]) -> dict[str, Any]:
    """Return field name -> checked value for one source, whose names (flags, variables, keywords) lead to
    options.

    Raises ConfigError for a value that its setting cannot have, and for a name that is not `known`.
    """
    values = {}
    for name, value in given.items():
        if name not in known:
            raise ConfigError(name, value, unknown(name, known))
        values[known[name].name] = known[name].convert(value, name)
    return values


def unknown(name: str, known: Iterable[str]) -> str:
    """Return the reason for refusing a name that no setting has, with the names that are near it."""
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    return "no such setting" + (f"; did you mean {' or '.join(near)}?" if near else "")

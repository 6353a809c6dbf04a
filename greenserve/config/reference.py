"""Config -> docs/settings.md: ``python -m greenserve.config.reference > docs/settings.md``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from greenserve.config.load import flags_of
from greenserve.config.option import Option, declared_options
from greenserve.config.sections import SECTIONS

WIDTH = 110

INTRODUCTION = """\
# Settings

<!-- Generated from the sections in greenserve/config by `make docs`; do not edit. -->

A setting has one name and one meaning wherever it comes from:

- as a keyword of the library call: `WSGIServer(listener, app, keepalive_timeout=75)`;
- as a flag of the command: `greenserve app:app --keepalive-timeout 75`;
- as an environment variable of the command: `GREENSERVE_KEEPALIVE_TIMEOUT=75`;
- as a name in the Python file that `--config` names: `keepalive_timeout = 75`.

The flag wins over the variable, the variable over the file, and that over the default. A name that no setting
has, or a value that a setting cannot have, is an error in each of the four. The file, and the hooks that it
may define, are described in [configuration-file.md](configuration-file.md).

- Durations are seconds, with or without a fraction; `ms`, `s`, `m` and `h` are understood: `90`, `1.5m`.
- Sizes are octets; `k`, `m` and `g` stand for 1024, 1024² and 1024³ octets: `65536`, `64k`.
- Switches are pairs of flags, such as `--buffer-chunked` and `--no-buffer-chunked`; a variable says `yes` or
  `no` (also `true`, `on`, `1` and `false`, `off`, `0`).
- A setting with several values is given by repeating the flag, or as one text with the separator that its
  description names; in the file it is a list. A source replaces the one before, it does not add to it.
- Where there is no default, an empty text stands for "not given". The argument of the command is left out
  for that: an empty one is refused."""


def render_reference() -> str:
    """Return docs/settings.md."""
    parts = [INTRODUCTION]
    for section in SECTIONS:
        parts.extend(render_section(section))
    return "\n\n".join(parts) + "\n"


def render_section(section: type) -> Iterator[str]:
    """Yield the heading, the introduction and the settings of a section."""
    title, _, introduction = (section.__doc__ or "").partition(".")
    yield f"## {title}"
    if words := " ".join(introduction.split()):
        yield textwrap.fill(words, WIDTH)
    for each in declared_options(section):
        yield render_option(each)


def render_option(option: Option) -> str:
    """Return the entry of one setting: its names, its default, its meaning."""
    flags = [f"{flag} {option.metavar}".rstrip() for flag in flags_of(option)] or [
        "the argument of the command"
    ]
    names = ", ".join(f"`{name}`" if name.startswith("-") else name for name in flags)
    default = f"`{option.shown_default}`" if option.shown_default else "none"
    return (
        f"### {option.name}\n\n"
        f"{names}, `{option.variable}`. Default: {default}.\n\n"
        f"{textwrap.fill(option.help, WIDTH, break_on_hyphens=False)}"
    )


if __name__ == "__main__":
    print(render_reference(), end="")

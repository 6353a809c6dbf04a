"""defaults < file < environment < command line < keywords: the sources of a Config, the later ones winning.

Each source is turned into checked values by `convert_all`, under the names that the operator used
there; names that no setting has are errors everywhere.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from argparse import SUPPRESS, Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from greenserve.config.file import read_file
from greenserve.config.hooks import Hooks
from greenserve.config.option import PREFIX, Option, convert_all, declared_options, unknown
from greenserve.config.sections import SECTIONS, Config
from greenserve.errors import ConfigError

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

DESCRIPTION = """\
Serve a WSGI application over HTTP with gevent.

  greenserve app:app                       the callable app in the module app
  greenserve pkg.site:make_app("live")     what a factory returns
  greenserve path/to/file.py -b :8080      a file, on every interface"""

EPILOG = """\
The default is in brackets. Each flag has an environment variable, such as
GREENSERVE_BACKLOG for --backlog, and a name in the file that --config names;
the flag wins over the variable, and that over the file."""

VARIABLE = PREFIX + "CONFIG"

#: What Kubernetes puts into every container next to a service that is called greenserve; not ours to judge.
SERVICE_LINK = re.compile(
    PREFIX + r"(SERVICE_(HOST|PORT(_\w+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class CommandLineError(ConfigError):
    """The command line cannot be read: a flag that is not known, or has no value."""

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(argument, None, reason)

    def __str__(self) -> str:
        return f"{self.option}: {self.reason}" if self.option else self.reason


class Loaded(NamedTuple):
    """What the sources say: the settings, the hooks, the names of the settings that were `given`, and
    field name -> what the operator calls it.
    """

    config: Config
    hooks: Hooks
    given: frozenset[str]
    names: Mapping[str, str]


def load_config(
    argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None, **keywords: object
) -> Config:
    """Return the settings from `argv` (default: sys.argv), `environ` (os.environ) and `keywords`.

    The configuration file that one of them names is read, too.  Raises ConfigError; ``--help`` and
    ``--version`` print their answer and raise SystemExit.
    """
    return config_from(sys.argv[1:] if argv is None else argv, environ, keywords=keywords).config


def config_from(
    argv: Sequence[str],
    environ: Mapping[str, str] | None = None,
    folder: str = "",
    keywords: Mapping[str, object] | None = None,
) -> Loaded:
    """Return what the sources say now; called again with the same arguments, the file is read again.

    `folder` is where a relative path of the configuration file begins: the one that was current when the
    command started, whatever --chdir has said since.  Raises as `load_config` does.
    """
    # The command line comes first: --help is answered even if a variable is wrong.
    from_argv = command_line_values(argv)
    from_environ = environment_values(os.environ if environ is None else environ)
    from_keywords = convert_all(keywords or {}, {each.name: each for each in declared_options(Config)})
    given = {**from_environ, **from_argv, **from_keywords}
    from_file: dict[str, Any] = {}
    hooks = Hooks()
    if given.get("config") is not None:
        given["config"] = os.path.abspath(os.path.join(folder, given["config"]))
        from_file, hooks = read_file(given["config"], "--config" if "config" in from_argv else VARIABLE)
    names = {**names_as_given(argv, environ, from_file), **{name: name for name in keywords or {}}}
    given = {**from_file, **given}
    try:
        return Loaded(Config(**given), hooks, frozenset(given), names)
    except ConfigError as error:
        raise error.renamed(names) from None


def names_as_given(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    from_file: Collection[str] = (),
) -> dict[str, str]:
    """Return field name -> what the operator calls the setting, from what `load_config` has accepted.

    That is its variable or its name in the file where it was given by that alone, else its flag.
    """
    flags, _ = build_parser().parse_known_args(argv)
    variables = os.environ if environ is None else environ
    names = {}
    for each in declared_options(Config):
        names[each.name] = each.name if each.name in from_file else each.flag
        if each.name in flags:
            names[each.name] = each.flag
        elif each.variable in variables:
            names[each.name] = each.variable
    return names


def environment_values(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return field name -> value for the GREENSERVE_ variables.  Raises ConfigError."""
    given = {name: value for name, value in environ.items() if is_ours(name, value)}
    return convert_all(given, {each.variable: each for each in declared_options(Config)})


def is_ours(name: str, value: str) -> bool:
    """Whether a variable was meant as a setting of ours.

    A GREENSERVE_PORT is a service link only with an address as its value: with a number it is
    somebody's mistake.
    """
    if not name.startswith(PREFIX):
        return False
    if name == PREFIX + "PORT":
        return "://" not in value
    return not SERVICE_LINK.fullmatch(name)


def command_line_values(argv: Sequence[str]) -> dict[str, Any]:
    """Return field name -> value for the arguments of the command.  Raises ConfigError."""
    parsed, rest = build_parser().parse_known_args(argv)
    if rest:
        refuse_argument(rest, parsed)
    if getattr(parsed, "application", None) == "":
        # From "$APP" without a value: another application than the one that was meant might be found.
        raise CommandLineError("application", "empty; leave the argument out to have one looked for")
    options = {each.name: each for each in declared_options(Config)}
    return convert_all(
        {options[name].flag: value for name, value in vars(parsed).items()},
        {each.flag: each for each in options.values()},
    )


def refuse_argument(rest: Sequence[str], parsed: Namespace) -> NoReturn:
    """Raise CommandLineError for the first argument that was not understood."""
    # What follows an unknown flag may be its value: the flag is to blame.
    unread = next((argument for argument in rest if argument.startswith("-") and argument != "--"), None)
    if unread is None:
        raise CommandLineError(rest[-1], f"the application is {parsed.application!r} already")
    name = unread.partition("=")[0]
    flags = [flag for each in declared_options(Config) for flag in flags_of(each)]
    raise CommandLineError(name, unknown(name, flags))


class Parser(ArgumentParser):
    """argparse with errors that are raised, not printed below the usage."""

    def error(self, message: str) -> NoReturn:
        argument, colon, reason = message.removeprefix("argument ").partition(": ")
        raise CommandLineError(argument, reason) if colon else CommandLineError("", message)


class Switch(Action):
    """Store yes for the flag of a switch, and no for its opposite."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: object, option_string: str | None = None
    ) -> None:
        setattr(namespace, self.dest, "no" if (option_string or "").startswith("--no-") else "yes")


class ShowVersions(Action):
    """Print the versions that matter for a bug report, and end."""

    def __call__(self, parser: ArgumentParser, *ignored: object) -> NoReturn:
        print(versions())
        parser.exit()


def versions() -> str:
    """Return the versions of greenserve, gevent, greenlet and Python in one line."""
    from importlib.metadata import version  # slow to import, and wanted here only
    from platform import python_implementation, python_version

    from greenserve import __version__

    below = [f"{name} {version(name)}" for name in ("gevent", "greenlet")]
    return ", ".join([f"greenserve {__version__}", *below, f"{python_implementation()} {python_version()}"])


def build_parser() -> Parser:
    """Return the parser of the command; what it finds are texts, and only those that were given."""
    parser = Parser(
        prog="greenserve",
        usage="greenserve [options] [APPLICATION]",
        description=DESCRIPTION,
        epilog=EPILOG,
        add_help=False,
        allow_abbrev=False,
        argument_default=SUPPRESS,
        formatter_class=partial(RawDescriptionHelpFormatter, max_help_position=30),
    )
    for section in SECTIONS:
        title, _, introduction = (section.__doc__ or "").partition(".")
        group = parser.add_argument_group(title, textwrap.fill(" ".join(introduction.split()), 78) or None)
        for each in declared_options(section):
            add_option(group, each)
    group = parser.add_argument_group("Information")
    group.add_argument("-h", "--help", action="help", help="Show this text.")
    group.add_argument(
        "--version", action=ShowVersions, nargs=0, help="Show the versions of greenserve and its basis."
    )
    return parser


def add_option(group: _ArgumentGroup, option: Option) -> None:
    """Add the flags of one option to the group of its section."""
    explained = help_of(option).replace("%", "%%")
    if option.positional:
        group.add_argument(option.name, nargs="?", metavar=option.metavar, help=explained)
    elif option.is_switch:
        group.add_argument(*flags_of(option), dest=option.name, action=Switch, nargs=0, help=explained)
    else:
        action = "append" if option.converter.repeatable else "store"
        group.add_argument(
            *flags_of(option), dest=option.name, action=action, metavar=option.metavar, help=explained
        )


def flags_of(option: Option) -> tuple[str, ...]:
    """Return the flags of an option: the short ones, the long one, and the opposite of a switch."""
    if option.positional:
        return ()
    return (*option.flags, option.flag, *(["--no-" + option.flag[2:]] if option.is_switch else []))


def help_of(option: Option) -> str:
    """Return the help of an option with its default behind it."""
    return f"{option.help} [{option.shown_default}]" if option.shown_default else option.help

"""``manage.py greenserve``: the command ``greenserve`` for the application of the Django project."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import NoReturn

from django.conf import settings  # type: ignore[import-untyped]  # Django has no annotations
from django.core.management.base import BaseCommand  # type: ignore[import-untyped]

from greenserve.contrib import become_command

#: What is served when WSGI_APPLICATION is None.
WITHOUT_WSGI_MODULE = "django.core.wsgi:get_wsgi_application()"


class Command(BaseCommand):  # type: ignore[misc]  # a class without annotations
    """Replaces the process, so that gevent patches before Django is imported."""

    help = "Serves the project with greenserve, to which all arguments are passed on."

    def run_from_argv(self, argv: Sequence[str]) -> NoReturn:
        """Become the command with the arguments behind ``manage.py greenserve``."""
        for name, value in defaults_for(argv[0]).items():
            os.environ.setdefault(name, value)
        become_command([target(), *own_arguments(argv[2:])])

    def print_help(self, prog_name: str, subcommand: str) -> NoReturn:
        """Become the command, to answer ``manage.py help greenserve``: its flags are not Django's."""
        become_command(["--help"])


def target() -> str:
    """Return the application of the project as the importer names it."""
    if settings.WSGI_APPLICATION is None:
        return WITHOUT_WSGI_MODULE
    module, _, name = settings.WSGI_APPLICATION.rpartition(".")
    return f"{module}:{name}"


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """Return `arguments` without ``--settings``, which Django has put into the environment already."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    return parser.parse_known_args(arguments)[1]


def defaults_for(program: str) -> dict[str, str]:
    """Return settings by their variables, over which those of the operator win.

    The project is imported from the folder of its manage.py, but from the current one when `program` is
    django-admin.  Without CONTENT_LENGTH Django takes a chunked body for an empty one.
    """
    defaults = {"GREENSERVE_BUFFER_CHUNKED": "yes"}
    folder, file = os.path.split(os.path.realpath(program))  # as Python itself finds the folder of a script
    if file.endswith(".py") and file != "__main__.py":
        defaults["GREENSERVE_CHDIR"] = folder
    return defaults

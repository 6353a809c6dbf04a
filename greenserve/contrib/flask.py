"""``flask greenserve``: the command ``greenserve`` for the application that Flask was told of."""

from __future__ import annotations

import os

import click
from flask.cli import ScriptInfo, pass_script_info

from greenserve.contrib import become_command


@click.command(
    "greenserve",
    short_help="Serve with greenserve.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_script_info
def command(info: ScriptInfo, arguments: tuple[str, ...]) -> None:
    """Serve the application with greenserve, to which all ARGUMENTS are passed on.

    Without ``--app`` it is looked for as Flask does.
    """
    if info.app_import_path:
        os.environ["FLASK_APP"] = info.app_import_path
        # It would win over FLASK_APP, which may be an option of `flask` here.
        os.environ.pop("GREENSERVE_APPLICATION", None)
    become_command(arguments)

"""The command ``greenserve``: argv -> Config -> run.

Nothing but the standard library's start-up modules is imported before gevent has patched it, so the
imports are inside the functions.  Exit statuses: 0 stopped, 1 no listener, 2 wrong settings, 4 no
application, 130 interrupted before the start.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os import O_RDWR, chdir, devnull, fstat, getcwd, path
from os import open as os_open


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: sys.argv) and return its exit status."""
    try:
        keep_standard_descriptors()

        from greenserve.patching import patch

        patch()
        return run_command(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return fail("interrupted before the start", status=130)


def keep_standard_descriptors() -> None:
    """Open the null device where 0, 1 or 2 is closed, or somebody's socket would get the log lines."""
    for number in (0, 1, 2):
        try:
            fstat(number)
        except OSError:  # noqa: PERF203  (three times)
            os_open(devnull, O_RDWR)  # the lowest free number, which is this one


def run_command(argv: Sequence[str]) -> int:
    """Return the exit status of the server, or of what kept it from starting, having said what that was."""
    from greenserve.errors import AppImportError, ConfigError, GreenserveError

    try:
        return start(argv)
    except ConfigError as error:
        return fail(str(error), status=2)
    except AppImportError as error:
        return fail(str(error), error.origin, status=4)
    except GreenserveError as error:
        return fail(str(error), status=1)


def start(argv: Sequence[str]) -> int:
    """Serve what `argv` asks for and return the exit status.  Raises GreenserveError."""
    from greenserve.config import load_config

    try:
        config = load_config(argv)
    except SystemExit:  # --help or --version, answered
        return 0
    import_first(enter(config.chdir or "."), *config.pythonpath)

    from greenserve.process.worker import run

    return run(config)


def enter(folder: str) -> str:
    """Make `folder` the current one and return its path.  Raises ConfigError when that is not possible."""
    from greenserve.errors import ConfigError

    try:
        chdir(folder)
        return getcwd()
    except OSError as error:
        raise ConfigError("--chdir", folder, error.strerror or str(error)) from None


def import_first(*folders: str) -> None:
    """Put `folders`, in their order, before all others that modules are imported from."""
    wanted = list(dict.fromkeys(path.abspath(folder) for folder in folders))
    sys.path[:] = wanted + [entry for entry in sys.path if entry not in wanted]


def fail(message: str, origin: str = "", *, status: int) -> int:
    """Print why the command ends, with the application's own traceback if it has a part in it; return
    `status`.
    """
    print(f"greenserve: error: {message}", file=sys.stderr)
    if origin:
        print(origin.rstrip("\n"), file=sys.stderr)
    return status

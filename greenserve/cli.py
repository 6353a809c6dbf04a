"""The command ``greenserve``: argv -> Config -> run.

Nothing but the standard library's start-up modules is imported before gevent has patched it, so the
imports are inside the functions.  Exit statuses: 0 stopped, 1 no listener, 2 wrong settings, 4 no
application, 130 interrupted before the start.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os import O_RDWR, chdir, devnull, environ, fstat, getcwd, path, set_inheritable
from os import open as os_open
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenserve.config.load import Loaded
    from greenserve.process.reload import Source
    from greenserve.process.upgrade import Heritage


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: sys.argv) and return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        keep_standard_descriptors()
        if not may_ask_for_master(argv):
            from greenserve.patching import patch

            patch()
        return run_command(argv)
    except KeyboardInterrupt:
        return fail("interrupted before the start", status=130)


def may_ask_for_master(argv: Sequence[str]) -> bool:
    """Whether workers, or a file that may want some, seem to be asked for: a master is not patched.

    The settings themselves are known too late for that.
    """
    flags = ("-w", "-c", "--workers", "--config")
    return any(each.startswith(flags) for each in argv) or any(
        name in environ for name in ("GREENSERVE_WORKERS", "GREENSERVE_CONFIG")
    )


def keep_standard_descriptors() -> None:
    """Open the null device where 0, 1 or 2 is closed, or somebody's socket would get the log lines."""
    for number in (0, 1, 2):
        try:
            fstat(number)
        except OSError:  # noqa: PERF203  (three times)
            os_open(devnull, O_RDWR)  # the lowest free number, which is this one
            set_inheritable(number, True)  # for the programs that the application starts


def run_command(argv: Sequence[str]) -> int:
    """Return the exit status of the server, or of what kept it from starting, having said what that was."""
    from greenserve.errors import GreenserveError

    try:
        return start(argv)
    except GreenserveError as error:
        from greenserve.process.failure import Failure

        failure = Failure.of(error)
        return fail(failure.message, failure.origin, status=failure.status)


def start(argv: Sequence[str]) -> int:
    """Serve what `argv` asks for and return the exit status.  Raises GreenserveError."""
    from greenserve.errors import ConfigError
    from greenserve.process.reload import Source
    from greenserve.process.upgrade import Heritage

    heritage = Heritage.take(environ)
    source = Source(argv, dict(environ), getcwd())
    try:
        loaded = source.read()
    except SystemExit:  # --help or --version, answered
        return 0
    try:
        return serve(source, loaded, heritage)
    except ConfigError as error:
        raise error.renamed(loaded.names) from None


def serve(source: Source, loaded: Loaded, heritage: Heritage) -> int:
    """Serve with workers, or without; return the exit status.  Raises GreenserveError."""
    from dataclasses import replace

    config = loaded.config
    import_first(enter(config.chdir or "."), *config.pythonpath)
    if config.workers is not None:
        from greenserve.process.master import run as run_master

        return run_master(source, loaded, heritage)

    from greenserve.patching import is_patched, patch

    if not is_patched():
        patch()  # there could have been workers, and there are none

    from greenserve.process.worker import run

    bind = heritage.choose_bind(config.bind, "bind" in loaded.given, warn)
    return run(replace(config, bind=bind), loaded.hooks)


def enter(folder: str) -> str:
    """Make `folder` the current one and return its path.  Raises ConfigError when that is not possible."""
    from greenserve.errors import ConfigError

    try:
        chdir(folder)
        return getcwd()
    except OSError as error:
        raise ConfigError("chdir", folder, error.strerror or str(error)) from None


def import_first(*folders: str) -> None:
    """Put `folders`, in their order, before all others that modules are imported from."""
    wanted = list(dict.fromkeys(path.abspath(folder) for folder in folders))
    sys.path[:] = wanted + [entry for entry in sys.path if entry not in wanted]


def warn(message: str) -> None:
    """Print what the operator should know before there is a log."""
    print(f"greenserve: {message}", file=sys.stderr)


def fail(message: str, origin: str = "", *, status: int) -> int:
    """Print why the command ends, with the application's own traceback if it has a part in it; return
    `status`.
    """
    print(f"greenserve: error: {message}", file=sys.stderr)
    if origin:
        print(origin.rstrip("\n"), file=sys.stderr)
    return status

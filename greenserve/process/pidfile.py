"""The file that holds the number of the process to send signals to."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from greenserve.errors import ConfigError

#: The name of the command and of the module, and how titles begin.
OURS = b"greenserve"

LARGEST_FILE = 64  # octets that are read of a file that may be anybody's


class Pidfile:
    """One such file; `path` is absolute, so that a change of the folder does not move it."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def create(self) -> None:
        """Write the number of this process, in place of a file that a dead process left.

        Raises ConfigError where one of ours is alive, where the file is something else, and where it
        cannot be written.
        """
        try:
            owner = self.read()
            if owner is not None and is_alive(owner):
                raise ConfigError("pidfile", self.path, f"process {owner} is running already")
            self._write()
        except ValueError:
            raise ConfigError("pidfile", self.path, "there is a file that holds no process number") from None
        except OSError as error:
            raise ConfigError("pidfile", self.path, error.strerror or str(error)) from None

    def remove(self) -> None:
        """Remove the file if it is this process's; a forked child, and one that was overtaken, leave it."""
        with suppress(OSError, ValueError):
            if self.read() == os.getpid():
                os.unlink(self.path)

    def rename(self, path: str) -> None:
        """Move the file to `path` if it is this process's, and know it by that name.

        Raises OSError where that is not possible; the file is then where it was.
        """
        path = os.path.abspath(path)
        with suppress(ValueError, FileNotFoundError):
            if self.read() == os.getpid():
                os.rename(self.path, path)
        self.path = path

    def read(self) -> int | None:
        """Return the number in the file, None where there is no file or nothing in it.

        Raises ValueError for a file that holds something else, and OSError.
        """
        try:
            if stat.S_IFMT(os.stat(self.path).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(self.path)  # /dev/null would be replaced, and a pipe never opened
            with open(self.path, "rb") as file:
                content = file.read(LARGEST_FILE).strip()
        except FileNotFoundError:
            return None
        if not content:
            return None  # a crash before the octets were on the disk
        if not content.isdigit():
            raise ValueError(content)
        return int(content)

    def _write(self) -> None:
        """Write a file beside it and move that into place: a reader finds a whole number or none."""
        beside = f"{self.path}.{os.getpid()}"
        with suppress(FileNotFoundError):
            os.unlink(beside)  # of an earlier process with this number
        fileno = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(fileno, b"%d\n" % os.getpid())
            os.rename(beside, self.path)
        except OSError:
            os.unlink(beside)
            raise
        finally:
            os.close(fileno)


def is_alive(pid: int) -> bool:
    """Whether `pid` is another living process of ours, or may be one.

    In a container a number comes again at each start, and elsewhere it may have gone to another program,
    so its command line is looked at; where that cannot be read, a living process counts.
    """
    if pid in (0, os.getpid()):
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    arguments = command_line(str(pid))
    return arguments is None or is_ours(arguments)


def is_ours(arguments: list[bytes]) -> bool:
    """Whether a process with these arguments is a greenserve, or was started as this process was."""
    if any(os.path.basename(each) == OURS or each.startswith(OURS + b": ") for each in arguments):
        return True
    own = command_line("self") or []
    if len(own) > 1 and not own[1].startswith(b"-"):
        return arguments[:2] == own[:2]  # a script of somebody's that starts us, whatever its options
    return arguments == own


def command_line(process: str) -> list[bytes] | None:
    """Return the arguments of a process, an empty one for a zombie; None where nobody says."""
    try:
        return Path("/proc", process, "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return None

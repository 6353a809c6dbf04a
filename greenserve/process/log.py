"""The master's log: the error log of its workers, written without a lock, a thread or an event loop.

It stays usable after gevent has patched the process, and whoever has stopped reading it does not stop the
master.
"""

from __future__ import annotations

import os
from contextlib import suppress
from select import PIPE_BUF, POLLOUT, poll
from time import monotonic

from greenserve.errors import ConfigError
from greenserve.observe.logs import StreamLog, escape_lines

FILE_MODE = 0o640  # logs name people

#: Seconds that one record may wait for its reader.
PATIENCE = 0.1

STANDARD_ERROR = 2


class LogStream:
    """Where the lines go: a path that is appended to, or "-" for the standard error."""

    def __init__(self, target: str, owner: tuple[int, int] = (-1, -1)) -> None:
        self.target = target
        self.owner = owner
        self.dropped = 0
        self._fileno = STANDARD_ERROR
        self.reopen()

    def reopen(self) -> None:
        """Go on in a new file of the same path.  Raises ConfigError, and goes on with the old one."""
        if self.target in ("-", "stderr"):
            return
        try:
            new = open_to_append(self.target, self.owner)
        except OSError as error:
            raise ConfigError("error_log", self.target, error.strerror or str(error)) from None
        self.close()
        self._fileno = new

    def close(self) -> None:
        """Close the file; the standard error stays open."""
        if self._fileno != STANDARD_ERROR:
            os.close(self._fileno)
            self._fileno = STANDARD_ERROR

    def write(self, text: str) -> None:
        """Write `text`, or as much of it as its reader takes in time."""
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        deadline = monotonic() + PATIENCE
        with suppress(OSError):
            while rest:
                if not self._is_writable(deadline):
                    self.dropped += 1
                    return
                # A pipe that is writable takes this much at once (pipe(7)).
                rest = rest[os.write(self._fileno, rest[:PIPE_BUF]) :]

    def _is_writable(self, deadline: float) -> bool:
        waiting = poll()
        waiting.register(self._fileno, POLLOUT)
        return bool(waiting.poll(max(0.0, deadline - monotonic()) * 1000))


def open_to_append(path: str, owner: tuple[int, int]) -> int:
    """Return a descriptor; the file is given to `owner`, who may have to open it again.  Raises OSError."""
    fileno = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    if owner != (-1, -1) and os.fstat(fileno).st_size == 0:
        with suppress(OSError):  # not ours to give away, and perhaps theirs already
            os.fchown(fileno, *owner)
    return fileno


class MasterLog(StreamLog):
    """An error log whose records may have a `text` of several lines below them."""

    stream: LogStream

    def __init__(self, target: str, level: str, owner: tuple[int, int] = (-1, -1)) -> None:
        super().__init__(LogStream(target, owner), level)

    def error(self, message: str, /, *args: object, text: str = "") -> None:
        super().error(message, *args)
        if text:
            # Indented: no line of it can pass for another record.
            lines = escape_lines(text).splitlines()
            self.stream.write("".join([f"    {line}\n" for line in lines]))

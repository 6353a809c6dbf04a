"""An open descriptor to write to, waiting or not, whose errors are not exceptions.

Everything here is the interpreter's own, patched or not: it runs in native threads, and where no hub may be
made or entered.
"""

from __future__ import annotations

import io
import os
import select
import time
from collections.abc import Callable

from gevent.monkey import get_original

FILE_MODE = 0o640  # logs name people

_clock = time.monotonic
_poll = get_original("select", "poll")


class Output:
    """A descriptor of the caller, or a file that is appended to and closed here.

    Raises OSError where the file cannot be opened.
    """

    __slots__ = ("_file", "fileno")

    def __init__(self, target: int | str | os.PathLike[str]) -> None:
        self._file: io.FileIO | None = None
        if isinstance(target, int):
            self.fileno = target
        else:
            self._file = io.FileIO(target, "ab", opener=lambda path, flags: os.open(path, flags, FILE_MODE))
            self.fileno = self._file.fileno()

    def close(self) -> None:
        """Close the file; a descriptor stays the caller's."""
        if self._file is not None:
            self._file.close()
            self.fileno = -1  # the number may soon be somebody else's

    def write_waiting(self, data: bytes) -> memoryview:
        """Write all of `data`, however long that takes; return what an error has kept from being written."""
        rest = memoryview(data)
        while rest and (count := self._write_some(rest)) >= 0:
            rest = rest[count:]
            if not count:
                self._is_writable(1000)  # somebody has made it non-blocking
        return rest

    def write_until(self, deadline: float, data: bytes, pause: Callable[[], None]) -> memoryview:
        """Write `data` until `deadline`, never waiting but in `pause`; return what is left."""
        rest = memoryview(data)
        while rest:
            if self._is_writable(0):
                # A pipe that is writable takes this much at once (pipe(7)).
                count = self._write_some(rest[: select.PIPE_BUF])
                if count < 0:
                    break
                rest = rest[count:]
            elif _clock() >= deadline:
                break
            else:
                pause()
        return rest

    def _write_some(self, data: memoryview) -> int:
        """Return how many octets were taken; 0 where it would have to wait, -1 where nothing ever will be."""
        try:
            return os.write(self.fileno, data)
        except BlockingIOError:
            return 0
        except OSError:
            return -1

    def _is_writable(self, timeout_ms: int) -> bool:
        """Whether a write would not wait: one that fails does not, either."""
        poll = _poll()
        poll.register(self.fileno, select.POLLOUT)
        return bool(poll.poll(timeout_ms))

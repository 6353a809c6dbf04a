"""What a worker was doing that stands still, or that its C code has brought down: Python's own stacks.

In the child, SIGABRT makes `faulthandler` write the stacks of all threads into a pipe, whatever the process
is doing.  Then a handler in Python, which comes to run unless C code computes, adds the request that the main
thread has in hand.  The same pipe gets the stacks of a segmentation fault.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

#: Ends what the handler in Python writes: nothing more will come.
END = b"\0"

#: Octets of a report that are kept; stacks beyond belong to more threads than anybody reads of.
LARGEST_REPORT = 1 << 18

#: Lines that say nothing about the application.
NOISE = ("Fatal Python error: Aborted", "Extension modules:")


class StackWriter:
    """Writes to `pipe` when SIGABRT comes; then `on_abort` is called."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe
        self.on_abort: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Be ready for the signal from now on."""
        # In this order: faulthandler calls what it has replaced, and replaces nothing while it is on.
        faulthandler.disable()
        signal.signal(signal.SIGABRT, self._on_signal)
        faulthandler.enable(file=self.pipe, all_threads=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        request = request_in(frame)
        with suppress(OSError):
            os.write(self.pipe, (f"serving {request}\n" if request else "").encode("latin-1", "replace"))
        try:
            self.on_abort()
        finally:
            with suppress(OSError):
                os.write(self.pipe, END)
            self.install()  # faulthandler handles it once


def request_in(frame: FrameType | None) -> str:
    """Return the request that a frame, or one that has called it, has in hand; "" where none has."""
    while frame is not None:
        environ = frame.f_locals.get("environ")
        if isinstance(environ, dict) and "REQUEST_METHOD" in environ:
            target = environ.get("RAW_URI") or environ.get("PATH_INFO", "")
            return f"{environ['REQUEST_METHOD']} {target} from {environ.get('REMOTE_ADDR') or 'unix'}"
        frame = frame.f_back
    return ""


def calls_to(frame: FrameType | None) -> str:
    """Return the calls that have led to a frame, the most recent one first, as `faulthandler` writes them."""
    lines = []
    while frame is not None:
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}\n')
        frame = frame.f_back
    return "".join(lines)


class Report:
    """What the master has read of one worker's pipe."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def __bool__(self) -> bool:
        return bool(self._octets)

    @property
    def is_complete(self) -> bool:
        """Whether nothing more will come."""
        return END in self._octets

    def add(self, octets: bytes) -> None:
        """Add what has arrived."""
        self._octets += octets[: LARGEST_REPORT - len(self._octets)]

    def take(self) -> str:
        """Return what there is as text, the request first; the report is empty then."""
        lines = bytes(self._octets).replace(END, b"").decode("utf-8", "replace").splitlines()
        self._octets.clear()
        serving = [line for line in lines if line.startswith("serving ")]
        rest = [line for line in lines if line and not line.startswith(("serving ", *NOISE))]
        return "\n".join([*serving, *rest])

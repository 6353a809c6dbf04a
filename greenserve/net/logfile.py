"""A text stream for logs whose reader may stall, and whose writers never wait for it.

    write() -> a list -> once an interval, or when a batch is full: os.write() in a native thread

`write` appends to a list.  While there is something in it one native thread takes what has gathered and
writes it, batch after batch, in order, and ends when nothing more comes: a full pipe stops that thread and
nothing else.  Up to `limit` characters wait meanwhile; lines beyond that are dropped and counted, and the
count is written as a line of its own once the reader goes on.

The thread is not one of the hub's pool: while all of those are busy, asking for one makes the writer wait.
It needs no hub, so it works before a hub runs, in any thread, and in a process that never has one.  What is
left when the interpreter exits is written then, for a bounded time.  Nothing is made before the first
write, and nothing that waits here is written twice after a fork: it stays with the parent.
"""

from __future__ import annotations

import atexit
import os
import signal
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent._hub_local import get_hub_if_exists  # the one way to ask without making one
from gevent.monkey import get_original

from greenserve.net.output import Output

#: Seconds between two writes: what a line may be late, and what a busy log is written in pieces of.
WRITE_INTERVAL = 0.05

#: Characters that are written without waiting for the interval to end.
BATCH_SIZE = 1 << 16

#: Characters that wait at most while the reader stalls.
WAITING_LIMIT = 4 << 20

#: Seconds that the rest of a log may take when it is closed, and when the interpreter exits.
CLOSE_TIMEOUT = 1.0

PAUSE = 0.01  # seconds between two looks while close() waits

# A signal that this thread took would not wake the main thread out of its loop to handle it.
_FOR_MAIN_THREAD = signal.valid_signals() - {
    signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV,
}  # fmt: skip

_clock = time.monotonic
_start_thread = get_original("_thread", "start_new_thread")
_allocate_lock = get_original("_thread", "allocate_lock")
_sleep = get_original("time", "sleep")

_files: weakref.WeakSet[LogFile] = weakref.WeakSet()


class LogFile:
    """A text stream, appended to a file or written to an open descriptor, that never blocks its writers.

    A descriptor stays the caller's.  A path is created with the mode 0640.  `limit` is in characters.
    Raises OSError where a path cannot be opened; writing raises nothing: a descriptor that is closed or
    whose reader has gone swallows its lines, and `dropped` counts them.
    """

    __slots__ = (
        "__weakref__", "_batch_size", "_closed", "_dropped", "_ending", "_gathered", "_held", "_limit",
        "_output", "_path", "_retired", "_threshold", "_turn", "_wake",
    )  # fmt: skip

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, target: int | str | os.PathLike[str], limit: int = WAITING_LIMIT) -> None:
        self._path = None if isinstance(target, int) else target
        self._output = Output(target)
        self._retired: list[Output] = []
        self._limit = limit
        self._batch_size = min(BATCH_SIZE, limit // 2)
        self._closed = False
        self._ending = False
        self._forget_everything()
        _files.add(self)

    def _forget_everything(self) -> None:
        self._gathered: list[str] = []
        self._held = 0  # characters in it, roughly: threads may write at the same time
        self._threshold = 0  # of them, above which there is something to decide
        self._dropped = 0
        self._turn: Any = _allocate_lock()  # held by whoever writes to the descriptor
        self._wake: Any = _allocate_lock()  # released when the writer should not wait any longer
        self._wake.acquire()

    def write(self, text: str) -> int:
        """Have `text` written soon; return its length."""
        size = len(text)
        self._gathered.append(text)
        self._held = held = self._held + size
        if held > self._threshold:
            self._decide(text)
        return size

    def writelines(self, lines: Iterable[str]) -> None:
        """Have all `lines` written soon, together."""
        self.write("".join(lines))

    def flush(self) -> None:
        """See to it that what was written is on its way.  Waits for nothing: see `close`."""
        if self._gathered and self._turn.acquire(False):
            self._start_writing()

    def write_now(self, timeout: float) -> None:
        """Write what is there from here, and wait until all is written, for at most `timeout` seconds.

        For a process that is about to end, and for handlers of signals: no other greenlet runs meanwhile.
        """
        deadline = _clock() + timeout
        # Whoever has the turn may have lines in hand that are not written yet.
        while not self._turn.acquire(False):
            if _clock() >= deadline:
                return
            self._hurry()
            _sleep(PAUSE)
        try:
            self._write_gathered(lambda output, data: output.write_until(deadline, data, _sleep_a_moment))
        finally:
            self._give_turn_back()

    def reopen(self) -> None:
        """Go on in a new file of the same path, because the old one was renamed.

        Lines that were written just before may go to either file.  Without a path this does nothing.
        Raises OSError where there can be no new file, and goes on with the old one.
        """
        if self._path is None or self._closed:
            return
        output = Output(self._path)
        self._retired.append(self._output)
        self._output = output
        self._close_retired()

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Write what is left, for at most `timeout` seconds; then drop the rest, and what comes later.

        Other greenlets run meanwhile.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._finish(timeout)
        finally:
            self._retired.append(self._output)
            self._close_retired()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def dropped(self) -> int:
        """How many lines were lost that the log does not say so of yet."""
        return self._dropped

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._output.fileno

    def isatty(self) -> bool:
        """Whether the descriptor is a terminal."""
        return os.isatty(self._output.fileno)

    def writable(self) -> bool:
        """True: this is a stream for writing."""
        return True

    def _decide(self, text: str) -> None:
        """`text` is the first of a batch, or fills one, or there is no room for it."""
        # A large text that finds nothing waiting has its turn: nobody stalls.
        if self._closed or (self._held > self._limit and self._held > len(text)):
            self._gathered.pop()
            self._held -= len(text)
            self._dropped += text.count("\n")
        elif not self._turn.acquire(False):
            self._hurry()
        elif self._ending:
            self._write_directly(_clock())
        else:
            self._start_writing()

    def _hurry(self) -> None:
        """Spare the writer the rest of the interval, once a batch."""
        self._threshold = self._limit
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it has been told already

    def _start_writing(self) -> None:
        """Hand the turn over to a new thread."""
        self._threshold = self._batch_size
        try:
            _start_thread(self._write_batches, ())
        except RuntimeError:
            self._write_directly(_clock())  # no more threads: the limit is reached, or the interpreter exits

    def _write_batches(self) -> None:
        """Write batch after batch until nothing more comes.  Runs in a thread of its own."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_MAIN_THREAD)
        try:
            while not self._ending:
                self._wake.acquire(timeout=WRITE_INTERVAL)
                if not self._gathered:
                    break
                self._threshold = self._batch_size
                self._write_gathered(Output.write_waiting)
        finally:
            self._give_turn_back()
        # Who came after the last look found the turn taken.
        if self._retired:
            self._close_retired()
        if not self._ending:
            self.flush()

    def _write_directly(self, deadline: float) -> None:
        """Write from here what can be written until `deadline`, and give the turn back."""
        try:
            self._write_gathered(lambda output, data: output.write_until(deadline, data, _pause))
        finally:
            self._give_turn_back()

    def _write_gathered(self, write: Callable[[Output, bytes], memoryview]) -> None:
        """Take what has gathered and have it written by `write`, which returns what it could not write."""
        count = len(self._gathered)
        parts = self._gathered[:count]
        del self._gathered[:count]
        # Parts that came from other threads in between are still there.
        self._held = sum(map(len, self._gathered))
        reported, self._dropped = self._dropped, 0
        if reported:
            parts.append(f"greenserve: {reported} lines of this log were lost here\n")
        rest = write(self._output, _encode(parts))
        if rest:
            # The last of these lines is the report, if there was one: those that it speaks of are lost still.
            self._dropped += bytes(rest).count(b"\n") + (reported - 1 if reported else 0)

    def _close_retired(self) -> None:
        """Close what is no longer written to; where somebody is writing just now, have that one do it."""
        if self._turn.acquire(False):
            self._give_turn_back()

    def _give_turn_back(self) -> None:
        while self._retired:
            self._retired.pop().close()
        self._threshold = 0
        self._turn.release()

    def _finish(self, timeout: float) -> None:
        """Write what is left from here.  Lines that come later are written, or not, without waiting."""
        deadline = _clock() + timeout
        self._ending = True
        self._hurry()
        while not self._turn.acquire(False):
            if _clock() >= deadline:
                return  # the thread is stuck; what has gathered since is lost
            _pause()
        self._write_directly(deadline)


def _encode(parts: list[str]) -> bytes:
    try:
        text = "".join(parts)
    except TypeError:
        text = "".join(part if isinstance(part, str) else repr(part) for part in parts)
    return text.encode(LogFile.encoding, LogFile.errors)


def _sleep_a_moment() -> None:
    _sleep(PAUSE)


def _pause() -> None:
    hub = get_hub_if_exists()
    if hub is None or gevent.getcurrent() is hub or _exiting:
        _sleep(PAUSE)
    else:
        gevent.sleep(PAUSE)


_exiting = False


@atexit.register
def _finish_all() -> None:
    global _exiting
    _exiting = True
    for file in list(_files):
        if not file.closed:
            file._finish(CLOSE_TIMEOUT)


def _forget_in_child() -> None:
    for file in list(_files):
        file._forget_everything()


os.register_at_fork(after_in_child=_forget_in_child)

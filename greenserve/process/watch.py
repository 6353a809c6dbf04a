"""A thread that says what keeps the hub from turning, for those who end a process that does not turn it.

It is no greenlet in disguise, whatever is patched, and takes no lock of logging: whoever blocks may hold it.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
import traceback
from contextlib import suppress
from typing import Any

from greenserve.patching import get_original
from greenserve.process.stack import request_in

#: Looks in a row that have seen no new beat.  Not seconds: a process that was stopped is not blocked.
LOOKS = 8

#: When the stack is written, and when it is written by C code, as parts of the time that ends the process.
SAID, SAID_BY_C = 0.6, 0.8


class Watch:
    """Watches the thread that it is made in; `beats` is to be raised each time that its hub turns.

    `timeout` is what whoever ends the process waits for a sign of life, 0 for nobody who does.
    """

    def __init__(self, logger: logging.Logger, timeout: float) -> None:
        self.logger = logger
        self.timeout = timeout
        self.beats = 0
        self.running = True
        self.watched: int = get_original("_thread", "get_ident")()

    def start(self) -> None:
        """Begin; the thread ends when `running` is false."""
        if self.timeout:
            get_original("_thread", "start_new_thread")(self._watch, ())

    def _watch(self) -> None:
        sleep, seen, in_vain = get_original("time", "sleep"), 0, 0
        while self.running:
            with suppress(Exception):
                # For what does not even let this thread run, a regular expression for example.
                faulthandler.dump_traceback_later(self.timeout * SAID_BY_C, file=self._stream())
            sleep(self.timeout * SAID / LOOKS)
            in_vain = in_vain + 1 if self.beats == seen else 0
            seen = self.beats
            if in_vain == LOOKS:
                self._report()
        faulthandler.cancel_dump_traceback_later()

    def _stream(self) -> Any:
        streams = [getattr(handler, "stream", None) for handler in self.logger.handlers]
        return next((each for each in streams if each is not None), sys.stderr)

    def _report(self) -> None:
        frame = sys._current_frames().get(self.watched)
        text = "the hub has not turned for %.1f s, and %.1f s are allowed; serving %s:\n%s"
        stack = "".join(traceback.format_stack(frame)).rstrip()
        values = (self.timeout * SAID, self.timeout, request_in(frame) or "no request", stack)
        record = self.logger.makeRecord(self.logger.name, logging.CRITICAL, "", 0, text, values, None)
        for handler in self.logger.handlers:
            with suppress(Exception):
                handler.emit(record)  # not handle(), which waits for the handler's lock

"""The access log of a server: what requests leave at their end becomes lines, and these are written."""

from __future__ import annotations

import os
from typing import Any

from greenserve.net.logfile import LogFile
from greenserve.observe.access_format import AccessFormat, Complain, Record, Values


class AccessLog:
    """Writes the lines of requests to `stream`.

    Those of one round of the event loop are made together where the stream is a `LogFile`: that one never
    blocks, so that the hub can write to it.  Any other gets each line at once, and by itself.

    A log that cannot be written is no reason to fail requests: `complain` is called with the exception.
    """

    def __init__(self, format: AccessFormat, stream: Any, loop: Any, complain: Complain) -> None:
        self.format = format
        self.stream = stream
        self.complain = complain
        self.gathered: list[Values] = []
        self._pid = os.getpid()
        #: To be called at the end of a request.
        self.record: Record = self._write_line
        if isinstance(stream, LogFile):
            self.record = format.recorder(self.gathered, lambda: loop.run_callback(self.flush), complain)

    def flush(self) -> None:
        """Write what has gathered, before its round has come to its end."""
        gathered = self.gathered[:]
        self.gathered.clear()
        if self._pid != os.getpid():  # it is the parent's, from before a fork
            self._pid = os.getpid()
            return
        if not gathered:
            return
        try:
            self.stream.write(self.format.lines(gathered))
        except Exception:
            for values in gathered:  # the lines of others are not lost with one that cannot be made
                self._write(values)

    def _write(self, values: Values) -> None:
        try:
            self.stream.write(self.format.lines([values]))
        except Exception as error:
            self.complain(error)

    def _write_line(self, *entry: Any) -> None:
        try:
            values = self.format.values(*entry)
        except Exception as error:
            self.complain(error)
        else:
            self._write(values)

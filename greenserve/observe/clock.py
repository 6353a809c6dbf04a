"""The text of a moment, for logs: rendered once a second, English in any locale."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
PERCENT = re.compile("%.", re.DOTALL)
C_LOCALE = {"%c": "%a %b %e %H:%M:%S %Y", "%h": "%b", "%r": "%I:%M:%S %p", "%x": "%m/%d/%y", "%X": "%H:%M:%S"}


class Clock:
    """The text of the second that a moment lies in, rendered once, by strftime, English in any locale.

    `text` holds for moments from `since` to before `until`; for any other, `render` has to be asked.
    The comparison costs a third of what int() and a look-up cost.
    """

    __slots__ = ("format", "split", "since", "until", "text", "known")

    def __init__(self, format: str, split: Callable[[float], time.struct_time] = time.localtime) -> None:
        self.format = PERCENT.sub(lambda match: C_LOCALE.get(match[0], match[0]), format)
        self.split = split
        self.since = self.until = 0.0  # floats are compared with floats fastest
        self.text = ""
        self.known: dict[int, str] = {}

    def render(self, moment: float) -> str:
        """Return the text for `moment`, seconds since the epoch, and keep it for what follows."""
        second = int(moment // 1)
        text = self.known.get(second)
        if text is None:
            # Long requests carry an old start, so several seconds are in use at a time.
            if len(self.known) >= 64:
                self.known.clear()
            text = self.known[second] = self._strftime(second)
        self.since, self.until, self.text = float(second), second + 1.0, text
        return text

    def _strftime(self, second: int) -> str:
        now = self.split(second)
        day, month = DAYS[now.tm_wday], MONTHS[now.tm_mon - 1]
        half = "AM" if now.tm_hour < 12 else "PM"
        names = {"%a": day[:3], "%A": day, "%b": month[:3], "%B": month, "%p": half}
        return time.strftime(PERCENT.sub(lambda match: names.get(match[0], match[0]), self.format), now)

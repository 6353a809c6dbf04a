"""Why something could not be started: a message for the operator, and the exit status that it means.

1 no listener, 2 wrong settings, 4 no application.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass, replace

from greenserve.errors import AppImportError, ConfigError, GreenserveError

#: Characters of each of its texts that a worker tells: both have to fit into a pipe (64 KiB) at once.
LONGEST = 7000


@dataclass(frozen=True)
class Failure:
    """What to tell; `origin` is the traceback of the application's or the configuration's own frames."""

    status: int
    message: str
    origin: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return what an exception means to the operator."""
        if isinstance(error, StartError):
            return error.failure
        origin: str = getattr(error, "origin", "")
        if isinstance(error, ConfigError):
            return cls(2, str(error), origin)
        if isinstance(error, AppImportError):
            return cls(4, str(error), origin)
        if isinstance(error, GreenserveError):
            return cls(1, str(error))
        return cls(4, f"it failed with {type(error).__name__}", "".join(traceback.format_exception(error)))

    def to_text(self) -> str:
        """Return it on one line, for the master; the end of what is too long, where the reason is."""
        cut = replace(self, message=self.message[:LONGEST], origin=self.origin[-LONGEST:])
        return json.dumps(asdict(cut), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Failure:
        """Return what `to_text` has written; a worker that dies may leave half of it."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls(4, "it could not say why")


class StartError(GreenserveError):
    """The first workers could not start, and one of them has said why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure

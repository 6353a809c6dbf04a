"""What the access log writes: the values that a line needs, and the text that is made of them.

    AccessFormat.recorder -> record()   takes the values of one request, when it has ended
                 .lines                 makes the text of all that have gathered

Lines are made together because that is half the work: 0.8 us for each of 32, against 1.5 us for one that
is put into an object, made, checked and written by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class AccessEntry:
    """What the log tells about one request.

    `environ` is empty for a request that was refused; `status` is code and reason phrase, empty when
    nothing was answered; `fields` are the application's response fields; `sent` counts the octets of
    the content; `started` is a time.time() value, `elapsed` in seconds; `peer` is the address alone.
    """

    __slots__ = ("environ", "status", "fields", "sent", "started", "elapsed", "peer")
    environ: dict[str, Any]
    status: str
    fields: list[tuple[str, str]]
    sent: int
    started: float
    elapsed: float
    peer: str


Values = tuple[Any, ...]
Complain = Callable[[Exception], None]
#: Called with what an `AccessEntry` holds, in that order.
Record = Callable[[dict[str, Any], str, list[tuple[str, str]], int, float, float, str], None]

SOURCE = """
def values(environ, status, fields, sent, started, elapsed, peer):
    get = environ.get
    try:
        return ({sources},)
    except KeyError:
        return ({careful},)

def recorder(gathered, wake, complain):
    append = gathered.append

    def record(environ, status, fields, sent, started, elapsed, peer):
        get = environ.get
        try:
            if not gathered:
                wake()
            try:
                append(({sources},))
            except KeyError:
                append(({careful},))
        except Exception as error:
            complain(error)

    return record
"""


class AccessFormat:
    """How a request becomes a line.

    `sources` are Python expressions of the values, in the words of `AccessEntry` and `get`, which is
    ``environ.get``; `careful` are those for an environ that they do not find something in; `names` is
    what else they speak of.
    """

    def __init__(self, sources: Iterable[str], careful: Iterable[str], names: Mapping[str, object]) -> None:
        namespace: dict[str, Any] = {
            "__builtins__": {"int": int, "KeyError": KeyError, "Exception": Exception},
            **names,
        }
        source = SOURCE.format(sources=", ".join(sources), careful=", ".join(careful))
        exec(compile(source, "<access log format>", "exec"), namespace)
        #: Return the values of the line of a request; called as `Record` is.
        self.values: Callable[..., Values] = namespace["values"]
        #: Return a `Record` that appends them to a list, calls `wake` where that was empty, and hands what
        #: goes wrong to `complain`.
        self.recorder: Callable[[list[Values], Callable[[], Any], Complain], Record] = namespace["recorder"]

    def lines(self, gathered: list[Values]) -> str:
        """Return the lines for these values, each with its newline."""
        raise NotImplementedError

    def __call__(self, entry: AccessEntry) -> str:
        """Return the line of one request, without a newline."""
        values = self.values(
            entry.environ, entry.status, entry.fields, entry.sent, entry.started, entry.elapsed, entry.peer
        )
        return self.lines([values])[:-1]

"""Greenlets, lent to connections for as long as they have a request.

A fresh greenlet costs 10 to 27 microseconds and several kilobytes, a lent one under one microsecond, and
less where it serves in one go all that has arrived in a round of the event loop (`Lender.lend_soon`):
switching for each request, with the caches cold each time, cost a fifth of the time of a small one.
What is handed from one request to the next is cleaned on the way: the contextvars context and the
spawn tree's locals are new each time.  `gevent.local` values and the attributes of
`threading.current_thread()` stay with the greenlet, as they stay with a pooled thread.

A waiting greenlet is discarded by anything thrown into it or switched to it: a timeout that an
application forgot, a kill that came late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol

import gevent
from greenlet import getcurrent
from greenlet import greenlet as RawGreenlet

#: Once so many are due, or hold so many octets of content, they are served before more is read.  Much more
#: would neither stay in the caches nor in the heap: the system gets it back, and has to give it again.
MOST_DUE = 256
MOST_HELD = 1 << 18


class Servable(Protocol):
    """What a greenlet is lent to.

    `note_wait` is called in the hub once its greenlet waits for something in the midst of `serve`; then
    `note_end` is called at the end of that.
    """

    def serve(self) -> None: ...
    def abandon(self) -> None: ...
    def note_wait(self) -> None: ...
    def note_end(self) -> None: ...


def forget_request(greenlet: Any) -> None:
    """Drop what a request may have left in its greenlet, before the next one of the same connection."""
    if isinstance(greenlet, gevent.Greenlet):
        greenlet.gr_context = None
        greenlet.spawn_tree_locals = {}


class LentGreenlet(gevent.Greenlet):  # type: ignore[misc]  # gevent's class is untyped
    """A greenlet that serves one busy connection after another."""

    def __init__(self, lender: Lender, hub: Any) -> None:
        gevent.Greenlet.__init__(self)
        self.spawn_tree_locals: Any = {}  # not those of whoever runs when it is made
        self.lender = lender
        self.hub = hub
        self.assignment: Servable | None = None
        self.doomed = False
        self.waited = False  # in the midst of the present assignment
        self.marked = False  # one of the two, so that there is one question in the loop

    @property
    def waiting(self) -> bool:
        """Whether this greenlet is on the free list; what is there is alive, a dead one has left it."""
        return self in self.lender.spare

    def _run(self) -> None:
        lender = self.lender
        spare, due = lender.spare, lender.due
        hub = self.hub
        # gevent's own switch asks each time whether this greenlet wants to be told: it does not.
        switch = RawGreenlet.switch
        try:
            while self.assignment is not None:
                self.assignment.serve()
                marked = self.marked
                if marked:
                    self._end_marked()
                # Nothing of this request is kept: not the connection, not what it left in the context.
                self.assignment = None
                self.gr_context: Any = None
                self.spawn_tree_locals = {}
                if len(spare) >= lender.spare_limit or (marked and self.doomed):
                    break
                if due and not marked:  # nobody would see it wait with the next one
                    self.assignment = due.popleft()
                    continue
                spare.append(self)
                try:
                    switch(hub)
                except BaseException as stray:  # noqa: B036  (it was meant for a request that has ended)
                    lender.discard(self, stray)
                    break
        finally:
            self._end_marked()  # where serve() has raised
            self.assignment = None
            lender.discard(self, None)
            lender.greenlets.discard(self)

    def _end_marked(self) -> None:
        """Be done with an assignment in whose midst something was noted."""
        if self.waited and self.assignment is not None:
            self.assignment.note_end()
        self.waited = False
        self.marked = self.doomed

    def kill(self, *args: Any, **kwargs: Any) -> Any:
        """As gevent's; it is lent no more from now on, not only when it is dead.

        gevent kills from the event loop, a moment later: by then another request could have it.
        """
        self.doomed = self.marked = True
        if self.waiting:
            self.lender.discard(self, None)
        return gevent.Greenlet.kill(self, *args, **kwargs)

    def _maybe_kill_before_start(self, exception: Any) -> Any:
        """As gevent's; `gevent.killall` asks this of each greenlet, and kills from the event loop, too."""
        self.doomed = self.marked = True
        if self.waiting:
            self.lender.discard(self, None)
        return gevent.Greenlet._maybe_kill_before_start(self, exception)

    def rawlink(self, callback: Any) -> None:
        """As gevent's; somebody waits for this greenlet to end, so it ends with its request."""
        self.doomed = self.marked = True
        if self.waiting:
            self.lender.end(self)
        gevent.Greenlet.rawlink(self, callback)

    def __repr__(self) -> str:
        what = "waiting" if self.waiting else f"serving {self.assignment!r}"
        return f"<{type(self).__name__} {what} at {id(self):#x}>"


class Lender:
    """Lends greenlets from a free list of at most `spare_limit`; to be used from the hub only.

    In `due` are those that are served once everything that has arrived in this round has been looked at;
    `after_due` is called when all of them have been, or wait.
    """

    def __init__(
        self,
        hub: Any,
        spare_limit: int,
        on_stray: Callable[[BaseException], None],
        after_due: Callable[[], None] | None = None,
    ) -> None:
        self.hub = hub
        self.spare_limit = spare_limit
        self.on_stray = on_stray
        self.spare: list[LentGreenlet] = []
        self.greenlets: set[LentGreenlet] = set()
        self.due: deque[Servable] = deque()
        self._held = 0
        self.after_due = after_due

    def lend_soon(self, connection: Servable) -> None:
        """Have `connection.serve()` run in this round of the event loop."""
        due = self.due
        if not due:
            self.hub.loop.run_callback(self.serve_due)
        due.append(connection)
        if len(due) >= MOST_DUE:
            self.serve_due()

    def hold(self, octets: int) -> None:
        """Note that the last one that is due holds so many octets of what follows its head."""
        self._held += octets
        if self._held >= MOST_HELD:
            self.serve_due()

    def serve_due(self) -> None:
        """Have those served that are due; another greenlet goes on where one of them waits for something."""
        due = self.due
        self._held = 0
        try:
            while due:
                self.lend(due.popleft())
        finally:
            if due:  # there was no memory for a greenlet
                self.hub.loop.run_callback(self.serve_due)
            elif self.after_due is not None:
                self.after_due()

    def lend(self, connection: Servable) -> None:
        """Have `connection.serve()` run in a greenlet, at once."""
        spare = self.spare
        if spare:
            greenlet = spare.pop()
        else:
            greenlet = LentGreenlet(self, self.hub)
            self.greenlets.add(greenlet)
        greenlet.assignment = connection
        greenlet.switch()
        if (waiting := greenlet.assignment) is not None:
            greenlet.waited = greenlet.marked = True
            waiting.note_wait()

    def serving(self) -> dict[Servable, gevent.Greenlet]:
        """Return who is served by which greenlet."""
        return {each.assignment: each for each in self.greenlets if each.assignment is not None}

    def discard(self, greenlet: LentGreenlet, stray: BaseException | None) -> None:
        """Take a greenlet off the free list; it will end."""
        if greenlet in self.spare:
            self.spare.remove(greenlet)
        if stray is not None and not isinstance(stray, gevent.GreenletExit):
            self.on_stray(stray)

    def shrink(self) -> None:
        """Let go of half of those that were spare all the time since the last call.

        Where one is in the list does not tell: who is lent and comes back may be where it was.  A context,
        empty like the one that it would get, does: each request leaves None behind it, so that the hot
        path has nothing to note.
        """
        unneeded = [each for each in self.spare if each.gr_context is not None]
        for greenlet in unneeded[: (len(unneeded) + 1) // 2]:
            self.end(greenlet)
        for greenlet in self.spare:
            greenlet.gr_context = Context()

    def close(self) -> None:
        """Let all waiting greenlets end, and those that are lent once they come back."""
        self.spare_limit = 0
        for greenlet in list(self.spare):
            self.end(greenlet)

    def end(self, greenlet: LentGreenlet) -> None:
        """Let a waiting greenlet end."""
        self.discard(greenlet, None)
        # Its assignment is None: woken, it ends by itself.
        self.hub.loop.run_callback(greenlet.switch)


class Lending:
    """One connection's wait for a greenlet that is being spawned for it."""

    __slots__ = ("connection", "served")

    def __init__(self, connection: Servable) -> None:
        self.connection = connection
        self.served = False


class Spawner:
    """Greenlets from a pool, or from any callable that spawns: one for each busy period."""

    def __init__(self, spawn: Any) -> None:
        self._spawn = spawn.spawn if hasattr(spawn, "spawn") else spawn
        self._serving: dict[Servable, gevent.Greenlet] = {}

    def lend(self, connection: Servable) -> None:
        """Have `connection.serve()` run in a new greenlet.  Raises what spawning raises."""
        lending = Lending(connection)
        try:
            greenlet = self._spawn(self._serve, lending)
        except BaseException:
            connection.abandon()
            raise
        if hasattr(greenlet, "rawlink"):
            greenlet.rawlink(lambda _: self._ended(lending))

    lend_soon = lend

    def _serve(self, lending: Lending) -> None:
        lending.served = True
        connection = lending.connection
        self._serving[connection] = getcurrent()
        try:
            connection.serve()
        finally:
            del self._serving[connection]

    def _ended(self, lending: Lending) -> None:
        """Give up a connection whose greenlet was killed before it came to run."""
        if not lending.served:
            lending.connection.abandon()

    def serving(self) -> dict[Servable, gevent.Greenlet]:
        """Return who is served by which greenlet."""
        return dict(self._serving)

    def serve_due(self) -> None: ...

    def hold(self, octets: int) -> None: ...

    def shrink(self) -> None: ...

    def close(self) -> None: ...


class DirectCaller:
    """No greenlet at all: requests are served in the hub, and may not wait for anything."""

    def lend(self, connection: Servable) -> None:
        """Call `connection.serve()`."""
        connection.serve()

    lend_soon = lend

    def serving(self) -> dict[Servable, gevent.Greenlet]:
        """Return who is served by which greenlet: nobody."""
        return {}

    def serve_due(self) -> None: ...

    def hold(self, octets: int) -> None: ...

    def shrink(self) -> None: ...

    def close(self) -> None: ...

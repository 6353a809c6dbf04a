"""The bound on requests that are served at once, and the line of those that wait.

A slot is taken when a complete head has been parsed and given back when the last octet of the answer
has been given to the kernel; connections without a request hold none.  Where all are taken, complete
heads wait in one line, first come first served, and nothing more is accepted: newcomers stay in the
kernel's queue, and none is dropped.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenserve.server.connection import Connection


class Slots:
    """`cap` slots, and no more than `pool` (a gevent pool, or None) has room for.

    Whoever has a complete head takes a slot by counting `busy` up, as long as that is below `limit`; else
    it waits.  Whoever counts it down has `look_soon()` called if a slot is `wanted`.

    After `pause()`, `on_free` is called in the hub when there is room again, and `on_turn` each time that
    a slot goes to the next in line.
    """

    def __init__(
        self, hub: Any, cap: float, pool: Any, on_free: Callable[[], None], on_turn: Callable[[], None]
    ) -> None:
        self.cap = cap
        self.pool = pool
        self.busy = 0
        self.line: collections.deque[Connection] = collections.deque()
        self.paused = False
        self.limit: float  # `cap`, but nobody overtakes the line, and a pool has its own say
        self.wanted: bool
        self._linked = False
        self._note()
        self._loop = hub.loop
        self._on_free = on_free
        self._on_turn = on_turn

    def is_full(self) -> bool:
        """Whether all slots are taken."""
        return self.busy >= self.cap or (self.pool is not None and bool(self.pool.full()))

    def wait(self, connection: Connection) -> None:
        """Give `connection` a slot as soon as those before it have had theirs."""
        self.line.append(connection)
        self._note()
        self.look_soon()

    def pause(self) -> None:
        """Have `on_free` called as soon as there is room."""
        self.paused = True
        self._note()
        if self.pool is not None:
            self._link()

    def resume(self) -> None:
        """Forget a `pause()`."""
        self.paused = False
        self._note()

    def look_soon(self) -> None:
        """Give out free slots, from the hub: greenlets are not started by each other."""
        self._loop.run_callback(self._give_out)

    def _give_out(self) -> None:
        while self.line and not self.is_full():
            if self.paused:
                self._on_turn()  # or newcomers would wait for as long as the line is never empty
            connection = self.line.popleft()
            if connection.is_waiting:
                self.busy += 1
                connection.use_slot()
        self._note()
        if self.pool is not None and self.pool.full():
            if self.line or self.paused:
                self._link()
        elif self.paused and not self.is_full():  # then nobody is left in the line
            self._on_free()

    def _note(self) -> None:
        self.wanted = bool(self.line) or self.paused
        self.limit = 0 if self.line or self.pool is not None else self.cap

    def _link(self) -> None:
        """Have the pool tell when it has room: once, however many wait for that."""
        if not self._linked:
            self._linked = True
            self.pool._semaphore.rawlink(self._pool_has_room)

    def _pool_has_room(self, semaphore: Any) -> None:
        self._linked = False
        semaphore.unlink(self._pool_has_room)
        self.look_soon()

"""One listener's accept loop, in the hub: newcomers are accepted, opened and parked.

Nothing is read here and no handshake is made, so no client can hold up the others.
"""

from __future__ import annotations

import _socket
import errno
import math
import resource
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenserve.net.stream import READ

if TYPE_CHECKING:
    from greenserve.server.server import WSGIServer

#: Seconds to wait after accept() has failed for want of something; doubled up to the longest.
SHORTEST_DELAY = 0.01
LONGEST_DELAY = 1.0

#: Seconds in which newcomers are left to a process that has less to do and waits for them.
LEAVE_TIME = 0.002

#: The newcomer has gone again, or the network has hiccuped: accept(2) says to try the next one.
_PASSING = frozenset({errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.EPERM, errno.ENETDOWN})
_FATAL = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})

#: Descriptors left to the application when the bound on connections comes from the process's limit.
SPARE_DESCRIPTORS = 64


def most_connections() -> float:
    """Return how many connections the process's limit on descriptors leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else max(16, soft - SPARE_DESCRIPTORS)


class Acceptor:
    """Accepts for `server` on `listener`; `new_environ` makes the environs of its requests."""

    def __init__(self, server: WSGIServer, listener: Any, new_environ: Callable[[], dict[str, Any]]) -> None:
        self.server = server
        self.listener = listener
        self.new_environ = new_environ
        self.delay = SHORTEST_DELAY
        self._watcher: Any = None
        self._timer: Any = None

    def start(self) -> None:
        """Accept from now on."""
        if self._watcher is None and not self.closed:
            self._watcher = self.server.hub.loop.io(self.listener.fileno(), READ)
            self._watcher.start(self.on_acceptable)

    def stop(self) -> None:
        """Leave newcomers in the kernel's queue."""
        for watcher in (self._watcher, self._timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._watcher = self._timer = None

    @property
    def closed(self) -> bool:
        """Whether the listener is closed."""
        closed: bool = self.listener.fileno() < 0
        return closed

    def on_acceptable(self) -> None:
        """Accept what is in the queue, unless another process has less to do."""
        if self.server.is_busier is not None and self.server.is_busier():
            self.stop()
            self._timer = self.server.hub.loop.timer(LEAVE_TIME)
            self._timer.start(self._take_after_all)
        else:
            self.accept_waiting()

    def _take_after_all(self) -> None:
        """Accept what the others have left, and go on."""
        self._come_back()
        self.accept_waiting()

    def accept_waiting(self) -> None:
        """Accept what is in the queue, as far as there is room for it."""
        for _ in range(self.server.max_accept):
            if self.server.is_full():
                self.server.pause_accepting()
                return
            if not self.accept():
                return

    def accept(self) -> bool:
        """Accept one newcomer; return whether another may be tried."""
        listener = self.listener
        try:
            descriptor, address = listener._accept()
        except BlockingIOError:
            return False
        except OSError as error:
            return self._survive(error)
        sock = _socket.socket(listener.family, listener.type, listener.proto, fileno=descriptor)
        sock.setblocking(False)
        self.delay = SHORTEST_DELAY
        self.server.open_connection(sock, address, self)
        return True

    def _survive(self, error: OSError) -> bool:
        """Return whether to go on at once; else come back later, or never."""
        if error.errno in _PASSING:
            return True
        self.stop()
        if error.errno in _FATAL:
            self.server.errors.error("the listener is gone: accept failed: %s", error)
            self.server.close()
            return False
        self.server.errors.error("accept failed, trying again in %g s: %s", self.delay, error)
        self._timer = self.server.hub.loop.timer(self.delay)
        self._timer.start(self._come_back)
        self.delay = min(self.delay * 2, LONGEST_DELAY)
        return False

    def _come_back(self) -> None:
        self.stop()
        self.start()

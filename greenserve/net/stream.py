"""One connected socket with its buffer, its watcher and its deadline.

The socket is a plain non-blocking `_socket.socket`, or a `TlsSocket` that looks like one.  A greenlet
that has to wait parks itself in `reader` or `writer` and is woken by the watcher, or by the sweeper
once its deadline has passed; it never holds a timer of its own.

Waiting for readability uses one watcher for the life of the connection.  It stays started, because
starting and stopping it for each wait costs more than a wake-up in vain: `on_readable`, which every
subclass supplies, stops it when it finds nobody to wake.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct
import time
from fcntl import ioctl
from termios import FIONREAD
from typing import Any

import gevent
from gevent.exceptions import ConcurrentObjectUseError, InvalidSwitchError
from greenlet import getcurrent

from greenserve.errors import ClientDisconnected

READ, WRITE = 1, 2

#: What no clock reaches: no deadline.
NEVER = float("inf")

#: Octets asked of the kernel at once.
RECEIVE_SIZE = 65536

#: Most that one sendfile(2) may take before the others get a turn.
SENDFILE_SIZE = 1 << 20

_NOTHING = struct.pack("i", 0)
_SHUT_WR = _socket.SHUT_WR
_clock = time.monotonic


#: What a greenlet is woken with when its deadline has passed.
OVERDUE = object()

#: Stands in `watcher` until one is needed: many a connection has come, been served and gone by then.
UNMADE = object()

#: Stands in `writer` once a write has failed.
BROKEN = object()


class DeadlinePassed(Exception):
    """The deadline of a wait has passed; caught where the waiting was asked for."""


class Stream:
    """The octets of one socket.  `buffer` holds what has been received and not been used yet."""

    __slots__ = (
        "buffer",
        "deadline",
        "hub",
        "read_deadline",
        "reader",
        "sock",
        "watcher",
        "watching",
        "write_deadline",
        "write_watcher",
        "writer",
    )

    def __init__(self, sock: Any, hub: Any) -> None:
        self.sock = sock
        self.hub = hub
        self.buffer = b""
        #: The earliest moment at which something is overdue: the sweeper looks at this one alone.
        self.deadline = self.read_deadline = self.write_deadline = NEVER
        self.reader: Any = None
        self.writer: Any = None
        self.write_watcher: Any = None
        self.watcher: Any = UNMADE  # None once the socket is closed
        self.watching = False

    def on_readable(self) -> bool:
        """Called in the hub when octets, or the end, have arrived while the watcher was started."""
        raise NotImplementedError

    def watch(self) -> None:
        """Have `on_readable` called."""
        if not self.watching:
            self.watching = True
            if self.watcher is UNMADE:
                self.watcher = self.hub.loop.io(self.sock.fileno(), READ)
            self.watcher.start(self.on_readable)

    def unwatch(self) -> None:
        """Stop calling `on_readable`: a started watcher on a socket that nobody reads spins."""
        if self.watching:
            self.watching = False
            self.watcher.stop()

    def recv_now(self, most: int = RECEIVE_SIZE) -> bytes | None:
        """Return what has arrived, b"" at the end, None where nothing has.  Raises ClientDisconnected."""
        try:
            data: bytes = self.sock.recv(most)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ClientDisconnected(f"while receiving: {error}") from None
        return data

    def has_arrived(self) -> bool:
        """Whether octets wait in the kernel's buffer, seen without receiving them."""
        try:
            return ioctl(self.sock.fileno(), FIONREAD, _NOTHING) != _NOTHING
        except (OSError, ValueError):  # it is closed
            return False

    def recv(self, timeout: float, most: int = RECEIVE_SIZE) -> bytes:
        """Return what arrives within `timeout` seconds (0: no limit), b"" at the end.

        Raises DeadlinePassed, ClientDisconnected.
        """
        while (data := self.recv_now(most)) is None:
            if not self.wait_readable(timeout):
                data = self.recv_now(most)  # it may have come at the last moment
                if data is None:
                    raise DeadlinePassed
                break
        return data

    def send_all(self, data: bytes) -> None:
        """Give all of `data` to the kernel.  Raises ClientDisconnected, also when it stalls.

        After an error nothing more is sent, for what would follow stands in the middle of something.
        """
        if self.writer is not None:
            self._refuse_writing()
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._broken(error) from None
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        while rest:
            self.wait_writable()
            try:
                rest = rest[self.sock.send(rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._broken(error) from None

    def _broken(self, error: OSError) -> ClientDisconnected:
        self.writer = BROKEN
        return ClientDisconnected(f"while sending: {error}")

    def _refuse_writing(self) -> None:
        if self.writer is BROKEN:
            raise ClientDisconnected("an earlier write has failed")
        raise ConcurrentObjectUseError(f"another greenlet is writing to this socket: {self.writer!r}")

    def send_file(self, fileno: int, offset: int, count: int) -> int:
        """Send `count` bytes of a file by sendfile(2); return how many there were."""
        if self.writer is not None:
            self._refuse_writing()
        sent = 0
        while sent < count:
            try:
                taken = os.sendfile(
                    self.sock.fileno(), fileno, offset + sent, min(count - sent, SENDFILE_SIZE)
                )
            except BlockingIOError:
                self.wait_writable()
                continue
            except OSError as error:
                raise self._broken(error) from None
            if not taken:
                break  # the file has become shorter
            sent += taken
            self.give_turn()
        return sent

    def can_send_file(self) -> bool:
        """Whether the kernel may read a file straight into the socket: not through TLS."""
        return isinstance(self.sock, _socket.socket)

    def give_turn(self) -> None:
        """Let the others run; a request that is served in the hub has nobody to let.

        sleep(0) would let callbacks run and the event loop look at sockets and timers only every 50th time.
        """
        if getcurrent() is not self.hub:
            gevent.sleep(1e-9)

    def write_timeout(self) -> float:
        """Seconds that the kernel may take nothing before the client counts as gone; 0: no limit."""
        return 0.0

    def wait_readable(self, timeout: float) -> bool:
        """Wait until there is something to read, for `timeout` seconds (0: no limit); return whether so."""
        self._check_waiting(self.reader)
        self.reader = getcurrent()
        self.read_deadline = _clock() + timeout if timeout else NEVER
        self.deadline = min(self.read_deadline, self.write_deadline)
        self.watch()
        try:
            return self._switch_to_hub()
        finally:
            self.reader = None
            self.read_deadline = NEVER
            self.deadline = self.write_deadline

    def wait_writable(self) -> None:
        """Wait until the kernel takes octets again.

        Raises ClientDisconnected after `write_timeout`.  Whatever ends the waiting before its time, a
        timeout of the application's for one, leaves something half sent: nothing can follow it.
        """
        self._check_waiting(self.writer)
        timeout = self.write_timeout()
        self.write_watcher = watcher = self.hub.loop.io(self.sock.fileno(), WRITE)
        self.writer = getcurrent()
        self.write_deadline = _clock() + timeout if timeout else NEVER
        self.deadline = min(self.read_deadline, self.write_deadline)
        watcher.start(self.writer.switch, self)
        left: Any = BROKEN
        try:
            if not self._switch_to_hub():
                raise ClientDisconnected(f"the client took nothing for {timeout:g} seconds")
            left = None
        finally:
            self._close_write_watcher()
            self.writer = left
            self.write_deadline = NEVER
            self.deadline = self.read_deadline

    def _close_write_watcher(self) -> None:
        watcher, self.write_watcher = self.write_watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()

    def _check_waiting(self, other: Any) -> None:
        if self.watcher is None:
            raise ClientDisconnected("the connection is closed")
        if other is not None:
            raise ConcurrentObjectUseError(f"another greenlet waits for this socket already: {other!r}")
        if getcurrent() is self.hub:
            raise AssertionError("Impossible to call blocking function in the event loop callback")

    def _switch_to_hub(self) -> bool:
        """Return whether what is waited for has come, and not its deadline."""
        result = self.hub.switch()
        if result is not self and result is not OVERDUE:
            raise InvalidSwitchError(f"a switch that was not ours: {result!r}")
        return result is self

    def wake(self) -> None:
        """Wake the greenlets whose deadline has passed; in the hub."""
        now = _clock()
        if self.write_deadline <= now:
            self.writer.switch(OVERDUE)
        if self.read_deadline <= now:
            self.reader.switch(OVERDUE)

    def half_close(self) -> None:
        """Tell the peer that no more octets will come."""
        try:
            self.sock.shutdown(_SHUT_WR)
        except OSError:
            pass  # it has gone

    def reset(self) -> None:
        """Have the close show the peer an error, not an end (RST)."""
        try:
            self.sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF):
                raise

    def close_socket(self) -> None:
        """Close; the watchers first, or the next owner of the descriptor would wake this one."""
        watcher, self.watcher = self.watcher, None
        if watcher is None:
            return
        if watcher is not UNMADE:
            watcher.stop()
            watcher.close()
        self._close_write_watcher()
        self.watching = False
        self.sock.close()
        if self.reader is not None or self.writer is not None:
            self.hub.loop.run_callback(self._disturb)

    def has_waiters(self) -> bool:
        """Whether a greenlet still waits for this socket, or a write has failed."""
        return self.reader is not None or self.writer is not None

    def _disturb(self) -> None:
        """Tell the greenlets that still wait that nothing will come."""
        for waiting in (self.reader, self.writer):
            if waiting is not None and waiting is not BROKEN:
                waiting.throw(ClientDisconnected("the connection was closed"))

"""The raw socket of an upgrade request, for libraries that speak their own protocol on it.

They find it as ``environ["wsgi.input"].raw._sock``.  From the first access on the connection is the
application's: the server writes nothing more on it, whatever the application returns or raises, and
closes it when the application has returned and every object that stands for the socket is closed, or
lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenserve.errors import ClientDisconnected
from greenserve.net.stream import DeadlinePassed
from greenserve.wsgi.input import Input, Receive

if TYPE_CHECKING:
    from greenserve.server.connection import Connection
    from greenserve.wsgi.response import Response


class UpgradeInput(Input):
    """wsgi.input of a request that asks for an upgrade."""

    __slots__ = ("raw",)

    def __init__(self, receive: Receive, connection: Connection, response: Response) -> None:
        Input.__init__(self, receive)
        self.raw = RawInput(connection, response)


class RawInput:
    """What `io.BufferedReader.raw` is to a socket's file: it leads to the socket."""

    __slots__ = ("_connection", "_response")

    def __init__(self, connection: Connection, response: Response) -> None:
        self._connection = connection
        self._response = response

    @property
    def _sock(self) -> TakenSocket:
        connection = self._connection
        if connection.taken is None:
            if self._response.finished:
                raise ClientDisconnected("the request has ended: its socket cannot be taken any more")
            connection.taken = TakenSocket(connection)
            self._response.sink = Silence(connection)
        return connection.taken


class Silence:
    """Where the response of a taken-over request goes: nowhere, whatever the application returns."""

    def __init__(self, connection: Connection) -> None:
        self.give_turn = connection.give_turn  # there may be no end to what it returns

    def send_all(self, data: bytes) -> None: ...

    def send_file(self, fileno: int, offset: int, count: int) -> int:
        return count

    def can_send_file(self) -> bool:
        return False

    def request_behind(self, content: object) -> bool:
        return False


class TakenSocket:
    """A socket as far as protocol libraries use one; cooperative, also over TLS.

    What the HTTP parser had read already is received first.  `dup()` gives a second object for the
    same connection, which ends when all of them are closed or lost.
    """

    def __init__(self, connection: Connection, first: TakenSocket | None = None) -> None:
        self._connection = connection
        self._first = first or self
        self._timeout: float | None = None
        self._is_open = True
        if first is None:
            self._open = 1
            self._application_running = True
            self.sent = 0

    def dup(self) -> TakenSocket:
        """Return another object for this socket."""
        self._first._open += 1
        return TakenSocket(self._connection, self._first)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return up to `size` bytes, b"" at the end.  Raises TimeoutError, ClientDisconnected."""
        connection = self._connection
        if not connection.buffer:
            try:
                data = connection.recv_now() if self._timeout == 0 else connection.recv(self._timeout or 0)
            except DeadlinePassed:
                raise TimeoutError("timed out") from None
            if data is None:
                raise BlockingIOError("nothing has arrived")
            connection.buffer = data
        data, connection.buffer = connection.buffer[:size], connection.buffer[size:]
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into `buffer`; return the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of `data`.  Raises ClientDisconnected."""
        octets = bytes(data)
        self._connection.send_all(octets)
        self._first.sent += len(octets)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send all of `data`; return its length."""
        self.sendall(data, flags)
        return len(data)

    def fileno(self) -> int:
        """Return the descriptor, for selectors; -1 once closed."""
        fileno: int = self._connection.sock.fileno() if self._is_open else -1
        return fileno

    def settimeout(self, timeout: float | None) -> None:
        """Bound each recv to `timeout` seconds; None: no bound, 0: never wait."""
        self._timeout = timeout

    def gettimeout(self) -> float | None:
        """Return the bound of each recv in seconds."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """As `settimeout(None)` or `settimeout(0)`."""
        self._timeout = None if flag else 0.0

    def setsockopt(self, *arguments: Any) -> None:
        """Pass on to the socket."""
        self._connection.sock.setsockopt(*arguments)

    def getpeername(self) -> Any:
        """Return the address of the peer."""
        return self._connection.sock.getpeername()

    def getsockname(self) -> Any:
        """Return our own address."""
        return self._connection.sock.getsockname()

    def shutdown(self, how: int) -> None:
        """Pass on to the socket; one that is gone already is no error."""
        if self._connection.watcher is not None:
            self._connection.half_close()

    def close(self) -> None:
        """Close this object; the last one closes the connection once the application has returned."""
        if self._is_open:
            self._is_open = False
            self._first._release()

    def _release(self) -> None:
        """Count one object less."""
        self._open -= 1
        if self.closed and self._connection.state.value == "taken":
            self._connection.close()

    def __del__(self) -> None:
        """Release what was lost without close(), in the hub: this may be any moment in any thread."""
        first, loop = self._first, self._connection.hub.loop
        if self._is_open and first is not self and loop is not None:
            loop.run_callback_threadsafe(first._release)

    def application_returned(self) -> None:
        """The application has returned: whoever still uses the socket holds an object of its own."""
        self._application_running = False
        self.close()

    @property
    def closed(self) -> bool:
        """Whether nothing keeps the connection open any more."""
        return self._first._open <= 0 and not self._first._application_running

    def __enter__(self) -> TakenSocket:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

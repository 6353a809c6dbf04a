"""A connection's life: opened, parked, lent a greenlet while it has a request, parked again, closed.

    open -> [handshake, TLS only] -> parked -> serve() -> parked -> ... -> lingering -> closed

A parked connection is a watcher and this object: no greenlet, no pool slot.  When octets arrive they
are parsed right here, in the hub; only a complete head gets a slot and a greenlet (`admit`), so slow
clients fill neither.  What happens next is said by the protocol's loop (`Next`) and done here.
"""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Any

from greenserve.errors import ClientDisconnected, ProtocolError, RequestTimeout
from greenserve.net.stream import NEVER, RECEIVE_SIZE, Stream
from greenserve.protocol.head import RequestHead, parse_head
from greenserve.server import http1
from greenserve.server.handshake import Handshake
from greenserve.server.http1 import CLOSE, HANDED_OVER, LINGER, PARK, Next

if TYPE_CHECKING:
    from greenserve.server.acceptor import Acceptor
    from greenserve.server.body import Body
    from greenserve.server.server import WSGIServer
    from greenserve.server.takeover import TakenSocket


class State(enum.Enum):
    """Where in its life a connection is."""

    NEW = "new"  # nothing has arrived yet
    HANDSHAKE = "handshake"
    IDLE = "idle"  # a request has been answered, nothing of another has arrived
    PENDING = "pending"  # octets of another request are in the buffer and will be looked at
    HEAD = "head"  # a part of a head has arrived
    WAITING = "waiting"  # a whole head has arrived, the pool is full
    BUSY = "busy"  # a greenlet has it
    TAKEN = "taken"  # the application has it
    LINGERING = "lingering"  # the answer is out, its end too; the peer may need time to read them
    CLOSED = "closed"


NEW, HANDSHAKE, IDLE, HEAD = State.NEW, State.HANDSHAKE, State.IDLE, State.HEAD
PENDING, WAITING, BUSY, TAKEN = State.PENDING, State.WAITING, State.BUSY, State.TAKEN
LINGERING, CLOSED = State.LINGERING, State.CLOSED


class Connection(Stream):
    """One client's connection to one listener."""

    __slots__ = (
        "acceptor",
        "environ",
        "head",
        "own_environ",
        "refusal",
        "remote_addr",
        "remote_port",
        "server",
        "slotless",
        "slots",
        "state",
        "taken",
    )

    #: Who sends its requests, in a worker that has a master.
    client: bytes

    def __init__(self, sock: Any, peer: tuple[str, str], acceptor: Acceptor) -> None:
        self.server: WSGIServer = acceptor.server
        Stream.__init__(self, sock, self.server.hub)
        self.acceptor = acceptor
        self.slots = self.server.slots  # those of this run of the server: it may be started again
        self.remote_addr, self.remote_port = peer
        self.state = NEW
        self.head: RequestHead | None = None
        self.environ: dict[str, Any] | None = None
        self.own_environ: dict[str, str] | None = None
        self.refusal: ProtocolError | None = None
        self.taken: TakenSocket | None = None
        self.slotless = False  # what it is doing while busy is no request, or not any more

    def __repr__(self) -> str:
        return f"<Connection from {self.peer} {self.state.value}>"

    @property
    def peer(self) -> str:
        """The other end, for people."""
        return f"{self.remote_addr}:{self.remote_port}" if self.remote_addr else "unix"

    # In the hub: parked.

    def open(self) -> None:
        """Begin: the handshake, where there is one, or waiting for the first octet."""
        if self.server.ssl_context is not None:
            self.state = HANDSHAKE
            self.server.slotless.lend(Handshake(self))
            return
        self.set_deadline(self.server.settings.first_byte_timeout)
        # What comes with the connection is there mostly.  The event loop would tell of the last one first.
        self.hub.loop.run_callback(self.look)

    def look(self) -> None:
        """Take what has arrived on a new connection."""
        if self.state is NEW and not self.on_readable():
            self.watch()

    def wait_for(self, timeout: float) -> None:
        """Wait, parked, for something to arrive within `timeout` seconds (0: no limit)."""
        self.set_deadline(timeout)
        self.watch()

    def set_deadline(self, timeout: float) -> None:
        """Be overdue in `timeout` seconds (0: never)."""
        self.deadline = time.monotonic() + timeout if timeout else NEVER

    def on_readable(self) -> bool:
        """Something may have arrived; called in the hub.  Return whether a parked connection had any."""
        state = self.state
        if state is IDLE or state is NEW or state is HEAD:
            try:
                data = self.sock.recv(RECEIVE_SIZE)
            except OSError as error:
                data = None if isinstance(error, BlockingIOError) else b""
            if data:
                seen = len(self.buffer)
                self.advance(self.buffer + data if seen else data, seen)
            elif data is not None:
                self.close()  # whatever was begun: nobody is left to answer
            return data is not None
        if state is LINGERING:
            self.discard_input()
        elif self.reader is not None:
            self.reader.switch(self)
        else:
            self.unwatch()
        return False

    def advance(self, buffer: bytes, seen: int = 0) -> None:
        """Have the request at the beginning of `buffer` served, once its head is complete.

        The first `seen` octets have been looked at before.
        """
        server = self.server
        environ = self.acceptor.new_environ()
        try:
            head = parse_head(buffer, 0, server.limits, environ, seen)
        except ProtocolError as error:
            self.buffer = buffer
            self.refuse(error)
            return
        if head is None:
            self.buffer = buffer
            self.watch()
            # An empty line is no part of a request yet: some clients send one behind their content.
            if self.state is not HEAD and buffer not in (b"\r", b"\r\n"):
                self.state = HEAD
                self.wait_for(server.settings.head_timeout)
            return
        self.buffer = buffer[head.end :]
        self.head = head
        self.environ = environ
        slots = self.slots
        if slots.busy < slots.limit or self.makes_room():
            slots.busy += 1
            self.state = BUSY
            server.lender.lend_soon(self)
            if self.buffer:
                server.lender.hold(len(self.buffer))
        else:
            self.queue()

    def makes_room(self) -> bool:
        """Have those served that are due and may need no time for it; return whether there is a slot then."""
        self.server.lender.serve_due()
        return self.slots.busy < self.slots.limit

    def use_slot(self) -> None:
        """Have the request served, now that it has a pool slot; in the hub."""
        self.state = BUSY
        self.server.lender.lend(self)

    def queue(self) -> None:
        """Wait for a pool slot; in the order of arrival."""
        self.state = WAITING
        self.unwatch()  # a started watcher that nobody answers spins
        self.slots.wait(self)

    @property
    def is_waiting(self) -> bool:
        """Whether a pool slot is still wanted."""
        return self.state is WAITING

    def park(self) -> None:
        """Give up greenlet and slot until the next request."""
        server = self.server
        self.state = IDLE
        self.deadline = server.sweeper.idle_deadline
        if self.buffer:
            # More has come already; it is looked at from the hub, like what is yet to come.
            self.state = PENDING
            self.deadline = NEVER
            self.hub.loop.run_callback(self.resume)
            return
        self.watch()
        if server.draining is not None:
            self.hub.loop.run_callback(server.draining.end_parked, self)

    def resume(self) -> None:
        """Go on with what is in the buffer."""
        if self.state is PENDING:
            self.state = IDLE
            self.deadline = self.server.sweeper.idle_deadline
            self.advance(self.buffer)
            if self.state is IDLE and self.server.draining is not None:
                self.server.draining.end_parked(self)

    def expire(self) -> None:
        """The deadline has passed; called by the sweeper, in the hub."""
        state = self.state
        if state in (BUSY, TAKEN, HANDSHAKE):
            self.deadline = min(self.read_deadline, self.write_deadline)  # what it was parked with is past
            self.wake()  # the greenlet that waits decides
            return
        self.deadline = NEVER
        if state is LINGERING:
            self.close()
        elif state is HEAD:
            self.on_readable()  # the rest of it may have come at the last moment
            if self.state is HEAD:
                self.refuse(RequestTimeout("the head was not complete in time"))
        elif state in (NEW, IDLE) and not self.on_readable():
            if state is NEW:
                self.close()
            else:
                self.linger()

    def refuse(self, error: ProtocolError) -> None:
        """Have a request answered that broke the protocol; it needs a greenlet, but no slot."""
        self.refusal = error
        self.slotless = True
        self.deadline = NEVER
        self.state = BUSY
        self.server.slotless.lend(self)

    # In a greenlet: busy.

    def serve(self) -> None:
        """Serve the requests that have arrived and go on to what follows; runs in a lent greenlet."""
        following = CLOSE  # unless the loop says otherwise: an error of our own ends the connection, too
        try:
            following = http1.serve(self)
        finally:
            self.head = self.environ = None
            if self.slotless:
                self.slotless = False
            else:
                slots = self.slots
                slots.busy -= 1  # as release_slot() does; this is the hot path
                if slots.wanted:
                    slots.look_soon()
            server = self.server
            if following is PARK and not self.buffer and server.draining is None and self.watching:
                self.state = IDLE  # as park() does
                self.deadline = server.sweeper.idle_deadline
            elif self.watcher is not None:  # not closed meanwhile
                self.follow(following)

    def pause(self) -> None:
        """Let the others run, between two requests."""
        self.head = None  # it is not that one which waits
        self.give_turn()

    def note_wait(self) -> None:
        """Its request waits for something, which may take long: what nobody needs any more is let go."""
        if self.head is not None:
            self.head.octets = b""

    def note_next(self) -> None:
        """The next request follows without waiting; called where requests are noted."""

    def note_end(self) -> None:
        """It has been served, after having waited."""

    def abandon(self) -> None:
        """There is no greenlet that will serve it."""
        self.close()
        self.release_slot()

    def follow(self, following: Next) -> None:
        """Do what the protocol's loop has said."""
        if self.has_waiters() and following is not HANDED_OVER:
            self.close()  # the application has left a greenlet reading or writing, or half a block
        elif following is PARK:
            self.park()
        elif following is LINGER:
            self.linger()
        elif following is CLOSE or (self.taken is not None and self.taken.closed):
            self.close()
        else:
            self.state = TAKEN

    def begin(self) -> None:
        """Wait for the first request of a connection whose handshake is done."""
        if self.state is HANDSHAKE:
            self.state = NEW
            self.wait_for(self.server.settings.first_byte_timeout)
            self.on_readable()  # OpenSSL may hold the request already, and the watcher says nothing
            if self.server.draining is not None:
                self.server.draining.end_parked(self)

    def release_slot(self) -> None:
        """Give the pool slot back: the last octet of the answer has been given to the kernel."""
        if not self.slotless:
            self.slotless = True
            self.slots.busy -= 1
            if self.slots.wanted:
                self.slots.look_soon()

    def has_unread(self) -> bool:
        """Whether octets have arrived that nobody will read: closing would reset the connection."""
        return bool(self.buffer) or self.has_arrived()

    def request_behind(self, content: Body | None) -> bool:
        """Whether, at a stop, another request has arrived already behind the one being served.

        `content` is that one's, which the application may not have read to its end.
        """
        if self.server.draining is None:
            return False
        if self.reader is None:  # else what is in the kernel is for whoever waits for it
            self.fetch()
        return content.ends_within(self.buffer) if content is not None else bool(self.buffer)

    def fetch(self) -> None:
        """Take what has arrived into the buffer, as far as it might matter."""
        try:
            while len(self.buffer) < 2 * RECEIVE_SIZE and (data := self.recv_now()):
                self.buffer += data
        except ClientDisconnected:
            pass  # sending will tell

    def write_timeout(self) -> float:
        return self.server.settings.write_timeout

    # The end.

    def linger(self) -> None:
        """Half-close, and give the peer time to read what was sent: a reset would destroy it."""
        if self.watcher is None:
            return
        self.state = LINGERING
        self.buffer = b""
        self.half_close()
        timeout = self.server.settings.linger_timeout
        if timeout:
            self.wait_for(timeout)
        else:
            self.close()

    def discard_input(self) -> None:
        """Throw away what arrives on a lingering connection; only its time is bounded.

        A client may send all of a large upload before it reads why that was refused.
        """
        try:
            data = self.recv_now()
        except ClientDisconnected:
            data = b""
        if data == b"":
            self.close()

    def close(self) -> None:
        """End it at once."""
        if self.state is CLOSED:
            return
        self.state = CLOSED
        self.close_socket()
        self.buffer = b""
        self.head = self.environ = None
        self.server.forget(self)

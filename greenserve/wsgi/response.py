"""The response to one request: start_response, the write callable, and how content is framed.

PEP 3333; RFC 9112, 6.  A response ends its framing itself whatever the application does: content
that does not fit is cut off and reported, content that is missing cuts the connection.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol

from greenserve.errors import ApplicationError
from greenserve.protocol.chunked import LAST_CHUNK
from greenserve.protocol.response import ResponseHead, serialize_head, serialize_interim
from greenserve.protocol.status import BODYLESS
from greenserve.wsgi.file_wrapper import FileWrapper, file_region

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

#: Up to here head and content leave as one block: copying is cheaper than a second system call.
JOIN_LIMIT = 65536

#: After so many bytes the others get a turn, so that one download cannot starve them; a block counts
#: for so many more, because making it takes time, too.
TURN_BYTES = 1 << 20
BLOCK_BYTES = 1 << 14

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Sink(Protocol):
    """Where a response goes.  What these raise says that the client is gone."""

    def send_all(self, data: bytes) -> None: ...
    def send_file(self, fileno: int, offset: int, count: int) -> int: ...
    def can_send_file(self) -> bool: ...
    def give_turn(self) -> None: ...
    def request_behind(self, content: Any) -> bool: ...


def format_date(seconds: float) -> str:
    """Return an IMF-fixdate (RFC 9110, 5.6.7) for seconds since the epoch."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(seconds)
    date = f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month - 1]} {year:04d}"
    return f"{date} {hour:02d}:{minute:02d}:{second:02d} GMT"


class DefaultFields:
    """What the server adds to each response; the fields are rendered once a second.

    `persistent` is false where no connection may be kept, because the server is stopping.  `closing` are
    those of an answer after which the client wants the connection closed.
    """

    __slots__ = ("closing", "date", "end", "expires", "option", "persistent", "server", "settles")

    def __init__(self, server: str, closes: bool = False) -> None:
        self.server = f"Server: {server}\r\n".encode("latin-1") if server else b""
        self.date = b""
        self.end = b""  # all of them, and the end of the head
        self.option = b"Connection: close\r\n" if closes else b""
        self.settles = not closes
        self.closing = self if closes else DefaultFields(server, True)
        self.expires = 0.0
        self.persistent = True

    def render(self, now: float) -> None:
        """Render for the second that `now` is in."""
        self.date = f"Date: {format_date(now)}\r\n".encode("latin-1")
        self.end = self.date + self.server + self.option + b"\r\n"
        self.expires = float(int(now) + 1)

    def look_at_clock(self) -> None:
        """Have the date rendered anew if the clock was set back: a response does so for later seconds."""
        for fields in (self, self.closing):
            if time.time() < fields.expires - 1.0:
                fields.expires = 0.0

    def missing_from(self, head: ResponseHead) -> bytes:
        """Return those of the fields that the application has not given itself."""
        return (b"" if head.has_date else self.date) + (b"" if head.has_server else self.server)


class Response:
    """One response.  `persistent` says, once it has begun, whether the connection may be kept.

    Class attributes are the state of a response that has not begun: making one sets what most responses
    look at (which is cheaper than to find it in the class) and nothing else.
    """

    # What is asked for.
    method = "GET"
    http_minor = 1
    persistent = True
    content: Any = None  # the request's, for what it means to the connection

    # What has become of it.
    status = ""
    fields: list[tuple[str, str]] = []  # noqa: RUF012  (never changed); as the application gave them, for the access log
    begun = False  # the head has been given to the sink
    finished = False  # no octet of it will follow
    sent = 0  # octets of content given to the sink
    complaint = ""  # what the application did wrong without an exception
    _chunked = False
    _remaining: int | None = None
    _bodyless = False
    _turn = TURN_BYTES  # what the write callable has left until the others get theirs

    def __init__(self, sink: Sink, defaults: DefaultFields) -> None:
        self.sink = sink
        self.defaults = defaults
        self.plain = True  # what is asked for is as in RequestHead.plain, and nothing has been sent
        self.settled = False  # nothing is left to look at: it is out, and the connection may be kept
        self.head: ResponseHead | None = None

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """The callable of PEP 3333.  Raises UnicodeError, ValueError, ApplicationError."""
        if self.head is not None or self.finished:
            try:
                self._start_again(exc_info)
            finally:
                exc_info = None  # PEP 3333: a traceback that holds its own frame is a cycle
        self.head = serialize_head(status, headers)
        self.status = status
        self.fields = headers
        return self.write

    def _start_again(self, exc_info: ExcInfo | None) -> None:
        try:
            if exc_info is None:
                raise ApplicationError("start_response was called twice without exc_info")
            if self.begun or self.finished:
                raise exc_info[1].with_traceback(exc_info[2])
        finally:
            exc_info = None  # the same

    def write(self, data: bytes) -> None:
        """The write callable of PEP 3333: the block has left, or is on its way, on return."""
        self._check_open()
        self._send_block(data)
        self._turn -= len(data) + BLOCK_BYTES
        if self._turn < 0:
            self._turn = TURN_BYTES
            self.sink.give_turn()

    def early_hints(self, headers: list[tuple[str, str]]) -> None:
        """Send a 103 with these fields, if that is still possible and the client may take it."""
        if self.http_minor and not self.begun and not self.finished:
            self.sink.send_all(serialize_interim("103 Early Hints", headers))

    def send_iterable(self, iterable: Iterable[bytes]) -> None:
        """Send what the application returned, block by block as it comes, and the end of it."""
        if isinstance(iterable, (list, tuple)):
            self.send_list(iterable)
        elif not hasattr(iterable, "__iter__") and not hasattr(iterable, "__getitem__"):
            raise ApplicationError(
                f"the application returned {type(iterable).__name__}, no iterable of bytes"
            )
        elif not isinstance(iterable, FileWrapper) or self.head is None or not self._send_file(iterable):
            self._send_blocks(iterable)

    def _send_blocks(self, iterable: Iterable[bytes]) -> None:
        turn = TURN_BYTES
        for data in iterable:
            if self._chunked and type(data) is bytes and 0 < len(data) <= JOIN_LIMIT and not self.finished:
                self.sent += len(data)  # most blocks of a stream
                self.sink.send_all(b"%x\r\n%b\r\n" % (len(data), data))
            elif data or type(data) is not bytes:
                if self.finished:
                    self._check_open()
                if not self._send_block(data):
                    break  # nothing that follows can be sent, and it might never end
            turn -= len(data) + BLOCK_BYTES  # of nothing, too: there may be no end of it
            if turn < 0:
                turn = TURN_BYTES
                self.sink.give_turn()
        self.finish()

    def finish(self) -> None:
        """Send what is left: a head that no block has sent, the last chunk."""
        head = b"" if self.begun else self._serialize(None)
        self.finished = True
        if self._chunked:
            head += LAST_CHUNK
        if head:
            self.sink.send_all(head)
        if self._remaining:
            self.complaint = f"the response is {self._remaining} bytes shorter than its Content-Length"
            self.persistent = False

    @property
    def ends_by_close(self) -> bool:
        """Whether only the end of the connection tells the end of the content."""
        if self.settled or self._chunked or self._bodyless:
            return False
        return self.begun and self._remaining is None

    def abandon(self) -> None:
        """End the response where it stands: late calls of start_response and write change nothing."""
        self.finished = True

    def _check_open(self) -> None:
        if self.finished:
            raise ApplicationError("the response has ended")

    def send_list(self, blocks: list[bytes] | tuple[bytes, ...]) -> None:
        """Send a list of blocks; its length is known, so its framing is, too."""
        head = self.head
        if self.plain and len(blocks) == 1 and head is not None and head.plain:
            data = blocks[0]
            defaults = self.defaults
            if type(data) is bytes and defaults.persistent and head.content_length == len(data) <= JOIN_LIMIT:
                # What most responses are: fields that do not concern the server, and one block.
                if (now := time.time()) >= defaults.expires:
                    defaults.render(now)
                self.begun = self.finished = True
                self.settled = defaults.settles
                self.sent = len(data)
                self.sink.send_all(head.octets + defaults.end + data)
                return
        if self.begun:
            self._send_blocks(blocks)
            return
        blocks = [_as_bytes(block) for block in blocks]
        total = sum(map(len, blocks))
        data = b"".join(blocks) if total <= JOIN_LIMIT or len(blocks) == 1 else b""
        octets = self._serialize(total)
        if self._bodyless or self._remaining != total or len(data) != total:
            self.sink.send_all(octets)
            self._send_blocks(blocks)
            return
        self.finished = True
        self.sent = total
        if total <= JOIN_LIMIT:
            self.sink.send_all(octets + data)
        else:
            self.sink.send_all(octets)
            self.sink.send_all(data)

    def _serialize(self, total: int | None) -> bytes:
        """Return the whole head and decide the framing; `total` is the length if it is known."""
        head = self.head
        if head is None:
            raise ApplicationError("the application did not call start_response")
        self.begun = True
        self.plain = False
        defaults = self.defaults
        now = time.time()
        if now >= defaults.expires:
            defaults.render(now)
        added = defaults.missing_from(head)
        if head.code == 101 or head.close:
            self.persistent = False
        elif not defaults.persistent:
            self.persistent = self.persistent and self.sink.request_behind(self.content)
        elif self.content is not None and self.content.forces_close(total is not None):
            self.persistent = False
        if head.content_length is not None:
            self._remaining = head.content_length
        elif self.method == "HEAD" or head.code in BODYLESS:
            pass
        elif total is not None:
            self._remaining = total
            added += b"Content-Length: %d\r\n" % total
        elif self.http_minor:
            self._chunked = True
            added += b"Transfer-Encoding: chunked\r\n"
        else:
            self.persistent = False
        if self.method == "HEAD" or head.code in BODYLESS:
            self._bodyless = head.code != 101
            self._remaining = None
        if not self.persistent or not self.http_minor or head.upgrade:
            added += self._connection_field(head)
        return head.octets + added + b"\r\n"

    def _connection_field(self, head: ResponseHead) -> bytes:
        if head.code == 101:
            return b""  # the application's own
        options = [b"close"] if not self.persistent else [] if self.http_minor else [b"keep-alive"]
        if head.upgrade:
            options.append(b"upgrade")
        return b"Connection: %b\r\n" % b", ".join(options)

    def _send_block(self, data: bytes) -> bool:
        """Send one block; return whether another one could be sent."""
        if type(data) is not bytes:
            data = _as_bytes(data)
        head = b"" if self.begun else self._serialize(None)
        if self._bodyless:
            if data and self.method != "HEAD":
                self.complaint = f"a {self.status[:3]} response has no content: {len(data)} bytes dropped"
            data = b""
        elif self._remaining is not None:
            if len(data) > self._remaining:
                self.complaint = "the response is longer than its Content-Length: cut off"
                data = data[: self._remaining]
            self._remaining -= len(data)
        self.sent += len(data)
        if self._chunked and data:
            if len(data) <= JOIN_LIMIT:
                self.sink.send_all(b"%b%x\r\n%b\r\n" % (head, len(data), data))
            else:
                self.sink.send_all(b"%b%x\r\n" % (head, len(data)))
                self.sink.send_all(data)
                self.sink.send_all(b"\r\n")
        elif len(head) + len(data) <= JOIN_LIMIT or not head:
            if head or data:
                self.sink.send_all(head + data if head else data)
        else:
            self.sink.send_all(head)
            self.sink.send_all(data)
        return not (self._bodyless or self.complaint)

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Send a regular file by sendfile(2); return False where it has to be read instead."""
        region = file_region(wrapper.filelike) if self.sink.can_send_file() else None
        if region is None:
            return False
        fileno, offset, count = region
        if not self.begun:
            self.sink.send_all(self._serialize(count))
        if self._bodyless:
            self.finished = True
            return True
        if self._chunked:
            return False
        if self._remaining is not None and count > self._remaining:
            count = self._remaining  # a range of the file, its length given by the application
        # The application may close its file meanwhile, and another get the number.
        own = os.dup(fileno)
        try:
            sent = self.sink.send_file(own, offset, count)
        finally:
            os.close(own)
        self.sent += sent
        if self._remaining is not None:
            self._remaining -= sent
        elif sent < count:
            # Only the end of the connection ends this content, so a plain end would pass for the whole of it.
            raise ApplicationError(f"the file ended {count - sent} bytes early, it became shorter meanwhile")
        self.finish()
        return True


def _as_bytes(data: Any) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ApplicationError(f"the application gave a block of type {type(data).__name__}, bytes are wanted")

"""The content of one request, as it is received: the source behind wsgi.input (RFC 9112, 6 and 7)."""

from __future__ import annotations

import tempfile
import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from greenserve.errors import BodyError, BodyTimeout, ClientDisconnected
from greenserve.net.stream import RECEIVE_SIZE, DeadlinePassed
from greenserve.protocol.chunked import ChunkedDecoder
from greenserve.protocol.framing import LengthDecoder
from greenserve.protocol.head import RequestHead

if TYPE_CHECKING:
    from greenserve.server.connection import Connection
    from greenserve.wsgi.response import Response

#: Seconds of waiting before the minimum rate is looked at: a start may be slow.
RATE_GRACE = 5.0

#: After so many bytes of content the others get a turn; chunks cost more, so they get one after each recv.
TURN_BYTES = 1 << 18

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Body:
    """What has been announced as content of the request whose head is `head`.

    `failed` tells that it can never be read to its end, whatever the application made of the error.
    """

    __slots__ = (
        "_connection",
        "_decoder",
        "_ended",
        "_expected",
        "_file",
        "_received",
        "_response",
        "_turn",
        "_waited",
        "failed",
    )

    def __init__(self, connection: Connection, head: RequestHead, response: Response) -> None:
        settings = connection.server.settings
        self._connection = connection
        self._decoder: ChunkedDecoder | LengthDecoder = (
            ChunkedDecoder(settings.limit_chunk_line, settings.limit_trailers, settings.limit_request_body)
            if head.chunked
            else LengthDecoder(head.content_length or 0)
        )
        self._expected = head.expect_continue
        self._received = len(connection.buffer)
        self._turn = RECEIVE_SIZE
        self._waited = 0.0
        self._ended = False
        self._file: Any = None
        self.failed = False
        self._response = response

    @property
    def done(self) -> bool:
        """Whether the last octet of it has been taken from the connection."""
        return self._decoder.done

    @property
    def awaits_continue(self) -> bool:
        """Whether the client still waits for a 100: it may never send this content."""
        return self._expected and not self._decoder.done

    def receive(self, most: int = 0) -> bytes:
        """Return the next piece of the content, b"" at its end.

        More than `most` octets are of no use now (0: all are): so many are received at once at most, if they
        are octets of the content and not of its chunks.

        Raises what is an OSError too: BodyError and its kinds, ClientDisconnected.
        """
        if self._ended:
            raise ClientDisconnected("wsgi.input was read after the request had ended")
        if self._expected:
            self._expected = False
            if not self._response.begun:
                self._connection.send_all(CONTINUE)
        try:
            return self._receive(most)
        except BaseException:
            self.failed = True
            raise

    def _receive(self, most: int) -> bytes:
        connection, decoder = self._connection, self._decoder
        if not 0 < most < RECEIVE_SIZE or not isinstance(decoder, LengthDecoder):
            most = RECEIVE_SIZE
        while not decoder.done:
            buffer = connection.buffer
            if buffer:
                content, position = decoder.decode(buffer, 0)
                connection.buffer = buffer[position:]
                if content:
                    return content
                if decoder.done:
                    break
            data = self._receive_more(most)
            connection.buffer = connection.buffer + data if connection.buffer else data
        return b""

    def _receive_more(self, most: int) -> bytes:
        connection = self._connection
        settings = connection.server.settings
        data = connection.recv_now(most)
        has_waited = data is None
        if data is None:
            before = time.monotonic()
            try:
                data = connection.recv(settings.body_timeout, most)
            except DeadlinePassed:
                raise BodyTimeout(f"nothing of the body came for {settings.body_timeout:g} seconds") from None
            self._waited += time.monotonic() - before
        if not data:
            raise ClientDisconnected("unexpected end of the request's content")
        self._received += len(data)
        rate = settings.body_rate
        if has_waited and rate and self._waited > RATE_GRACE and self._received < rate * self._waited:
            raise BodyTimeout(f"the body came more slowly than {rate} bytes a second")
        self._turn -= len(data)
        if self._turn <= 0:
            # A client that sends faster than this reads would keep the hub to itself.
            self._turn = TURN_BYTES if isinstance(self._decoder, LengthDecoder) else RECEIVE_SIZE
            connection.give_turn()
        return data

    def trailers(self) -> list[tuple[str, str]]:
        """Return the trailer fields; none before the content has been read to its end."""
        return list(self._decoder.trailers) if self._decoder.done else []

    def drain(self, limit: int) -> bool:
        """Read what the application left unread; return whether that was all, and below `limit` bytes."""
        if self.failed or self.awaits_continue:
            return False
        self._expected = False
        if isinstance(self._decoder, LengthDecoder) and self._decoder.remaining > limit:
            return False
        left = limit
        while left >= 0:
            piece = self.receive()
            if not piece:
                return True
            left -= len(piece)
        return False

    def end(self) -> None:
        """The request is over: nothing of the connection is read through this any more."""
        self._ended = True
        if self._file is not None:
            self._file.close()

    def forces_close(self, is_last_chance: bool) -> bool:
        """Whether it is certain already that no request can follow on this connection.

        `is_last_chance`: the application has returned and will read no more.
        """
        if self.failed or self.awaits_continue:
            return True
        decoder = self._decoder
        limit = self._connection.server.settings.limit_drain
        return is_last_chance and isinstance(decoder, LengthDecoder) and decoder.remaining > limit

    def ends_within(self, buffer: bytes) -> bool:
        """Whether the rest of it is at the beginning of `buffer`, may be drained, and more follows there."""
        if self.failed or self.awaits_continue:
            return False
        decoder = deepcopy(self._decoder)
        try:
            content, position = decoder.decode(buffer, 0)
        except BodyError:
            return False
        limit = self._connection.server.settings.limit_drain
        return decoder.done and len(content) <= limit and position < len(buffer)

    def spool(self, memory: int) -> Any:
        """Return a file with all of the content, in memory up to `memory` bytes; it ends with the request."""
        self._file = file = tempfile.SpooledTemporaryFile(memory)  # noqa: SIM115  (closed by `end`)
        while piece := self.receive():
            file.write(piece)
        return file

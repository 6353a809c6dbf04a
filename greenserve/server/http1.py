"""The HTTP/1.1 connection loop: one greenlet, the requests of one connection in order.

    serve -> Response, run_application -> Response.send_* -> Stream.send_all
          -> settle (what the application left unread, persistence)
          -> fail   (whatever was raised)  -> refuse, cut

RFC 9112, 9; PEP 3333.
"""

from __future__ import annotations

import enum
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

from gevent import GreenletExit
from greenlet import getcurrent

from greenserve.errors import ApplicationError, ClientDisconnected, ContentTooLarge, ProtocolError
from greenserve.protocol.head import RequestHead, parse_head
from greenserve.server.body import Body
from greenserve.server.forks import end_child
from greenserve.server.lending import forget_request
from greenserve.server.takeover import UpgradeInput
from greenserve.wsgi.input import Input
from greenserve.wsgi.response import Response, format_date
from greenserve.wsgi.run import Application, application_traceback, run_application

if TYPE_CHECKING:
    from greenserve.server.connection import Connection
    from greenserve.server.server import WSGIServer


#: After so many pipelined requests in a row the others get a turn.
TURN_REQUESTS = 16


class Next(enum.Enum):
    """What is to become of a connection whose protocol loop has returned."""

    PARK = "park"
    CLOSE = "close"
    LINGER = "linger"
    HANDED_OVER = "handed over"


PARK, CLOSE, LINGER, HANDED_OVER = Next


def serve(connection: Connection) -> Next:
    """Answer the requests that have arrived, in order, and say what becomes of this connection.

    This is the one place that catches BaseException: whatever the application raises, or is thrown
    into its greenlet, ends that request and nothing else.
    """
    server = connection.server
    response: Response | None = None
    environ: dict[str, Any] = {}
    started = 0.0
    in_a_row = 0
    try:
        head = connection.head
        if head is None:
            if connection.refusal is not None:
                raise connection.refusal
            return CLOSE  # it was closed before this greenlet came to run
        environ = connection.environ  # type: ignore[assignment]  # set together with the head
        while True:
            environ["REMOTE_ADDR"] = connection.remote_addr
            environ["REMOTE_PORT"] = connection.remote_port
            if connection.own_environ is not None:
                environ.update(connection.own_environ)
            response = Response(connection, server.defaults)
            application = server.application
            running = server.running
            if running is not None:
                running.client.value = connection.client
                running.head.value = head.octets
            if server.log_access is not None:
                started = time.monotonic()
            if head.plain:
                environ["wsgi.early_hints"] = response.early_hints
            else:
                application = prepare(connection, head, environ, response)
            run_application(application, environ, response)
            if not response.settled:
                following = settle(connection, environ, response, started)
                if following is not None:
                    return following
            elif started and server.log_access is not None:
                elapsed = time.monotonic() - started  # as log_access() does
                server.log_access(
                    environ, response.status, response.fields, response.sent,
                    time.time() - elapsed, elapsed, connection.remote_addr,
                )  # fmt: skip
            if not connection.buffer or server.slots.line:
                return PARK  # others have waited longer for the slot
            response = None
            started = 0.0
            in_a_row += 1
            if in_a_row % TURN_REQUESTS == 0:
                connection.pause()
            connection.environ = environ = connection.acceptor.new_environ()
            connection.head = head = parse_head(connection.buffer, 0, server.limits, environ)
            if head is None:
                return PARK
            connection.buffer = connection.buffer[head.end :]
            forget_request(getcurrent())
            if running is not None:
                connection.note_next()
    except BaseException as error:  # noqa: B036  (the one place, see above)
        return fail(connection, environ, response, started, error)


def prepare(
    connection: Connection, head: RequestHead, environ: dict[str, Any], response: Response
) -> Application:
    """Make ready for a request that is not plain; return what answers it.  Raises ContentTooLarge."""
    application: Application = connection.server.application
    if head.plain_but_last:
        response.defaults = response.defaults.closing
        response.persistent = False
        environ["wsgi.early_hints"] = response.early_hints
        return application
    if head.plain_but_content and take_content(connection, head.content_length, environ):
        environ["wsgi.early_hints"] = response.early_hints
        return application
    response.plain = False
    response.method = environ["REQUEST_METHOD"]
    response.http_minor = head.http_minor
    response.persistent = head.persistent
    if head.http_minor:
        environ["wsgi.early_hints"] = response.early_hints
    if head.content_length or head.chunked or head.upgrade:
        provide_content(connection, head, environ, response)
    return application if environ["RAW_URI"] != "*" else answer_options


def take_content(connection: Connection, length: int | None, environ: dict[str, Any]) -> bool:
    """Take content out of the buffer and be done with it, if all of it has come and it could be drained.

    Raises ContentTooLarge.
    """
    buffer, settings = connection.buffer, connection.server.settings
    if length is None or length > len(buffer) or length > settings.limit_drain:
        return False
    if settings.limit_request_body:
        check_content_length(connection, length)
    environ["wsgi.input"] = BytesIO(buffer[:length])
    connection.buffer = buffer[length:]
    return True


def provide_content(
    connection: Connection, head: RequestHead, environ: dict[str, Any], response: Response
) -> None:
    """Put the request's content into the environ.  Raises ContentTooLarge."""
    settings = connection.server.settings
    check_content_length(connection, head.content_length or 0)
    body = response.content = Body(connection, head, response)
    if head.chunked:
        environ["greenserve.trailers"] = body.trailers
    if head.chunked and settings.buffer_chunked:
        file = body.spool(settings.buffer_memory)
        environ["CONTENT_LENGTH"] = str(file.tell())
        del environ["HTTP_TRANSFER_ENCODING"]
        file.seek(0)
        environ["wsgi.input"] = file
    elif head.upgrade:
        environ["wsgi.input"] = UpgradeInput(body.receive, connection, response)
    else:
        environ["wsgi.input"] = Input(body.receive)


def check_content_length(connection: Connection, length: int) -> None:
    """Raise ContentTooLarge for more than is allowed."""
    limit = connection.server.settings.limit_request_body
    if 0 < limit < length:
        raise ContentTooLarge(f"content of {length} bytes, {limit} are allowed")


def settle(
    connection: Connection, environ: dict[str, Any], response: Response, started: float
) -> Next | None:
    """Say what follows an answer that is complete; None: the next request may be read."""
    server = connection.server
    if connection.taken is not None:
        return hand_over(connection, environ, response, started)
    if connection.has_waiters():
        response.persistent = False  # a write has failed, or goes on without the application
        if response.ends_by_close:
            connection.reset()
    if response.complaint:
        server.errors.error("%s: %s", describe(environ), response.complaint)
    if response.head is not None and response.head.dropped:
        server.warn_dropped(response.head.dropped)
    if started:
        log_access(connection, environ, response.status, response, started)
    body = response.content
    if body is not None:
        if not body.done:
            return drain(connection, response, body)
        body.end()
        if body.failed:
            return LINGER
    if response.persistent:
        return None
    # A close with unread input resets the connection, and may destroy the answer on its way.
    # TLS has an end of its own, which the peer is to see.
    return LINGER if connection.has_unread() or connection.own_environ is not None else CLOSE


def drain(connection: Connection, response: Response, body: Body) -> Next:
    """Read what the application left of the content, if that is little, so that the connection lives."""
    connection.release_slot()  # the answer is out; this may take its time
    try:
        may_wait = getcurrent() is not connection.hub
        reusable = response.persistent and may_wait and body.drain(connection.server.settings.limit_drain)
    except ClientDisconnected:
        return CLOSE
    except ProtocolError as error:
        connection.server.errors.info("unread content from %s: %s", connection.peer, error.detail)
        return LINGER
    finally:
        body.end()
    return PARK if reusable else LINGER


def fail(
    connection: Connection,
    environ: dict[str, Any],
    response: Response | None,
    started: float,
    error: BaseException,
) -> Next:
    """Answer, or cut, a request that ended in an exception; say what follows."""
    end_child(error)
    server = connection.server
    finished = response is not None and response.finished
    if response is not None:
        response.abandon()
        if response.content is not None:
            response.content.end()
    if connection.taken is not None:
        if not isinstance(error, (ApplicationError, ClientDisconnected, StopIteration, GreenletExit)):
            report(server, environ, error)
        return hand_over(connection, environ, response, started)
    if isinstance(error, ProtocolError):
        if response is None or not response.begun:
            return refuse(connection, environ, error, started)
        server.errors.info("%s: %s", describe(environ), error.detail)
    elif isinstance(error, ApplicationError) and application_traceback(error) is None:
        server.errors.error("%s: %s", describe(environ), error)  # there is no traceback but ours
    elif isinstance(error, ClientDisconnected):
        server.errors.debug("%s from %s: %s", describe(environ), connection.peer, error)
    elif not isinstance(error, GreenletExit):
        report(server, environ, error)
    if response is not None and not response.begun and not isinstance(error, ClientDisconnected):
        return answer_error(connection, environ, "500 Internal Server Error", started)
    if response is not None and started and not connection.slotless:  # else what came late has hit drain()
        log_access(connection, environ, response.status, response, started)
    if response is None or isinstance(error, ClientDisconnected):
        return CLOSE
    if response.ends_by_close and not finished:
        connection.reset()  # an end would look like the end of the content
        return CLOSE
    return LINGER  # the framing shows the cut; what was answered before it may still be on its way


def report(server: WSGIServer, environ: dict[str, Any], error: BaseException) -> None:
    """Report what the application raised; a log that cannot be written does not cost the answer."""
    try:
        server.report_error(environ, error)
    except Exception as broken:
        server.errors.error("%s: %r could not be reported: %r", describe(environ), error, broken)


def refuse(connection: Connection, environ: dict[str, Any], error: ProtocolError, started: float) -> Next:
    """Answer a request that broke the protocol; the application never saw it, or gave up on it."""
    connection.refusal = None
    status = f"{error.status.value} {error.status.phrase}"
    connection.server.errors.info("%s from %s: %s", status, connection.peer, error.detail)
    return answer_error(connection, environ, status, started)


def answer_error(connection: Connection, environ: dict[str, Any], status: str, started: float) -> Next:
    """Send an answer of the server's own, which is the last on this connection."""
    phrase = status[4:].encode("latin-1")
    method = environ.get("REQUEST_METHOD") or connection.buffer.removeprefix(b"\r\n")[:5].decode("latin-1")
    content = b"" if method in ("HEAD", "HEAD ") else phrase
    head = (
        f"HTTP/1.1 {status}\r\nDate: {format_date(time.time())}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(phrase)}\r\nConnection: close\r\n\r\n"
    )
    if connection.server.log_access is not None:
        log_access(connection, environ, status, None, started, len(content))
    try:
        connection.send_all(head.encode("latin-1") + content)
    except ClientDisconnected:
        return CLOSE
    return LINGER


def refuse_plain_http(connection: Connection) -> None:
    """Tell a client that spoke HTTP where TLS is spoken, in the language it understands."""
    connection.server.errors.info("plain HTTP from %s on a TLS port", connection.peer)
    if answer_error(connection, {}, "400 Bad Request", 0.0) is LINGER:
        connection.linger()
    else:
        connection.close()


def hand_over(
    connection: Connection, environ: dict[str, Any], response: Response | None, started: float
) -> Next:
    """The application has taken the socket: nothing more is written on it by the server."""
    taken = connection.taken
    assert taken is not None
    if response is not None:
        response.abandon()
    if connection.server.log_access is not None:
        log_access(connection, environ, "101 Switching Protocols", None, started, taken.sent)
    taken.application_returned()
    return HANDED_OVER


def answer_options(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer ``OPTIONS *``, which asks about the server and not about the application."""
    start_response("200 OK", [])
    return []


def log_access(
    connection: Connection,
    environ: dict[str, Any],
    status: str,
    response: Response | None,
    started: float,
    sent: int = 0,
) -> None:
    """Hand one finished request to the access log."""
    server = connection.server
    if server.log_access is not None:
        fields = response.fields if response is not None else []
        octets = response.sent if response is not None else sent
        now = time.time()
        elapsed = time.monotonic() - started if started else 0.0
        server.log_access(environ, status, fields, octets, now - elapsed, elapsed, connection.remote_addr)


def describe(environ: dict[str, Any]) -> str:
    """Return the request, for the error log."""
    return f"{environ.get('REQUEST_METHOD', '-')} {str(environ.get('RAW_URI', '-'))[:200]!r}"

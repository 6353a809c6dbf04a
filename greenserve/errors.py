"""Every exception that greenserve raises; each knows its own answer.

A `ProtocolError` is the peer's fault: it carries the status that it is answered with and a
`detail` for the log.  What reaches the application from ``wsgi.input`` or the write callable is
an `OSError` too, because frameworks know what to do with that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus


class GreenserveError(Exception):
    """What all errors of greenserve have in common."""


class ConfigError(GreenserveError):
    """A setting has a value that it cannot have.  Shown to the operator without a traceback of ours.

    `option` and `missing`, the setting that it would need beside it, are called as in the library, unless
    whoever raises this knows how they were given.  `origin` is the traceback text of a configuration file
    that failed, and empty otherwise.
    """

    origin = ""

    def __init__(self, option: str, value: object, reason: str, missing: str = "") -> None:
        super().__init__(option, value, reason, missing)
        self.option = option
        self.value = value
        self.reason = reason
        self.missing = missing

    def __str__(self) -> str:
        missing = f": {self.missing} is not given" if self.missing else ""
        return f"{self.option}: {self.value!r}: {self.reason}{missing}"

    def renamed(self, names: Mapping[str, str]) -> ConfigError:
        """Return this error with the names that the operator knows, as far as they are in `names`."""
        option, missing = (names.get(name, name) for name in (self.option, self.missing))
        return ConfigError(option, self.value, self.reason, missing)


class ListenError(GreenserveError, OSError):
    """A listener could not be had: the address is in use, not ours, or not permitted.

    An OSError too, with its `errno` where there is one: that is what gevent's servers raise.
    """


class AppImportError(GreenserveError):
    """The application could not be loaded: what was looked for, and where it stopped.

    `origin` is the traceback text of the application's own frames, empty when it has no part in it.
    """

    def __init__(self, message: str, origin: str = "") -> None:
        super().__init__(message)
        self.origin = origin


class ApplicationError(GreenserveError, AssertionError):
    """The application broke PEP 3333: 500 if nothing was sent, else the connection is cut."""


class ClientDisconnected(GreenserveError, ConnectionError):
    """The peer has gone, or takes nothing any more: nobody is left to answer."""


class ProtocolError(GreenserveError):
    """The peer broke the protocol.  Answered with `status`, one line in the log, no traceback.

    `detail` is for the log only and quotes at most 64 bytes of input.
    """

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class TargetTooLong(ProtocolError):
    """The request line is longer than `limit_request_line` (RFC 9112, 3)."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


class HeadTooLarge(ProtocolError):
    """Too many fields, one too long, or the head as a whole (RFC 6585, 5)."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class VersionNotSupported(ProtocolError):
    """A major version other than 1 (RFC 9110, 15.6.6)."""

    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED


class NotImplementedCoding(ProtocolError):
    """A transfer coding that is not known here (RFC 9112, 6.1)."""

    status = HTTPStatus.NOT_IMPLEMENTED


class MethodNotImplemented(ProtocolError):
    """CONNECT: this is an origin server, not a tunnel (RFC 9110, 9.3.6)."""

    status = HTTPStatus.NOT_IMPLEMENTED


class ExpectationFailed(ProtocolError):
    """An expectation other than 100-continue (RFC 9110, 10.1.1)."""

    status = HTTPStatus.EXPECTATION_FAILED


class RequestTimeout(ProtocolError):
    """A part of a request arrived, the rest did not within its time (RFC 9110, 15.5.9)."""

    status = HTTPStatus.REQUEST_TIMEOUT


class BodyError(ProtocolError, OSError):
    """A message body that cannot be read to its end; raised into the application."""


class ChunkedCodingError(BodyError):
    """The chunked transfer coding is broken (RFC 9112, 7.1)."""


class ContentTooLarge(BodyError):
    """The content is longer than `limit_request_body` (RFC 9110, 15.5.14)."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class TrailersTooLarge(BodyError):
    """The trailer section is longer than `limit_trailers` (RFC 6585, 5)."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class BodyTimeout(BodyError):
    """The body stalled, or came more slowly than `body_rate` (RFC 9110, 15.5.9)."""

    status = HTTPStatus.REQUEST_TIMEOUT

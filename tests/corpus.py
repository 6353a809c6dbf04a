"""The corpus of raw requests in tests/cases, and a driver that reads requests without a socket.

`load_cases` gives the cases, `read_requests` what the parser makes of octets that arrive in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from greenserve.errors import ProtocolError
from greenserve.protocol.chunked import ChunkedDecoder
from greenserve.protocol.framing import LengthDecoder
from greenserve.protocol.head import ENVIRON_PLACES, Limits, RequestHead, parse_head

CASES = Path(__file__).parent / "cases" / "http1"

#: Settings of a case that are not for the head but for `ChunkedDecoder`, and its names for them.
_BODY_SETTINGS = {"chunk_line": "line_limit", "trailers": "trailer_limit", "body": "body_limit"}

#: What `parse_head` puts into an environ beside the fields.
REQUEST_KEYS = frozenset(ENVIRON_PLACES)


@dataclass(frozen=True)
class ParsedRequest:
    """A request as the parser understood it, in the terms of the expectation files."""

    method: str
    target: str
    path: str
    query: str
    protocol: str
    fields: dict[str, str]
    body: str
    trailers: list[list[str]]
    persistent: bool
    expect_continue: bool
    upgrade: bool


@dataclass(frozen=True)
class Refusal:
    """The end of a connection: which status the peer is told, and where it broke the protocol."""

    status: int
    where: str
    detail: str = field(compare=False)


@dataclass(frozen=True)
class Case:
    """A raw request, and what is to become of it.

    `status` is 0 for a valid case.  `requests` are the requests to be answered: all of a valid case,
    those before the refused one otherwise.
    """

    name: str
    raw: bytes
    rule: str
    settings: dict[str, Any]
    requests: list[ParsedRequest]
    status: int = 0
    where: str = ""

    @property
    def outcome(self) -> list[ParsedRequest | Refusal]:
        """What `read_requests` is to yield for the case."""
        if not self.status:
            return [*self.requests]
        return [*self.requests, Refusal(self.status, self.where, "")]


def case_paths(kind: str) -> list[Path]:
    """Return the files that hold the octets of the "valid" or "refused" cases, in order."""
    return sorted((CASES / kind).glob("*.http"))


@cache
def load_cases(kind: str) -> tuple[Case, ...]:
    """Return the "valid" or the "refused" cases.

    An expectation that lacks a key, or has one too many, is a TypeError: nothing is assumed.
    """
    build: Callable[..., Case] = _build_valid if kind == "valid" else _build_refused
    cases = []
    for path in case_paths(kind):
        expectation = json.loads(path.with_suffix(".json").read_text("utf-8"))
        try:
            cases.append(build(path.stem, path.read_bytes(), **expectation))
        except TypeError as error:
            error.args = (f"{path.stem}: {error}",)
            raise
    return tuple(cases)


def _build_valid(
    name: str, raw: bytes, *, rule: str, settings: dict[str, Any], requests: list[dict[str, Any]]
) -> Case:
    return Case(name, raw, rule, settings, [ParsedRequest(**request) for request in requests])


def _build_refused(
    name: str,
    raw: bytes,
    *,
    rule: str,
    settings: dict[str, Any],
    before: list[dict[str, Any]],
    status: int,
    where: str,
) -> Case:
    return Case(name, raw, rule, settings, [ParsedRequest(**request) for request in before], status, where)


class RequestReader:
    """The requests in octets that arrive bit by bit, as a server that sends nothing would see them.

    It goes on behind a request that ends the connection or asks for an upgrade: where octets belong
    does not depend on either.  `rest` is what has not been used.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._limits = Limits(**{key: value for key, value in settings.items() if key not in _BODY_SETTINGS})
        self._decoder_limits = {
            _BODY_SETTINGS[key]: settings[key] for key in _BODY_SETTINGS if key in settings
        }
        self._buffer = b""
        self._position = 0
        self._head: RequestHead | None = None
        self._environ: dict[str, Any] = {}
        self._decoder: LengthDecoder | ChunkedDecoder = LengthDecoder(0)
        self._content = b""

    @property
    def rest(self) -> bytes:
        return self._buffer[self._position :]

    @property
    def between_requests(self) -> bool:
        """Whether every octet so far belongs to a request that is complete."""
        return self._head is None and not self.rest

    def feed(self, piece: bytes) -> Iterator[ParsedRequest | Refusal]:
        """Yield the requests that `piece` completes; a `Refusal` is the last thing there is."""
        self._buffer = self.rest + piece
        self._position = 0
        while True:
            try:
                request = self._next_request()
            except ProtocolError as error:
                yield Refusal(int(error.status), "body" if self._head else "head", error.detail)
                return
            if request is None:
                return
            yield request

    def _next_request(self) -> ParsedRequest | None:
        if self._head is None:
            self._environ = dict(ENVIRON_PLACES)
            self._head = parse_head(self._buffer, self._position, self._limits, self._environ)
            if self._head is None:
                return None
            self._position = self._head.end
            self._decoder = self._choose_decoder(self._head)
            self._content = b""
        while not self._decoder.done:
            # What is wrong behind good content comes out with the call that follows.
            content, self._position = self._decoder.decode(self._buffer, self._position)
            self._content += content
            if not content and not self._decoder.done:
                return None
        request = self._build_request(self._head)
        self._head = None
        return request

    def _choose_decoder(self, head: RequestHead) -> LengthDecoder | ChunkedDecoder:
        if head.chunked:
            return ChunkedDecoder(**self._decoder_limits)
        return LengthDecoder(head.content_length or 0)

    def _build_request(self, head: RequestHead) -> ParsedRequest:
        environ = self._environ
        assert environ["RAW_URI"] == environ["REQUEST_URI"]
        return ParsedRequest(
            method=environ["REQUEST_METHOD"],
            target=environ["RAW_URI"],
            path=environ["PATH_INFO"],
            query=environ["QUERY_STRING"],
            protocol=environ["SERVER_PROTOCOL"],
            fields={key: value for key, value in environ.items() if key not in REQUEST_KEYS},
            body=self._content.decode("latin-1"),
            trailers=[[name, value] for name, value in self._decoder.trailers],
            persistent=head.persistent,
            expect_continue=head.expect_continue,
            upgrade=head.upgrade,
        )


def read_requests(
    pieces: Iterable[bytes], settings: dict[str, Any] | None = None
) -> Iterator[ParsedRequest | Refusal]:
    """Yield what the parser makes of octets that arrive in `pieces`: requests, and last a `Refusal`.

    `settings` are those of a case (tests/cases/README.md).  Nothing behind a refusal is looked at.
    """
    reader = RequestReader(settings or {})
    for piece in pieces:
        for result in reader.feed(piece):
            yield result
            if isinstance(result, Refusal):
                return


def cut(octets: bytes, size: int) -> Iterator[bytes]:
    """Yield `octets` in pieces of `size`, the last one possibly shorter."""
    for start in range(0, len(octets), size):
        yield octets[start : start + size]

"""The corpus of tests/cases against a real server: what is valid is answered, what is not is refused.

Each case is sent whole, and in small pieces, with another request behind it.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import pytest

from tests.corpus import Case, ParsedRequest, load_cases
from tests.functional.client import Answer, Client
from tests.functional.serving import Environ, serving

#: The server's names for the settings of a case.
SETTINGS = {
    "request_line": "limit_request_line",
    "fields": "limit_request_fields",
    "field_size": "limit_request_field_size",
    "head": "limit_request_head",
    "underscore": "underscore_fields",
    "chunk_line": "limit_chunk_line",
    "trailers": "limit_trailers",
    "body": "limit_request_body",
}

BEHIND = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

#: Most pieces that a case is sent in; all but the longest are sent octet by octet.
MOST_PIECES = 200


class Witness:
    """An application that writes down what it is asked, in the terms of the corpus.

    `begun` are the targets, also of requests whose content could not be read.
    """

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.begun: list[str] = []

    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        self.begun.append(environ["RAW_URI"])
        body = environ["wsgi.input"].read()
        trailers = environ["greenserve.trailers"]() if "greenserve.trailers" in environ else []
        self.seen.append(
            {
                "method": environ["REQUEST_METHOD"],
                "target": environ["REQUEST_URI"],
                "path": environ["SCRIPT_NAME"] + environ["PATH_INFO"],
                "query": environ["QUERY_STRING"],
                "protocol": environ["SERVER_PROTOCOL"],
                "fields": {
                    key: value
                    for key, value in environ.items()
                    if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
                },
                "body": body.decode("latin-1"),
                "trailers": [list(trailer) for trailer in trailers],
            }
        )
        start_response("200 OK", [])
        return [b"seen"]


def expected(request: ParsedRequest) -> dict[str, Any]:
    """Return what the witness has to write down."""
    names = ("method", "target", "path", "query", "protocol", "fields", "body", "trailers")
    return {name: getattr(request, name) for name in names}


def for_the_application(requests: list[ParsedRequest]) -> list[dict[str, Any]]:
    """Return what reaches the application: ``OPTIONS *`` does not."""
    return [expected(request) for request in requests if request.target != "*"]


def answered(requests: list[ParsedRequest]) -> list[ParsedRequest]:
    """Return the requests up to the first one that ends the connection."""
    persistent = list(takewhile(lambda request: request.persistent, requests))
    return requests[: len(persistent) + 1]


def read_final(client: Client, method: str, may_continue: bool) -> Answer:
    """Return the final response; a 100 may come first only where the client waits for one."""
    if may_continue:
        while not client.buffer.startswith(b"HTTP/1.1") or len(client.buffer) < 12:
            client._fill()
        if client.buffer.startswith(b"HTTP/1.1 100"):
            assert client.read_interim().fields == []
    return client.read(method)


def settings_of(case: Case) -> dict[str, Any]:
    return {SETTINGS[name]: value for name, value in case.settings.items()}


def first_word(octets: bytes) -> str:
    return octets.lstrip(b"\r\n").split(b" ")[0].decode("latin-1")


def send(client: Client, octets: bytes, whole: bool) -> None:
    """Send `octets` and another request behind them."""
    client.send_pieces(octets, len(octets) if whole else -(-len(octets) // MOST_PIECES))
    client.send(BEHIND)


ways = pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])


@ways
@pytest.mark.parametrize("case", load_cases("valid"), ids=lambda case: case.name)
def test_a_valid_case_is_answered_and_seen_as_it_is(case: Case, whole: bool) -> None:
    witness = Witness()
    requests = answered(case.requests)
    with serving(witness, **settings_of(case)) as served:
        client = served.connect()
        send(client, case.raw, whole)
        for request in requests:
            answer = read_final(client, request.method, request.expect_continue)
            assert answer.status == 200
            assert answer.closes is not request.persistent
        if requests[-1].persistent:
            assert client.read().content == b"seen"
            assert witness.seen.pop()["target"] == "/next"
        else:
            client.expect_end()
        assert not served.log.lines
    assert witness.seen == for_the_application(requests)


@ways
@pytest.mark.parametrize("case", load_cases("refused"), ids=lambda case: case.name)
def test_a_refused_case_gets_its_status_and_nothing_more_is_parsed(case: Case, whole: bool) -> None:
    witness = Witness()
    before = answered(case.requests)
    assert before == case.requests, "a request before the refused one ends the connection"
    with serving(witness, **settings_of(case)) as served:
        client = served.connect()
        send(client, case.raw, whole)
        for request in before:
            assert read_final(client, request.method, request.expect_continue).status == 200
        method = "GET" if before else first_word(case.raw)
        answer = read_final(client, method, b"100-continue" in case.raw.lower())
        assert (answer.status, answer.closes) == (case.status, True)
        client.expect_end()
        assert len(served.log.matching(f" {case.status} .* from 127.0.0.1")) == len(served.log.lines) == 1
    assert witness.seen == for_the_application(before)
    if case.where == "head":
        assert len(witness.begun) == len(witness.seen)
    assert "/next" not in witness.begun

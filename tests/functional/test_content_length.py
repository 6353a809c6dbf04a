"""Responses with a Content-Length of the application's own: content that fits it, or does not."""

from __future__ import annotations

import io
import tempfile
from typing import Any

import pytest

from tests.functional.client import Truncated, get
from tests.functional.serving import Application, returning, serving

#: How an application may give "0123456789" as content.
KINDS: dict[str, Any] = {
    "list": lambda environ: [b"0123456789"],
    "long list": lambda environ: [b"012", b"345", b"6789"],
    "tuple": lambda environ: (b"01234", b"56789"),
    "generator": lambda environ: (bytes([digit]) for digit in b"0123456789"),
    "file": lambda environ: environ["wsgi.file_wrapper"](file_of_digits()),
    "file-like": lambda environ: environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789"), 4),
}


def file_of_digits() -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the server)
    file.write(b"0123456789")
    file.seek(0)
    return file


def by_write(environ: Any, start_response: Any, fields: list[tuple[str, str]]) -> list[bytes]:
    write = start_response("200 OK", fields)
    write(b"0123")
    write(b"456789")
    return []


def giving(kind: str, length: int) -> Application:
    fields = [("Content-Length", str(length))]
    if kind == "write":
        return lambda environ, start_response: by_write(environ, start_response, fields)
    return returning(KINDS[kind], *fields)


@pytest.mark.parametrize("kind", [*KINDS, "write"])
@pytest.mark.parametrize("length", [0, 1, 5, 9])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_content_longer_than_its_length_is_truncated_and_reported(
    version: str, length: int, kind: str
) -> None:
    with serving(giving(kind, length)) as served:
        client = served.connect()
        client.send(get("/", "Connection: keep-alive", version=version) * 2)
        for _ in range(2):
            answer = client.read()
            assert (answer.content, answer["Content-Length"]) == (b"0123456789"[:length], str(length))
        client.expect_no_answer_yet()
        if kind != "file":  # a range of a file is no mistake
            assert served.log.matching(r"GET '/': .* longer than its Content-Length")


@pytest.mark.parametrize("kind", [*KINDS, "write"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_content_shorter_than_its_length_cuts_the_connection(version: str, kind: str) -> None:
    with serving(giving(kind, 15)) as served:
        client = served.connect()
        client.send(get("/", "Connection: keep-alive", version=version) * 2)
        with pytest.raises(Truncated) as caught:
            client.read()
        assert caught.value.received == b"0123456789"
        assert served.log.matching(r"GET '/': .* 5 bytes shorter than its Content-Length")


@pytest.mark.parametrize("kind", [*KINDS, "write"])
def test_content_that_fits_is_neither_cut_nor_reported(kind: str) -> None:
    with serving(giving(kind, 10)) as served:
        client = served.connect()
        client.send(get() * 2)
        assert [client.read().content for _ in range(2)] == [b"0123456789"] * 2
        client.expect_no_answer_yet()
        assert not served.log.lines


def test_no_content_at_all_with_a_length_cuts_the_connection() -> None:
    for kind in (list, iter):
        with serving(returning(lambda environ, kind=kind: kind([]), ("Content-Length", "3"))) as served:
            client = served.connect()
            client.send(get() * 2)
            with pytest.raises(Truncated) as caught:
                client.read()
            assert caught.value.received == b""


@pytest.mark.parametrize("value", ["-1", "+5", "1_0", "5, 5", "", "five", "0x5", "5 5"])
def test_a_content_length_that_is_none_is_an_error_of_the_application(value: str) -> None:
    with serving(returning(lambda environ: [b"hello"], ("Content-Length", value))) as served:
        client = served.connect()
        assert client.ask(get()).status == 500
        client.expect_end()
        assert served.take_errors() == [ValueError]

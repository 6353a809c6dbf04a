"""wsgiref.validate finds nothing: what it finds is an error or a warning, and either fails the test."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.functional.client import get, post, post_chunked
from tests.functional.serving import serving

PLAIN = [("Content-Type", "text/plain")]


def read_all(environ: Any, start_response: Any) -> list[bytes]:
    stream = environ["wsgi.input"]
    content = stream.readline() + stream.read(3) + stream.readline(4)
    content += b"".join(stream.readlines(8)) + b"".join(stream) + stream.read(100)
    environ["wsgi.errors"].write("read\n")
    environ["wsgi.errors"].flush()
    environ["wsgi.errors"].writelines(["all\n"])
    start_response("200 OK", PLAIN)
    return [content]


def generate(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    return (block for block in (b"one ", b"", b"two"))


def write(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", PLAIN)(b"one ")
    return [b"two"]


def no_content(environ: Any, start_response: Any) -> list[bytes]:
    start_response("204 No Content", [])
    return []


CONTENT = b"first\nsecond line\nthird\n\nlast"


@pytest.mark.parametrize(
    ("application", "request_", "content"),
    [
        (read_all, get("/a%20path/%C3%A9?query=1", "X-Field: a", "Cookie: a=b", "Cookie: c=d"), b""),
        (read_all, get("/", version="1.0"), b""),
        (read_all, get("http://there.example/a?b"), b""),
        (read_all, get("/", method="DELETE"), b""),
        (read_all, post(CONTENT, "Content-Type: text/plain"), CONTENT),
        (read_all, post(b""), b""),
        (read_all, post_chunked([CONTENT[:5], CONTENT[5:7], CONTENT[7:]]), CONTENT),
        (generate, get(), b"one two"),
        (generate, get(version="1.0"), b"one two"),
        (write, get(), b"one two"),
        (no_content, get(), b""),
    ],
)
def test_the_validator_finds_nothing(application: Any, request_: bytes, content: bytes) -> None:
    log = io.StringIO()
    with serving(validator(application), error_log=log) as served:
        assert served.ask(request_).content == content
    assert log.getvalue() in ("read\nall\n", "")


@pytest.mark.parametrize("application", [read_all, generate, write])
def test_the_validator_finds_nothing_with_head(application: Any) -> None:
    def bare(environ: Any, start_response: Any) -> Any:
        # The validator wants no content in an answer to HEAD, as if applications looked at the method.
        return [block for block in application(environ, start_response) if block and False]

    with serving(validator(bare), error_log=io.StringIO()) as served:
        answer = served.ask(get(method="HEAD"), method="HEAD")
        assert (answer.status, answer["Content-Type"]) == (200, "text/plain")


def test_the_validator_finds_nothing_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with serving(validator(application), error_log=io.StringIO()) as served:
        assert served.ask(get()).content == CONTENT


def test_the_validator_finds_nothing_with_buffered_content() -> None:
    with serving(validator(read_all), error_log=io.StringIO(), buffer_chunked=True) as served:
        assert served.ask(post_chunked([CONTENT])).content == CONTENT

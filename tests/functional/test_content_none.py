"""HEAD, 204 and 304: never content, whatever the application gives, and the connection stays in step."""

from __future__ import annotations

import io
import tempfile
from typing import Any

import pytest

from tests.functional.client import get
from tests.functional.serving import Serving, serving

CONTENT = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"  # what a client out of step would believe


class Closing:
    """An iterable that counts the calls of its close()."""

    closed = 0

    def __iter__(self) -> Any:
        return iter([CONTENT[:10], CONTENT[10:]])

    def close(self) -> None:
        Closing.closed += 1


def a_file(wrapper: Any) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the server)
    file.write(CONTENT * 10_000)
    file.seek(0)
    return wrapper(file)


GIVEN: dict[str, Any] = {
    "list": lambda wrapper: [CONTENT],
    "blocks": lambda wrapper: [b"a", CONTENT, b"b"],
    "large list": lambda wrapper: [CONTENT * 10_000],
    "generator": lambda wrapper: (block for block in (b"", CONTENT, b"more")),
    "large generator": lambda wrapper: (CONTENT * 1000 for _ in range(10)),
    "iterable": lambda wrapper: Closing(),
    "file": a_file,
    "file-like": lambda wrapper: wrapper(io.BytesIO(CONTENT), 7),
    "nothing": lambda wrapper: [],
    "empty": lambda wrapper: iter([b""]),
}
HOWS = [*GIVEN, "write", "write and list"]


def application(environ: Any, start_response: Any) -> Any:
    """Give the content that the path names, with the status and the fields that the query names."""
    code, _, length = environ["QUERY_STRING"].partition("&")
    status = {"200": "200 OK", "204": "204 No Content", "304": "304 Not Modified"}[code]
    write = start_response(status, [("Content-Length", length)] if length else [])
    how = environ["PATH_INFO"][1:]
    if how.startswith("write"):
        write(CONTENT)
        return [CONTENT] if how.endswith("list") else []
    return GIVEN[how](environ["wsgi.file_wrapper"])


def exchange(served: Serving, method: str, how: str, query: str, version: str) -> dict[str, str]:
    """Have the same request answered twice, and a last one; return the fields of the answers."""
    client = served.connect()
    request = get(
        f"/{how.replace(' ', '%20')}?{query}", "Connection: keep-alive", method=method, version=version
    )
    client.send(request, request, get("/list?200", "Connection: close"))
    for _ in range(2):
        answer = client.read(method)
        assert answer.status == int(query[:3])
        assert answer["Transfer-Encoding"] is None
    assert client.read().content == CONTENT
    client.expect_end()
    return {name.lower(): value for name, value in answer.fields}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_head_never_has_content(version: str, how: str) -> None:
    with serving(application) as served:
        assert "content-length" not in exchange(served, "HEAD", how, "200", version)
        assert not served.log.lines  # to answer HEAD as GET is no mistake


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("status", ["204", "304"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_204_and_304_never_have_content(version: str, status: str, how: str) -> None:
    with serving(application) as served:
        assert "content-length" not in exchange(served, "GET", how, status, version)


@pytest.mark.parametrize("how", ["list", "generator", "write"])
@pytest.mark.parametrize("status", ["204", "304"])
def test_content_that_is_dropped_is_reported(status: str, how: str) -> None:
    with serving(application) as served:
        exchange(served, "GET", how, status, "1.1")
        assert served.log.matching(f"{status} response has no content")


def test_nothing_is_reported_where_there_is_nothing_to_drop() -> None:
    with serving(application) as served:
        for status in ("204", "304"):
            exchange(served, "GET", "nothing", status, "1.1")
            exchange(served, "GET", "empty", status, "1.1")
        assert not served.log.lines


@pytest.mark.parametrize("how", HOWS)
def test_the_length_that_the_application_gives_passes_with_head_and_304_only(how: str) -> None:
    with serving(application) as served:
        for length in ("12345", "1", "0"):
            assert exchange(served, "HEAD", how, f"200&{length}", "1.1")["content-length"] == length
            assert exchange(served, "GET", how, f"304&{length}", "1.1")["content-length"] == length
            assert "content-length" not in exchange(served, "GET", how, f"204&{length}", "1.1")
            assert exchange(served, "HEAD", how, f"304&{length}", "1.1")["content-length"] == length


def test_close_is_called_although_nothing_is_sent() -> None:
    with serving(application) as served:
        before = Closing.closed
        exchange(served, "HEAD", "iterable", "200", "1.1")
        exchange(served, "GET", "iterable", "204", "1.1")
        exchange(served, "GET", "iterable", "304", "1.0")
        assert Closing.closed - before == 6


def test_an_endless_iterable_does_not_hold_up_a_head_request() -> None:
    closed: list[bool] = []

    def endless(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            while True:
                yield b"on and on"
        finally:
            closed.append(True)

    with serving(endless) as served:
        client = served.connect()
        client.send(get(method="HEAD"), get("/", "Connection: close", method="HEAD"))
        assert [client.read("HEAD").status, client.read("HEAD").status] == [200, 200]
        client.expect_end()
    assert closed == [True, True]

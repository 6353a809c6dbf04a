"""Each example, started as its docstring says, does what it shows."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.process import ROOT, ServerProcess, start_script, start_server

EXAMPLES = ROOT / "examples"
SECONDS = 30  # how long one answer may take before a test gives up on it
CONTENT = bytes(range(256)) * 4096
DESCRIBED = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}


def serve(name: str, **env: str):
    """Start the example `name` with the command."""
    return start_server(f"examples/{name}", env=env)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_names_its_command_and_has_a_test(path: Path):
    source = path.read_text("utf-8")
    assert re.search(rf"^    (greenserve|python) examples/{path.name}$", source, re.MULTILINE)
    assert re.search(rf'"(examples/)?{path.name}"', Path(__file__).read_text("utf-8"))


def test_hello():
    with serve("hello.py") as server:
        answer = requests.get(server.url(), timeout=SECONDS)
        assert (answer.status_code, answer.text) == (200, "Hello, world!\n")
        assert answer.headers["Content-Length"] == "14"
    assert server.wait() == 0


def test_middleware_passes_blocks_on_and_closes_the_generator():
    with serve("middleware.py") as server:
        answer = requests.get(server.url("/?3"), timeout=SECONDS)
        assert answer.text == "3\n2\n1\nLIFT-OFF\n"
        assert answer.headers["Transfer-Encoding"] == "chunked"
        server.wait_for_line("countdown closed at 0")


def test_middleware_closes_the_generator_when_the_client_goes_away():
    with serve("middleware.py") as server:
        with requests.get(server.url("/?1000000000"), timeout=SECONDS, stream=True) as answer:
            assert next(answer.iter_lines()) == b"1000000000"
        server.wait_for_line(r"countdown closed at [1-9]")


def test_upload_with_a_length():
    with serve("upload.py") as server:
        assert requests.post(server.url(), data=CONTENT, timeout=SECONDS).json() == DESCRIBED


def test_upload_in_chunks():
    with serve("upload.py") as server:
        blocks = (CONTENT[start : start + 10_000] for start in range(0, len(CONTENT), 10_000))
        assert requests.put(server.url(), data=blocks, timeout=SECONDS).json() == DESCRIBED


def test_upload_that_is_not_read_leaves_the_connection_in_order():
    with serve("upload.py") as server, requests.Session() as session:
        refused = session.patch(server.url(), data=b"x" * 1000, timeout=SECONDS)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "POST, PUT")
        assert session.post(server.url(), data=CONTENT, timeout=SECONDS).json() == DESCRIBED


def test_large_download_is_whole():
    with serve("large_download.py") as server:
        digest, size = hashlib.sha256(), 0
        with requests.get(server.url(), timeout=SECONDS, stream=True) as answer:
            assert answer.headers["Content-Length"] == str(64 * 2**20)
            for block in answer.iter_content(2**18):
                digest.update(block)
                size += len(block)
        expected = hashlib.sha256(b"".join(bytes([number]) * 2**20 for number in range(64)))
        assert (size, digest.digest()) == (64 * 2**20, expected.digest())


def test_large_download_of_a_named_file(tmp_path: Path):
    file = tmp_path / "some.bin"
    file.write_bytes(CONTENT)
    with serve("large_download.py", DOWNLOAD=str(file)) as server:
        assert requests.get(server.url(), timeout=SECONDS).content == CONTENT
        assert requests.head(server.url(), timeout=SECONDS).headers["Content-Length"] == str(len(CONTENT))


def events_of(answer: requests.Response) -> Iterator[dict[str, int]]:
    """Yield the data of the events in a stream, as they come."""
    for line in answer.iter_lines():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def test_server_sent_events_come_as_they_are_made_and_end_with_their_client():
    with serve("server_sent_events.py") as server:
        assert "EventSource" in requests.get(server.url(), timeout=SECONDS).text
        with requests.get(server.url("/events"), timeout=SECONDS, stream=True) as stays:
            assert stays.headers["Content-Type"] == "text/event-stream"
            events = events_of(stays)
            assert [next(events)["number"] for _ in range(2)] == [1, 2]
            with requests.get(server.url("/events"), timeout=SECONDS, stream=True) as leaves:
                assert next(events_of(leaves)) == {"number": 1, "streams": 2}
            # The server notices at one of the next writes to the client that has left.
            assert any(event["streams"] == 1 for event, _ in zip(events, range(50), strict=False))


@pytest.fixture(scope="module", params=["flask_app.py", "django_app.py", "bottle_app.py"])
def framework(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """The same small site, written for three frameworks."""
    with serve(request.param) as server:
        yield server


def test_a_framework_serves_its_page(framework):
    answer = requests.get(framework.url(), timeout=SECONDS)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].lower() == "text/html; charset=utf-8"
    assert "<form" in answer.text


def test_a_framework_redirects_with_a_cookie(framework):
    with requests.Session() as session:
        assert session.get(framework.url("/hello"), timeout=SECONDS).json() == {"hello": "stranger"}
        answer = session.post(framework.url("/name"), data={"name": "Ada"}, timeout=SECONDS)
        assert [step.status_code for step in answer.history] in ([302], [303])
        assert answer.url == framework.url("/hello")
        assert answer.json() == {"hello": "Ada"}


def test_a_framework_takes_an_upload(framework):
    files = {"file": ("bytes.bin", CONTENT)}
    assert requests.post(framework.url("/upload"), files=files, timeout=SECONDS).json() == DESCRIBED


def test_a_framework_streams(framework):
    answer = requests.get(framework.url("/lines"), timeout=SECONDS)
    assert answer.text == "".join(f"line {number}\n" for number in range(1000))
    assert answer.headers["Transfer-Encoding"] == "chunked"


def test_a_framework_answers_head_without_content(framework):
    with closing(http.client.HTTPConnection("127.0.0.1", framework.port, timeout=SECONDS)) as connection:
        for path in ("/", "/lines", "/"):  # in one connection: an octet too many would spoil the next answer
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")


def test_a_framework_turns_an_error_into_a_500_and_goes_on(framework):
    with requests.Session() as session:
        assert session.get(framework.url("/error"), timeout=SECONDS).status_code == 500
        framework.wait_for_line("RuntimeError: raised by the view")
        assert session.get(framework.url("/nowhere"), timeout=SECONDS).status_code == 404
        assert session.get(framework.url("/hello"), timeout=SECONDS).status_code == 200


def test_a_chunked_upload_reaches_django_when_the_server_buffers_it():
    blocks = (CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000))
    with start_server("--buffer-chunked", "examples/django_app.py") as server:
        assert requests.post(server.url("/upload"), data=blocks, timeout=SECONDS).json() == DESCRIBED


def test_library_call():
    with start_script("examples/library_call.py") as server:
        assert requests.get(server.url("/a%20path"), timeout=SECONDS).text == "GET /a path\n"


def test_embedded_goes_on_with_its_own_work_and_stops_the_server():
    with start_script("examples/embedded.py") as server, requests.Session() as session:
        first = int(session.get(server.url(), timeout=SECONDS).text)
        numbers = (int(session.get(server.url(), timeout=SECONDS).text) for _ in range(10_000))
        assert any(number > first for number in numbers)
        assert server.stop() == 0
        server.wait_for_line(r"stopped after \d+ steps")

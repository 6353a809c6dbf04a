"""wsgi.file_wrapper: a regular file goes out by sendfile(2), from where it stands, as far as announced."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from greenserve.net import stream
from tests.functional.client import Truncated, get
from tests.functional.downloads import CONTENT, LARGE, Download, Sendfile, count_to_end, lengths
from tests.functional.serving import serving, wait_until


@pytest.fixture
def sendfile(monkeypatch: pytest.MonkeyPatch) -> Sendfile:
    """Count what greenserve sends by sendfile(2)."""
    counting = Sendfile()
    monkeypatch.setattr(stream, "os", SimpleNamespace(sendfile=counting))
    return counting


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(
    "mode, buffering",
    [("rb", -1), ("rb", 0), ("r+b", -1), ("w+b", -1)],
    ids=["buffered", "raw", "random", "new"],
)
def test_a_regular_file_goes_out_by_sendfile(
    path: Path, sendfile: Sendfile, mode: str, buffering: int
) -> None:
    def open_file() -> Any:
        file = path.open(mode, buffering)
        if mode == "w+b":
            file.write(CONTENT)
            file.seek(0)
        return file

    application = Download(open_file)
    with serving(application) as served:
        answer = served.ask(get())
        assert (answer.content, answer["Content-Length"]) == (CONTENT, str(len(CONTENT)))
        wait_until(lambda: application.file.closed, "the file being closed")
    assert sendfile.total == len(CONTENT)


@pytest.mark.parametrize("make", [tempfile.TemporaryFile, tempfile.NamedTemporaryFile])
def test_a_temporary_file_goes_out_by_sendfile(sendfile: Sendfile, make: Any) -> None:
    def open_file() -> Any:
        file = make()
        file.write(CONTENT)
        file.seek(0)
        return file

    application = Download(open_file)
    with serving(application) as served:
        assert served.ask(get()).content == CONTENT
        wait_until(lambda: application.file.closed, "the file being closed")
    assert sendfile.total == len(CONTENT)


def test_a_file_is_sent_from_where_it_stands(path: Path, sendfile: Sendfile) -> None:
    def open_file() -> Any:
        file = path.open("rb")
        assert file.read(1000) == CONTENT[:1000]  # the descriptor's own offset is further on now
        return file

    with serving(Download(open_file)) as served:
        assert served.ask(get()).content == CONTENT[1000:]
    assert sendfile.total == len(CONTENT) - 1000


@pytest.mark.parametrize("position", [len(CONTENT), len(CONTENT) + 5])
def test_a_file_that_stands_at_its_end_is_empty(path: Path, sendfile: Sendfile, position: int) -> None:
    def open_file() -> Any:
        file = path.open("rb")
        file.seek(position)
        return file

    with serving(Download(open_file)) as served:
        client = served.connect()
        for _ in range(2):
            answer = client.ask(get())
            assert (answer.content, answer["Content-Length"]) == (b"", "0")


def test_a_range_is_bounded_by_its_content_length(path: Path, sendfile: Sendfile) -> None:
    def open_file() -> Any:
        file = path.open("rb")
        file.seek(700)
        return file

    fields = [lengths(1000), ("Content-Range", f"bytes 700-1699/{len(CONTENT)}")]
    with serving(Download(open_file, *fields, status="206 Partial Content")) as served:
        client = served.connect()
        for _ in range(2):
            answer = client.ask(get())
            assert (answer.status, answer.content) == (206, CONTENT[700:1700])
        assert served.log.lines == []  # that is what ranges look like, and no mistake
    assert sendfile.total == 2000


def test_a_file_that_is_shorter_than_its_content_length_cuts_the_connection(path: Path) -> None:
    application = Download(lambda: path.open("rb"), lengths(len(CONTENT) + 1))
    with serving(application) as served:
        client = served.connect()
        client.send(get(), get())
        with pytest.raises(Truncated) as cut:
            client.read()
        assert cut.value.received == CONTENT
        assert application.file.closed


def test_a_file_that_shrinks_while_it_is_sent_cuts_the_connection(tmp_path: Path, sendfile: Sendfile) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, LARGE)
    application = Download(lambda: path.open("rb"))
    with serving(application) as served:
        client = served.connect(receive_buffer=65536)
        client.send(get())
        client.read_head()
        wait_until(lambda: sendfile.counts, "the beginning of the file being sent")
        os.truncate(path, 1000)
        assert count_to_end(client) < LARGE
        assert application.file.closed
        assert served.log.matching("shorter than its Content-Length")


def test_a_file_that_shrinks_ends_with_a_reset_where_only_the_close_would_end_it(
    tmp_path: Path, sendfile: Sendfile
) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, LARGE)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"before ")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with serving(application) as served:
        client = served.connect(receive_buffer=65536)
        client.send(get("/", version="1.0"))
        client.read_head()
        wait_until(lambda: sendfile.counts, "the beginning of the file being sent")
        os.truncate(path, 1000)
        with pytest.raises(ConnectionResetError):
            count_to_end(client)
        assert served.log.matching("became shorter")


def test_http_1_0_gets_a_length_too_and_may_keep_its_connection(path: Path, sendfile: Sendfile) -> None:
    with serving(Download(lambda: path.open("rb"))) as served:
        client = served.connect()
        for _ in range(2):
            answer = client.ask(get("/", "Connection: keep-alive", version="1.0"))
            assert (answer.content, answer.framing) == (CONTENT, "length")
    assert sendfile.total == 2 * len(CONTENT)


def test_what_was_written_before_comes_first(path: Path) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"before ")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with serving(application) as served:
        assert served.ask(get()).content == b"before " + CONTENT


def test_what_was_written_before_comes_first_with_a_length_too(path: Path, sendfile: Sendfile) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [lengths(7 + len(CONTENT))])(b"before ")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with serving(application) as served:
        assert served.ask(get()).content == b"before " + CONTENT
    assert sendfile.total == len(CONTENT)


@pytest.mark.parametrize(
    ("method", "status", "length"), [("HEAD", "200 OK", str(len(CONTENT))), ("GET", "304 Not Modified", None)]
)
def test_no_content_is_sent_where_there_can_be_none(
    path: Path, sendfile: Sendfile, method: str, status: str, length: str | None
) -> None:
    fields = [lengths(int(length))] if length else []
    application = Download(lambda: path.open("rb"), *fields, status=status)
    with serving(application) as served:
        client = served.connect()
        for _ in range(2):
            answer = client.ask(get(method=method), method=method)
            assert (answer.status, answer["Content-Length"]) == (int(status[:3]), length)
            wait_until(lambda: application.file.closed, "the file being closed")
        client.expect_no_answer_yet()
    assert sendfile.counts == []

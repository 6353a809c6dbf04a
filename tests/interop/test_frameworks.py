"""Flask, Django and Bottle: streams, uploads, downloads, redirects, cookies, errors."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.process import ServerProcess, start_server

SECONDS = 60
CONTENT = bytes(range(256)) * 40_000  # 10 MB
DESCRIBED = {"size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
SITES = ["flask_site:app", "django_site", "bottle_site"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("served") / "file.bin"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture(scope="module", params=SITES, ids=["flask", "django", "bottle"])
def site(request: pytest.FixtureRequest, file: Path) -> Iterator[ServerProcess]:
    """The same small site, written for three frameworks."""
    with start_server(f"tests.interop.{request.param}", env={"FILE": str(file)}) as server:
        yield server
    assert server.wait() == 0


@pytest.fixture(scope="module")
def flask(file: Path) -> Iterator[ServerProcess]:
    with start_server("tests.interop.flask_site:app", env={"FILE": str(file)}) as server:
        yield server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def in_blocks(size: int = 100_000) -> Iterator[bytes]:
    return (CONTENT[start : start + size] for start in range(0, len(CONTENT), size))


# -- all of them


def test_the_site_knows_its_address_and_its_client(site, session):
    answer = session.get(site.url("/where?a=%20b"), timeout=SECONDS).json()
    assert answer["url"] == site.url("/where?a=%20b")
    assert answer["address"] == "127.0.0.1"
    assert session.get(site.url("/where"), timeout=SECONDS).json()["port"] == answer["port"]


def test_a_stream(site, session):
    answer = session.get(site.url("/stream?word=line"), timeout=SECONDS)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.text == "".join(f"line {number}\n" for number in range(1000))


def test_a_stream_is_closed_when_its_client_leaves(site):
    before = site.output.count("endless closed")
    with requests.get(site.url("/endless"), timeout=SECONDS, stream=True) as answer:
        assert next(answer.iter_content(1000)) == b"x" * 1000
    assert before == 0
    site.wait_for_line("^endless closed$")


def test_a_stream_that_fails_is_an_error_for_the_client_too(site, session):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(site.url("/cut"), timeout=SECONDS)
    site.wait_for_line("RuntimeError: cut on purpose")


def test_a_download(site, session):
    for _ in range(2):
        answer = session.get(site.url("/download"), timeout=SECONDS)
        assert answer.headers["Content-Length"] == str(len(CONTENT))
        assert answer.content == CONTENT


def test_a_head_of_a_download_and_of_a_stream(site):
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=SECONDS)) as connection:
        for path in ("/download", "/stream?word=line", "/download"):  # one octet too many would show
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")


def test_an_upload_by_a_form(site, session):
    form = {"data": {"note": "a note"}, "files": {"file": ("file.bin", CONTENT)}}
    answer = session.post(site.url("/upload"), timeout=SECONDS, **form)
    assert answer.json() == {"note": "a note", **DESCRIBED}


def test_an_upload_without_a_form(site, session):
    for _ in range(2):
        answer = session.post(site.url("/raw"), data=CONTENT, timeout=SECONDS)
        assert answer.json() == DESCRIBED


def test_a_redirect_is_followed(site, session):
    answer = session.get(site.url("/redirect"), timeout=SECONDS)
    assert [step.status_code for step in answer.history] in ([302], [303])
    assert answer.json()["url"] == site.url("/where")


def test_cookies_come_back(site, session):
    visits = [session.get(site.url("/count"), timeout=SECONDS).text.strip() for _ in range(3)]
    assert visits == ["1", "2", "3"]


def test_an_error_is_a_500_and_the_site_goes_on(site, session):
    port = session.get(site.url("/where"), timeout=SECONDS).json()["port"]
    assert session.get(site.url("/error"), timeout=SECONDS).status_code == 500
    site.wait_for_line("RuntimeError: raised by the view")
    assert session.get(site.url("/nowhere"), timeout=SECONDS).status_code == 404
    # The framework has made that answer: it is none of the server's, and ends nothing.
    assert session.get(site.url("/where"), timeout=SECONDS).json()["port"] == port


# -- one of them


def test_flask_takes_chunked_content(flask, session):
    for _ in range(2):
        answer = session.post(flask.url("/raw"), data=in_blocks(), timeout=SECONDS)
        assert answer.json() == DESCRIBED


@pytest.mark.parametrize("site_", ["django_site", "bottle_site"])
def test_others_take_chunked_content_that_is_buffered(session, site_):
    # Django goes by the length alone, and Bottle would decode the chunks a second time.
    with start_server(f"tests.interop.{site_}", "--buffer-chunked", "--buffer-memory", "64k") as server:
        for _ in range(2):
            assert session.post(server.url("/raw"), data=in_blocks(), timeout=SECONDS).json() == DESCRIBED


def test_flask_sends_a_range(flask, session):
    answer = session.get(flask.url("/download"), headers={"Range": "bytes=1000-1999"}, timeout=SECONDS)
    assert (answer.status_code, answer.content) == (206, CONTENT[1000:2000])
    assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"


def test_flask_says_not_modified(flask, session):
    tag = session.get(flask.url("/download"), timeout=SECONDS).headers["ETag"]
    answer = session.get(flask.url("/download"), headers={"If-None-Match": tag}, timeout=SECONDS)
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("size", [2_000, 10_000_000])
def test_flask_refuses_what_is_too_large_and_answers_what_follows(flask, session, size):
    answer = session.post(flask.url("/limited"), data=b"x" * size, timeout=SECONDS)
    assert answer.status_code == 413
    assert session.post(flask.url("/limited"), data=b"x" * 100, timeout=SECONDS).json() == 100


def test_django_sees_no_chunked_content_otherwise_and_nothing_is_mixed_up(session):
    with start_server("tests.interop.django_site") as django:
        assert session.post(django.url("/raw"), data=in_blocks(), timeout=SECONDS).json()["size"] == 0
        assert session.post(django.url("/raw"), data=CONTENT, timeout=SECONDS).json() == DESCRIBED


def test_django_finishes_a_request_whose_download_is_given_up(file):
    with start_server("tests.interop.django_site", env={"FILE": str(file)}) as django:
        with requests.get(django.url("/download"), timeout=SECONDS, stream=True) as answer:
            assert next(answer.iter_content(1000)) == CONTENT[:1000]
            assert "request finished" not in django.output
        django.wait_for_line("^request finished$")

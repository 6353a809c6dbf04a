"""curl: uploads, downloads, ranges, redirects, cookies, old and newer HTTP, as curl does them by itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.process import ROOT, ServerProcess, start_server
from tests.tools import require_tool

SITE = "tests.interop.plain_site"
SECONDS = 60
CONTENT = bytes(range(256)) * 8192  # 2 MiB: curl asks before it sends so much
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Answer:
    """What curl printed: the content on stdout, what it said and heard (-v) on stderr."""

    status: int
    content: bytes
    talk: str

    @property
    def described(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self.content)
        return described

    def heard(self, line: str) -> bool:
        """Whether this was a line of the answer's head."""
        return f"< {line}" in self.talk.splitlines()


class Curl:
    """The program, for the server on `port`."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder
        self.program = require_tool("curl")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def __call__(self, *arguments: str, standard_input: bytes = b"", status: int = 0) -> Answer:
        """Run it in a folder of its own; its exit status has to be `status`."""
        command = [self.program, "-q", "-sS", "-v", "--max-time", str(SECONDS), *arguments]
        done = subprocess.run(
            command, input=standard_input, capture_output=True, cwd=self.folder, timeout=2 * SECONDS
        )
        talk = done.stderr.decode("latin-1")
        assert done.returncode == status, talk
        return Answer(done.returncode, done.stdout, talk)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    file = tmp_path_factory.mktemp("served") / "file.bin"
    file.write_bytes(CONTENT)
    with start_server(SITE, env={"FILE": str(file)}) as server:
        yield server


@pytest.fixture
def curl(server, tmp_path) -> Curl:
    (tmp_path / "upload.bin").write_bytes(CONTENT)
    return Curl(server.port, tmp_path)


def test_get(curl):
    answer = curl(curl.url("/echo?a=b"))
    assert answer.described["QUERY_STRING"] == "a=b"
    assert answer.heard("HTTP/1.1 200 OK")


def test_head(curl):
    answer = curl("--head", curl.url("/file"))
    assert answer.heard(f"Content-Length: {len(CONTENT)}")
    assert answer.content.endswith(b"\r\n\r\n")


def test_one_connection_serves_many_urls(curl):
    urls = [curl.url(path) for path in ("/echo", "/stream", "/file", "/status?404", "/status?204", "/echo")]
    outputs = [argument for url in urls for argument in (url, "-o", "output")]
    answer = curl("-w", "%{http_code} %{num_connects}\n", *outputs)
    assert answer.content.decode().split("\n")[:-1] == ["200 1", "200 0", "200 0", "404 0", "204 0", "200 0"]


def test_a_path_in_utf_8(curl):
    described = curl(curl.url("/caf%C3%A9%20a%2Fb")).described
    assert described["PATH_INFO"] == "/café a/b".encode().decode("latin-1")
    assert described["RAW_URI"] == "/caf%C3%A9%20a%2Fb"


def test_options_of_the_server_itself(curl):
    answer = curl("-X", "OPTIONS", "--request-target", "*", curl.url("/"))
    assert answer.heard("HTTP/1.1 200 OK")
    assert answer.heard("Content-Length: 0")


def test_a_tunnel_is_not_what_this_server_does(curl):
    answer = curl("--proxytunnel", "--proxy", curl.url(""), "http://there.example/", status=56)
    assert answer.heard("HTTP/1.1 501 Not Implemented")


def test_a_request_as_to_a_proxy_names_the_host_in_its_target(curl):
    described = curl("--proxy", curl.url(""), "http://there.example/path?query").described
    assert (described["HTTP_HOST"], described["PATH_INFO"]) == ("there.example", "/path")
    assert described["RAW_URI"] == "http://there.example/path?query"


def test_plain_http_2_on_offer_is_not_taken_and_breaks_nothing(curl):
    answer = curl("--http2", curl.url("/echo"), "-o", "first", curl.url("/echo"), "-w", "%{num_connects}")
    assert "> Upgrade: h2c" in answer.talk
    assert answer.talk.count("< HTTP/1.1 200 OK") == 2
    assert "< HTTP/1.1 101" not in answer.talk
    assert answer.content.startswith(b"1")
    assert answer.content.endswith(b"0")


# -- uploads


def test_an_upload_asks_before_it_sends(curl):
    answer = curl("-T", "upload.bin", curl.url("/echo"))
    assert "> Expect: 100-continue" in answer.talk
    assert answer.talk.index("< HTTP/1.1 100 Continue") < answer.talk.index("< HTTP/1.1 200 OK")
    described = answer.described
    assert (described["REQUEST_METHOD"], described["size"], described["sha256"]) == (
        "PUT",
        len(CONTENT),
        DIGEST,
    )
    assert described["CONTENT_LENGTH"] == str(len(CONTENT))


def test_an_upload_in_chunks(curl):
    answer = curl("-T", "-", curl.url("/echo"), standard_input=CONTENT)
    assert "> Transfer-Encoding: chunked" in answer.talk
    described = answer.described
    assert (described["size"], described["sha256"]) == (len(CONTENT), DIGEST)
    assert described["CONTENT_LENGTH"] is None


def test_an_upload_that_nobody_reads_is_refused_before_it_is_sent(curl):
    answer = curl("-T", "upload.bin", "-w", " %{http_code} %{size_upload}", curl.url("/refuse"))
    assert answer.content == b"too much 413 0"
    assert "100 Continue" not in answer.talk


def test_an_upload_that_does_not_ask_and_is_refused_gets_its_answer(curl):
    answer = curl("-H", "Expect:", "-T", "upload.bin", "-w", " %{http_code}", curl.url("/refuse"))
    assert answer.content == b"too much 413"
    assert answer.heard("Connection: close")


def test_a_small_upload_that_nobody_reads_keeps_the_connection(curl):
    arguments = ["-d", "small", curl.url("/refuse"), "-o", "first", "--next", "-s", curl.url("/echo")]
    answer = curl(*arguments, "-w", "\n%{num_connects}")
    assert answer.content.endswith(b"\n0")


def test_a_form_with_a_file(curl):
    described = curl("-F", "name=value", "-F", "file=@upload.bin", curl.url("/echo")).described
    assert described["CONTENT_TYPE"].startswith("multipart/form-data; boundary=")
    assert described["size"] == int(described["CONTENT_LENGTH"]) > len(CONTENT)


# -- downloads


def test_a_download(curl):
    assert curl(curl.url("/file")).content == CONTENT


def test_a_range(curl):
    answer = curl("-r", "1000-1999", curl.url("/file"))
    assert answer.content == CONTENT[1000:2000]
    assert answer.heard(f"Content-Range: bytes 1000-1999/{len(CONTENT)}")


def test_a_download_is_resumed(curl):
    (curl.folder / "part.bin").write_bytes(CONTENT[:1_000_001])
    curl("-C", "-", "-o", "part.bin", curl.url("/file"))
    assert (curl.folder / "part.bin").read_bytes() == CONTENT


def test_a_stream_comes_in_chunks(curl):
    answer = curl(curl.url("/stream"))
    assert answer.heard("Transfer-Encoding: chunked")
    assert answer.content == b"".join(b"line %d\n" % number for number in range(1000))


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_a_stream_that_fails_is_an_error_for_the_client(curl, version):
    answer = curl(version, curl.url("/cut"), status={"--http1.1": 18, "--http1.0": 56}[version])
    assert answer.heard("HTTP/1.1 200 OK")


# -- redirects and cookies


@pytest.mark.parametrize(
    ("status", "method", "size"), [(301, "GET", 0), (302, "GET", 0), (303, "GET", 0), (307, "POST", 4)]
)
def test_a_redirect_is_followed_in_the_same_connection(curl, status, method, size):
    url = curl.url(f"/redirect?{status}")
    answer = curl("-L", "-d", "form", url, "-w", "\n%{num_connects} %{num_redirects}")
    content, _, counted = answer.content.rpartition(b"\n")
    described = json.loads(content)
    assert (described["REQUEST_METHOD"], described["size"]) == (method, size)
    assert described["QUERY_STRING"] == "redirected"
    assert counted == b"1 1"


def test_cookies_come_back(curl):
    jar = ["-c", "jar", "-b", "jar"]
    curl(*jar, curl.url("/count"))
    curl(*jar, curl.url("/count"))
    assert curl(*jar, curl.url("/count")).described == {"visits": "2", "second": "yes"}


# -- HTTP/1.0


def test_http_1_0_ends_with_the_connection(curl):
    answer = curl("--http1.0", curl.url("/stream"))
    assert answer.content.endswith(b"line 999\n")
    assert answer.heard("Connection: close")
    assert "Transfer-Encoding" not in answer.talk


def test_http_1_0_keeps_the_connection_on_request(curl):
    arguments = ["--http1.0", "-H", "Connection: keep-alive", curl.url("/echo"), "-o", "first"]
    answer = curl(*arguments, curl.url("/file"), "-w", "%{num_connects}\n", "-o", "second")
    assert answer.content == b"1\n0\n"
    assert answer.heard("Connection: keep-alive")


# -- elsewhere than on a TCP port


def test_a_unix_socket(tmp_path):
    path = tmp_path / "socket"
    with start_server(SITE, "--bind", f"unix:{path}", cwd=ROOT, ready="unix:"):
        curl = Curl(0, tmp_path)
        described = curl("--unix-socket", str(path), "http://localhost/echo").described
    assert (described["HTTP_HOST"], described["REMOTE_PORT"]) == ("localhost", "")


def test_tls(tmp_path):
    authority = Authority(tmp_path)
    certificate = authority.issue("localhost")
    file = tmp_path / "upload.bin"
    file.write_bytes(CONTENT)
    tls = ["--certfile", certificate.certfile, "--keyfile", certificate.keyfile]
    with start_server(SITE, *tls, env={"FILE": str(file)}, ready=r"https://127\.0\.0\.1:(\d+)") as server:
        curl = Curl(server.port, tmp_path)
        url = f"https://localhost:{server.port}"
        trusted = ["--cacert", authority.certfile, "--connect-to", "localhost::127.0.0.1:"]
        uploaded = curl(*trusted, "-T", "upload.bin", f"{url}/echo", "-w", "\n%{num_connects}")
        assert json.loads(uploaded.content.split(b"\n")[0])["sha256"] == DIGEST
        assert "HTTP/1.1 100 Continue" in uploaded.talk
        both = curl(*trusted, f"{url}/file", "-o", "copy", f"{url}/stream", "-o", "lines")
        assert both.talk.count("SSL connection using TLSv1.3") == 1
        assert (tmp_path / "copy").read_bytes() == CONTENT

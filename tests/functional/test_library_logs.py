"""The logs of the library call: streams, loggers, none; the access log's lines are pywsgi's."""

from __future__ import annotations

import io
import logging
import re
from typing import Any

import pytest

from greenserve import WSGIServer
from tests.functional.client import get
from tests.functional.running import ANSWERED, LOCAL, both, exchange, running
from tests.functional.serving import answering, wait_until

application = answering(b"content")

LINE = r'127\.0\.0\.1 - - \[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] "GET /a%20b HTTP/1\.1" 200 \d+ \d\.\d{6}'


@both
def test_the_access_log_is_written_to_a_stream_as_pywsgi_does(kind: Any) -> None:
    log = io.StringIO()
    with running(kind(LOCAL, application, log=log)) as server:
        exchange(server.address, get("/a%20b", "Connection: close"))
        wait_until(lambda: log.getvalue(), "the line")
    assert re.fullmatch(LINE + "\n", log.getvalue())


@both
def test_the_access_log_may_be_a_logger(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.access")
    with caplog.at_level(logging.INFO, logger.name), running(kind(LOCAL, application, log=logger)) as server:
        exchange(server.address, get("/a%20b", "Connection: close"))
        wait_until(lambda: caplog.records, "the record")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("tests.access", "INFO")
    assert re.fullmatch(LINE, record.getMessage().rstrip("\n"))


@both
def test_logs_are_on_stderr_by_default(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with running(kind(LOCAL, application)) as server:
        exchange(server.address, get("/a%20b", "Connection: close"))
    written = capsys.readouterr()
    assert written.out == ""
    assert re.search(f"^{LINE}$", written.err, re.MULTILINE)


@both
def test_there_may_be_no_log_at_all(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def complaining(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("complaint")
        environ["wsgi.errors"].flush()
        return application(environ, start_response)

    with running(kind(LOCAL, complaining, log=None, error_log=None)) as server:
        assert exchange(server.address).endswith(ANSWERED)
        exchange(server.address, b"no request\r\n\r\n")
    assert capsys.readouterr() == ("", "")


@both
def test_the_error_log_is_what_the_application_writes_to(kind: Any) -> None:
    log = io.StringIO()

    def complaining(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("complaint\n")
        return application(environ, start_response)

    with running(kind(LOCAL, complaining, log=None, error_log=log)) as server:
        exchange(server.address)
    assert log.getvalue() == "complaint\n"


@both
def test_the_error_log_may_be_a_logger(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    def complaining(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("complaint")
        return application(environ, start_response)

    with running(kind(LOCAL, complaining, log=None, error_log=logging.getLogger("tests.error"))) as server:
        exchange(server.address)
    assert ("tests.error", logging.ERROR, "complaint") in caplog.record_tuples


def test_a_format_may_be_asked_for() -> None:
    log = io.StringIO()
    with running(WSGIServer(LOCAL, application, log=log, access_log_format="%m %U %>s")) as server:
        exchange(server.address, get("/a%20b", "Connection: close"))
        wait_until(lambda: log.getvalue(), "the line")
    assert log.getvalue() == "GET /a b 200\n"

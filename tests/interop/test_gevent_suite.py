"""gevent's own tests of pywsgi, run on greenserve's class as they are installed.

Each test that fails on purpose is listed with the rule that passing it would break.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUITE = Path(__file__).with_name("gevent_suite.py")

NO_HOST = "RFC 9112, 3.2: a request of HTTP/1.1 without Host is answered with 400"
BOTH_LENGTHS = "RFC 9112, 6.1: Transfer-Encoding beside Content-Length is a smuggling attempt, refused"
NO_CONTENT = "RFC 9112, 6.3: content of a 304 is dropped and reported, not turned into an error page"
OTHER_PARSER = "a handler class of pywsgi's is served by its own parser; the class is taken off in this run"
LENT = "a connection has no greenlet before it has a request: private hooks of accept are not called"
UPGRADE = "werkzeug takes the key wsgi.input_terminated, whatever its value, for a promise: true or absent"
NO_START = "PEP 3333: an application that does not call start_response is answered with 500, not with silence"

FAILS_ON_PURPOSE = {
    "test__pywsgi.ChunkedInputTests.test_chunked_readline": BOTH_LENGTHS,
    "test__pywsgi.ChunkedInputTests.test_short_read_with_content_length": BOTH_LENGTHS,
    "test__pywsgi.ChunkedInputTests.test_short_read_with_zero_content_length": BOTH_LENGTHS,
    "test__pywsgi.ChunkedInputTests.test_close_before_finished": NO_HOST,
    "test__pywsgi.ChunkedInputTests.test_dirt": NO_HOST + "; RFC 9112, 7.1.1: no NUL in a chunk extension",
    "test__pywsgi.ChunkedInputTests.test_short_read": NO_HOST,
    "test__pywsgi.Expect100ContinueTests.test_continue": (
        "RFC 9110, 10.1.1: a client that got no 100 may never send the content, so what follows is not read"
    ),
    "test__pywsgi.TestBody304.test_err": NO_CONTENT,
    "test__pywsgi.TestWrite304.test_err": NO_CONTENT,
    "test__pywsgi.TestContentLength304.test_err": "RFC 9110, 8.6: a 304 may have a Content-Length",
    "test__pywsgi.TestConnectionUpgrades.test_connection_upgrade": UPGRADE,
    "test__pywsgi.TestConnectionUpgrades.test_upgrade_websocket": UPGRADE,
    "test__pywsgi.TestMultiLineHeader.test_multiline_116": "RFC 9112, 5.2: obsolete line folding is refused",
    "test__pywsgi.TestNonLatin1HeaderFromApplication.test": NO_HOST,
    "test__pywsgi.TestNonLatin1UnicodeHeaderFromApplication.test": NO_HOST,
    "test__pywsgi.TestHandlerSubclass.test": OTHER_PARSER,
    "test__server_pywsgi.TestDefaultSpawn.test_error_in_spawn": LENT,
    "test__server_pywsgi.TestPoolSpawn.test_error_in_spawn": LENT,
    "test__server_pywsgi.TestRawSpawn.test_error_in_spawn": LENT,
    "test__server_pywsgi.TestSSLGetCertificate.test_wrap_socket_and_handle_wrap_failure": LENT,
    "test__server_pywsgi.TestDefaultSpawn.test_server_closes_client_sockets": NO_START,
    "test__server_pywsgi.TestPoolSpawn.test_server_closes_client_sockets": NO_START,
    "test__server_pywsgi.TestRawSpawn.test_server_closes_client_sockets": NO_START,
}

#: They look at classes of pywsgi alone: that they pass says nothing about greenserve.
NOT_APPLICABLE = ("TestInputRaw.", "TestHandlerSubclass.", "TestEnviron.test_default_secure_repr")

#: Requests that the modules send; fewer through our parser would mean that some went elsewhere.
FEWEST_REQUESTS = {"test__pywsgi": 110, "test__server_pywsgi": 30}


@functools.lru_cache
def run_suite(module: str) -> dict[str, Any]:
    """Return outcomes and parser counts of one module of gevent's, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(SUITE), f"gevent.tests.{module}"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(SUITE.parents[2]), "PYTHONWARNINGS": "default"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.mark.parametrize("module", ["test__pywsgi", "test__server_pywsgi"])
def test_tests_of_gevent_pass_but_for_those_that_break_a_rule(module: str) -> None:
    report = run_suite(module)
    failed = {name for name, (outcome, _) in report["outcomes"].items() if outcome == "failed"}
    on_purpose = {name for name in FAILS_ON_PURPOSE if name.startswith(module + ".")}
    reasons = "\n".join(f"{name}: {report['outcomes'][name][1]}" for name in failed - on_purpose)
    assert failed == on_purpose, reasons
    passed = {
        name
        for name, (outcome, _) in report["outcomes"].items()
        if outcome == "passed" and not any(part in name for part in NOT_APPLICABLE)
    }
    assert len(passed) >= {"test__pywsgi": 75, "test__server_pywsgi": 25}[module]


@pytest.mark.parametrize("module", ["test__pywsgi", "test__server_pywsgi"])
def test_every_request_of_these_tests_goes_through_our_parser(module: str) -> None:
    parsed = run_suite(module)["parsed"]
    assert parsed.get("pywsgi", 0) == 0
    assert parsed["greenserve"] >= FEWEST_REQUESTS[module]

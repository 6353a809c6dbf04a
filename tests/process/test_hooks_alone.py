"""Hooks of the configuration file without a master: which are called, with what, in which order."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from urllib.request import urlopen

import pytest

from greenserve.config.hooks import ARGUMENTS
from tests.process import start_server
from tests.process.masters import SECONDS

APPLICATION = """
    print("import", flush=True)

    def application(environ, start_response):
        print("application", environ["X"], flush=True)
        start_response("200 OK", [])
        return [b"answer"]
"""

FAILING = """
    def post_patch(worker):
        raise ValueError("of a hook")

    def pre_request(worker, req):
        raise LookupError("of the request")
"""

#: Every hook says its name; one adds to the environ, as hooks do.
SAYING = """
    import os

    def say(name, *arguments):
        print(name, flush=True)

    def post_patch(worker):
        import gevent.monkey
        assert gevent.monkey.is_module_patched("socket")
        assert (worker.pid, worker.alive, worker.cfg.workers) == (os.getpid(), True, None)
        worker.log.info("said by a hook")
        say("post_patch")

    def pre_request(worker, req):
        req._environ["X"] = "set"
        say(f"pre_request {req.path}")

    def post_request(worker, req, environ, resp):
        say(f"post_request {resp.status}")
"""
OTHERS = set(ARGUMENTS) - {"post_patch", "pre_request", "post_request", "ssl_context"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site_app.py").write_text(dedent(APPLICATION))
    return tmp_path


def test_those_that_are_about_serving_are_called_and_those_of_a_master_are_not(folder):
    path = folder / "greenserve.conf.py"
    others = [f"def {name}({', '.join(ARGUMENTS[name])}): say({name!r})\n" for name in sorted(OTHERS)]
    path.write_text(dedent(SAYING) + "".join(others))
    with start_server("site_app", "--config", str(path), "--access-log", "none", cwd=folder) as server:
        with urlopen(server.url("/path?query"), timeout=SECONDS) as answer:
            assert answer.read() == b"answer"
        server.wait_for_line("post_request 200 OK")
    assert server.wait() == 0
    assert server.output == [
        "post_patch",
        "import",
        "post_worker_init",
        "pre_request /path",
        "application set",
        "post_request 200 OK",
    ]
    assert any(line.endswith("said by a hook") for line in server.lines)


def test_what_a_hook_raises_is_logged_or_that_of_the_request(folder):
    path = folder / "greenserve.conf.py"
    path.write_text(dedent(FAILING))
    with start_server("site_app", "--config", str(path), cwd=folder) as server:
        server.wait_for_line("the hook post_patch failed")
        server.wait_for_line("ValueError: of a hook")
        with pytest.raises(OSError, match="HTTP Error 500"):
            urlopen(server.url(), timeout=SECONDS)
        server.wait_for_line("LookupError: of the request")

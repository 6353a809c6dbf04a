"""The command with a configuration file: what it says holds, and what is wrong with it is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from textwrap import dedent

import pytest
import requests

from tests.process import ROOT, start_server

SECONDS = 30  # how long one answer may take before a test gives up on it

APPLICATION = """
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the application below it, in site/hello.py."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "hello.py").write_text(dedent(APPLICATION))
    return tmp_path


def refused(folder, *arguments):
    """Return what the command writes when it ends with status 2."""
    command = [sys.executable, "-m", "greenserve", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=SECONDS
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_its_settings_hold_wherever_the_application_is(folder):
    (folder / "conf.py").write_text(
        "server_header = 'from the file'\nchdir = 'site'\napplication = 'hello:app'\n"
    )
    with start_server("-c", "conf.py", cwd=folder) as server:
        answer = requests.get(server.url(), timeout=SECONDS)
        assert (answer.text, answer.headers["Server"]) == ("hello", "from the file")
    assert server.wait() == 0


def test_a_flag_wins_over_it(folder):
    (folder / "conf.py").write_text("server_header = 'from the file'")
    arguments = ("hello:app", "--chdir", "site", "--server-header", "from the flag")
    with start_server(*arguments, cwd=folder, env={"GREENSERVE_CONFIG": "conf.py"}) as server:
        assert requests.get(server.url(), timeout=SECONDS).headers["Server"] == "from the flag"


def test_one_that_fails_shows_its_own_traceback(folder):
    path = folder / "conf.py"
    path.write_text("def _cores():\n    return 1 / 0\n\nworkers = _cores()\n")
    written = refused(folder, "hello:app", "-c", "conf.py")
    first, second, third, *_, last = written.splitlines()
    assert first == f"greenserve: error: {path}: it failed with ZeroDivisionError"
    assert second == "Traceback (most recent call last):"
    assert third == f'  File "{path}", line 4, in <module>'
    assert last == "ZeroDivisionError: division by zero"
    assert not re.search(r"greenserve/\w+(/\w+)?\.py", written)


def test_one_with_a_wrong_name_is_one_line(folder):
    (folder / "conf.py").write_text("worker = 4")
    [line] = refused(folder, "hello:app", "-c", "conf.py").splitlines()
    assert line.startswith(
        f"greenserve: error: {folder / 'conf.py'}: worker: no such setting; did you mean worker"
    )


def test_one_that_is_not_there_is_one_line(folder):
    expected = f"greenserve: error: --config: '{folder / 'conf.py'}': No such file or directory\n"
    assert refused(folder, "hello:app", "--config", "conf.py") == expected

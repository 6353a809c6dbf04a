"""The command in a process of its own: it serves every form of an application, or says why it does not."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from textwrap import dedent

import pytest
import requests

from tests.process import ROOT, start_server

SECONDS = 30  # how long one answer may take before a test gives up on it

APPLICATION = """
    import os, socket, sys

    def answer(text):
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [text.encode()]
        return application

    application = answer("application")
    app = answer("app")
    create_app = lambda name="nobody", *, loud=False: answer(f"made for {name}{'!' * loud}")
    patched = answer(socket.socket.__module__)
    folders = answer("\\n".join([os.getcwd(), *sys.path]))
"""


@pytest.fixture(autouse=True)
def without_flask_app(monkeypatch):
    monkeypatch.delenv("FLASK_APP", raising=False)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the application in hello.py and in a package."""
    write(tmp_path / "hello.py", APPLICATION)
    write(tmp_path / "pkg" / "__init__.py", "")
    write(tmp_path / "pkg" / "site.py", APPLICATION)
    return tmp_path


def write(path: Path, source: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(dedent(source))


def get(*arguments: str, cwd: Path, **environ: str) -> str:
    """Return what a server answers that was started with `arguments`; it ends with status 0."""
    with start_server(*arguments, cwd=cwd, env=environ) as server:
        answer = requests.get(server.url(), timeout=SECONDS)
        assert answer.status_code == 200
    assert server.wait() == 0
    return answer.text


def failure(*arguments: str, cwd: Path, **environ: str) -> tuple[int, list[str]]:
    """Return the status and the stderr of a command that does not start; none of our frames is in it."""
    with start_server(*arguments, cwd=cwd, env=environ, ready=None) as server:
        status = server.wait()
    assert server.output == []
    assert [line for line in server.lines if str(ROOT / "greenserve") in line] == []
    return status, server.lines


# -- what is served


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("hello", "application"),
        ("hello:app", "app"),
        ("pkg.site:create_app()", "made for nobody"),
        ("pkg.site:create_app('you', loud=True)", "made for you!"),
        ("hello.py", "application"),
        ("pkg/site.py:app", "app"),
    ],
)
def test_every_form_of_an_application_is_served(folder, target, text):
    assert get(target, cwd=folder) == text


def test_without_an_application_app_py_is_served(folder):
    (folder / "hello.py").rename(folder / "app.py")
    assert get(cwd=folder) == "app"


def test_without_an_application_flask_app_is_honoured(folder):
    assert get(cwd=folder, FLASK_APP="pkg.site:application") == "application"


def test_the_application_finds_the_standard_library_patched(folder):
    assert get("hello:patched", cwd=folder).startswith("gevent.")


def test_the_folder_and_the_python_path_are_set_before_the_import(folder):
    found = get("hello:folders", "--chdir", str(folder), "--pythonpath", "lib", cwd=ROOT).splitlines()
    assert found[:3] == [str(folder), str(folder), str(folder / "lib")]


def test_the_environment_sets_what_the_command_line_does_not(folder):
    environ = {"GREENSERVE_SERVER_HEADER": "mine", "GREENSERVE_ROOT_PATH": "/nowhere"}
    with start_server("hello", "--root-path", "", cwd=folder, env=environ) as server:
        answer = requests.get(server.url("/"), timeout=SECONDS)
    assert (answer.headers["Server"], answer.text) == ("mine", "application")


# -- what is not


def test_a_module_that_is_not_there(folder):
    expected = f"there is no module 'helo' in {folder} or elsewhere on sys.path; did you mean 'hello'?"
    assert failure("helo:app", cwd=folder) == (4, [f"greenserve: error: {expected}"])


def test_an_attribute_that_is_not_there(folder):
    expected = f"module 'hello' ({folder}/hello.py) has no attribute 'ap'; did you mean 'app'?"
    assert failure("hello:ap", cwd=folder) == (4, [f"greenserve: error: {expected}"])


def test_what_is_not_callable(folder):
    write(folder / "number.py", "app = 5\n")
    expected = "'number:app' is not callable: it is of the type int"
    assert failure("number:app", cwd=folder) == (4, [f"greenserve: error: {expected}"])


def test_nothing_to_serve(folder):
    status, lines = failure(cwd=folder / "pkg")
    assert (status, len(lines)) == (4, 1)
    assert "FLASK_APP is not set, and neither wsgi.py nor app.py is in " in lines[0]


def test_a_syntax_error_is_shown_with_its_line(folder):
    write(folder / "broken.py", "def f(:\n    pass\n")
    status, lines = failure("broken", cwd=folder)
    assert status == 4
    assert lines[0].startswith(
        f"greenserve: error: importing 'broken' failed: syntax error in {folder}/broken.py"
    )
    assert lines[2:4] == ["    def f(:", "          ^"]


def test_an_import_error_of_the_application_is_shown_with_its_traceback(folder):
    write(folder / "outer.py", "import inner\n")
    write(folder / "inner.py", "import not_installed\n")
    status, lines = failure("outer", cwd=folder)
    reason = "ModuleNotFoundError: No module named 'not_installed'"
    assert status == 4
    assert lines[:2] == [
        f"greenserve: error: importing 'outer' failed: {reason}",
        "Traceback (most recent call last):",
    ]
    assert [line.split('"')[1] for line in lines if line.startswith('  File "')] == [
        f"{folder}/outer.py",
        f"{folder}/inner.py",
    ]
    assert lines[-1] == reason


def test_an_application_that_exits_is_an_application_that_failed(folder):
    write(folder / "leaving.py", "raise SystemExit(0)\n")
    status, lines = failure("leaving", cwd=folder)
    assert (status, lines[0]) == (4, "greenserve: error: importing 'leaving' failed: SystemExit: 0")


def test_a_port_in_use(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, lines = failure("hello", "--bind", f"127.0.0.1:{port}", cwd=folder)
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("greenserve: error: ")
    assert f"127.0.0.1:{port}" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keepalive-timeout", "soon"], "--keepalive-timeout: 'soon': not a duration in seconds"),
        (["--chdir", "nowhere"], "--chdir: 'nowhere': No such file or directory"),
        (["--backlgo", "5"], "--backlgo: no such setting; did you mean --backlog?"),
        (["--access-log-format", "%y"], "--access-log-format: '%y': unknown directive"),
        (
            ["--access-log", "none", "--access-log-format", "NONSENSE"],
            "--access-log-format: 'NONSENSE': not ",
        ),
        (["-b", "localhost:http"], "--bind: 'localhost:http': "),
        (["-b", ""], "--bind: '': no address: "),
        (
            ["--unix-owner", "nobody:nowhere", "-b", "unix:./socket"],
            "--unix-owner: 'nobody:nowhere': there is no ",
        ),
        (["--certfile", "nowhere.pem"], "--certfile: 'nowhere.pem': "),
        (["--error-log", "nowhere/error.log"], "--error-log: 'nowhere/error.log': "),
        (["--access-log", "nowhere/access.log"], "--access-log: 'nowhere/access.log': "),
    ],
)
def test_a_wrong_setting_is_one_line(folder, arguments, message):
    status, lines = failure("hello", *arguments, cwd=folder)
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(f"greenserve: error: {message}")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GREENSERVE_BIND", "localhost:http"),
        ("GREENSERVE_CHDIR", "nowhere"),
        ("GREENSERVE_CERTFILE", "nowhere.pem"),
        ("GREENSERVE_ACCESS_LOG_FORMAT", "NONSENSE"),
    ],
)
def test_a_wrong_setting_of_the_environment_is_named_by_its_variable(folder, variable, value):
    status, lines = failure("hello", "--access-log", "none", cwd=folder, **{variable: value})
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(f"greenserve: error: {variable}: {value!r}: ")


def test_an_interrupt_during_the_import_is_one_line(folder):
    write(folder / "slow.py", "import signal\nprint('importing', flush=True)\nsignal.pause()\n")
    with start_server("slow", cwd=folder, ready="importing") as server:
        server.send_signal(signal.SIGINT)
        assert server.wait() == 130
    assert server.lines == ["greenserve: error: interrupted before the start"]

"""The command: patched first, then settings, then the application; every failure one message and a status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from greenserve.cli import main, may_ask_for_master
from greenserve.config.load import config_from
from greenserve.errors import AppImportError, ConfigError, ListenError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    """Give the command its own folder, environment and sys.path, and leave the test process unpatched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("greenserve.patching.patch", lambda: None)
    for name in [name for name in os.environ if name.startswith("GREENSERVE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def worker(monkeypatch):
    """Return a stand-in for the module that serves; its `run` returns 0 and remembers its settings."""
    stand_in = ModuleType("greenserve.process.worker")
    stand_in.started = []

    def run(config, hooks):
        stand_in.started.append(config)
        return 0

    stand_in.run = run
    monkeypatch.setitem(sys.modules, "greenserve.process.worker", stand_in)
    return stand_in


def raising(error):
    def run(config, hooks):
        raise error

    return run


# -- what is started


def test_the_settings_reach_the_worker_and_its_status_is_returned(worker, monkeypatch):
    assert main(["site:app", "--backlog", "5"]) == 0
    monkeypatch.setattr(worker, "run", lambda config, hooks: 3)
    assert main([]) == 3
    [config] = worker.started
    assert (config.application, config.backlog) == ("site:app", 5)


def test_the_arguments_are_those_of_the_process(worker, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["greenserve", "site:app"])
    assert main() == 0
    assert worker.started[0].application == "site:app"


def test_the_current_folder_comes_first_then_the_python_path(worker, tmp_path):
    before = list(sys.path)
    main(["--pythonpath", "lib:/opt/lib"])
    assert sys.path == [str(tmp_path), str(tmp_path / "lib"), "/opt/lib", *before]


def test_the_folder_that_was_changed_to_is_the_current_one(worker, tmp_path):
    (tmp_path / "site").mkdir()
    assert main(["--chdir", "site", "--pythonpath", "lib"]) == 0
    assert os.getcwd() == str(tmp_path / "site")
    assert sys.path[:2] == [str(tmp_path / "site"), str(tmp_path / "site" / "lib")]


def test_no_folder_is_in_the_path_twice(worker, tmp_path):
    sys.path.append(str(tmp_path))
    main(["--pythonpath", "."])
    assert sys.path.count(str(tmp_path)) == 1


# -- what keeps it from starting


def test_a_wrong_setting_is_one_line_and_status_2(worker, capsys):
    assert main(["--keepalive-timeout", "soon"]) == 2
    expected = "greenserve: error: --keepalive-timeout: 'soon': not a duration in seconds\n"
    assert capsys.readouterr() == ("", expected)
    assert worker.started == []


def test_a_folder_that_is_not_there_is_one_line_and_status_2(worker, capsys):
    assert main(["--chdir", "nowhere"]) == 2
    assert capsys.readouterr().err == "greenserve: error: --chdir: 'nowhere': No such file or directory\n"


@pytest.mark.parametrize("name", ["bind", "unix_owner", "access_log_format", "certfile"])
def test_a_value_that_turns_out_wrong_later_is_named_as_it_was_given(worker, capsys, monkeypatch, name):
    worker.run = raising(ConfigError(name, "x", "no good"))
    flag, variable = "--" + name.replace("_", "-"), "GREENSERVE_" + name.upper()
    assert main([flag, "x"]) == 2
    assert capsys.readouterr().err == f"greenserve: error: {flag}: 'x': no good\n"
    monkeypatch.setenv(variable, "x")
    assert main([]) == 2
    assert capsys.readouterr().err == f"greenserve: error: {variable}: 'x': no good\n"
    assert main([flag, "y"]) == 2
    assert capsys.readouterr().err == f"greenserve: error: {flag}: 'x': no good\n"


def test_a_folder_of_the_environment_is_named_by_its_variable(worker, capsys, monkeypatch):
    monkeypatch.setenv("GREENSERVE_CHDIR", "nowhere")
    assert main([]) == 2
    expected = "greenserve: error: GREENSERVE_CHDIR: 'nowhere': No such file or directory\n"
    assert capsys.readouterr().err == expected


def test_a_missing_application_is_shown_with_its_own_traceback_and_status_4(worker, capsys):
    worker.run = raising(AppImportError("importing 'x' failed", "Traceback ...\nNameError: y\n"))
    assert main([]) == 4
    assert capsys.readouterr().err == (
        "greenserve: error: importing 'x' failed\nTraceback ...\nNameError: y\n"
    )


def test_a_missing_listener_is_one_line_and_status_1(worker, capsys):
    worker.run = raising(ListenError("127.0.0.1:80: Permission denied"))
    assert main([]) == 1
    assert capsys.readouterr().err == "greenserve: error: 127.0.0.1:80: Permission denied\n"


def test_an_interrupt_before_the_start_is_one_line_and_status_130(worker, capsys):
    worker.run = raising(KeyboardInterrupt())
    assert main([]) == 130
    assert capsys.readouterr().err == "greenserve: error: interrupted before the start\n"


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_a_question_is_answered_with_status_0(worker, capsys, flag):
    assert main([flag]) == 0
    out, err = capsys.readouterr()
    assert "greenserve" in out
    assert (err, worker.started) == ("", [])


# -- what is imported when, in processes of their own


def python(*arguments, **environ):
    """Return what a fresh Python prints, with the package importable and nothing else inherited."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENSERVE_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


# Without the site module nothing but Python's own start has imported anything.
BARE = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    "loaded = lambda *names: [name for name in names if name in sys.modules]; "
)
HEAVY = (
    "'gevent', 'logging', 'queue', 'select', 'selectors', 'socket', 'ssl', 'subprocess', 'threading', "
    "'greenserve.errors', 'greenserve.config'"
)


def test_importing_the_package_imports_neither_gevent_nor_what_it_patches():
    code = f"import greenserve; print(loaded({HEAVY}), greenserve.__version__)"
    assert python("-S", "-c", BARE + code) == (0, "[] 0.1.0\n", "")


def test_the_command_patches_before_it_imports_anything_else():
    code = (
        "import greenserve.patching as patching; "
        f"patching.patch = lambda: print(loaded('argparse', 'inspect', {HEAVY})); "
        "from greenserve.cli import main; print(main(['--backlog', 'x']))"
    )
    status, out, err = python("-S", "-c", BARE + code)
    assert (status, out) == (0, "[]\n2\n")
    assert err == "greenserve: error: --backlog: 'x': not a whole number\n"


def test_nothing_that_gevent_patches_is_there_when_it_patches(tmp_path):
    """From the first line of ``python -m greenserve`` on, with a gevent that only looks around."""
    (tmp_path / "gevent").mkdir()
    (tmp_path / "gevent" / "__init__.py").write_text("")
    (tmp_path / "gevent" / "events.py").write_text("subscribers = []\n")
    look = f"import sys\nprint([name for name in ({HEAVY}) if name in sys.modules])\nsys.exit(7)\n"
    (tmp_path / "bare.py").write_text(f"import gevent\n{look}")
    body = "".join(f"    {line}\n" for line in look.splitlines())
    (tmp_path / "gevent" / "monkey.py").write_text(
        f"def is_module_patched(name):\n    return False\n\ndef patch_all():\n{body}"
    )
    folders = f"{tmp_path}{os.pathsep}{ROOT}"
    bare = python("-S", "-m", "bare", PYTHONPATH=folders)  # some Pythons import threading for -m
    assert bare[0] == 7 and "'ssl'" not in bare[1]
    assert python("-S", "-m", "greenserve", PYTHONPATH=folders) == bare


def test_the_command_makes_the_standard_library_cooperative():
    code = (
        "from greenserve.patching import is_patched; before = is_patched(); "
        "from greenserve.cli import main; main(['--backlog', 'x']); print(before, is_patched()); "
        "import socket; print(socket.socket.__module__)"
    )
    assert python("-c", code)[:2] == (0, "False True\ngevent._socket3\n")


def test_the_package_is_a_command():
    status, out, err = python("-m", "greenserve", "--version")
    assert (status, err) == (0, "")
    assert out.startswith("greenserve 0.1.0, gevent ")
    status, out, err = python("-m", "greenserve", GREENSERVE_BACKLOG="x")
    assert (status, out) == (2, "")
    assert err == "greenserve: error: GREENSERVE_BACKLOG: 'x': not a whole number\n"


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["-w4"], {}),
        (["-w", "auto"], {}),
        (["--workers=4"], {}),
        (["--bind", ":0", "--workers", "4"], {}),
        (["-csite.py"], {}),
        (["-c", "site.py"], {}),
        (["--config=site.py"], {}),
        ([], {"GREENSERVE_WORKERS": "4"}),
        ([], {"GREENSERVE_CONFIG": "site.py"}),
    ],
)
def test_whoever_may_become_a_master_is_not_patched(arguments, variables, tmp_path, monkeypatch):
    (tmp_path / "site.py").write_text("workers = 2")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert config_from(["app", *arguments]).config.workers in (2, 4, "auto")
    assert may_ask_for_master(["app", *arguments])


@pytest.mark.parametrize("argument", ["--worker=4", "--work=4", "--conf=site.py"])
def test_there_are_no_abbreviations_that_could_be_missed(argument, capsys):
    assert main(["app", argument]) == 2
    assert argument.partition("=")[0] in capsys.readouterr().err


def test_one_process_is_patched_before_the_settings_are_read():
    assert not may_ask_for_master(["app", "--bind", ":0", "--worker-connections", "5", "--access-log=none"])

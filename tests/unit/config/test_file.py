"""The configuration file: settings and hooks under their names, and what is wrong with it."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from greenserve.config.file import MODULE, read_file
from greenserve.config.hooks import Hooks
from greenserve.errors import ConfigError


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    """Forget the file's module, and those that it imported, when a test ends."""
    monkeypatch.setattr(sys, "modules", sys.modules | {MODULE: None})


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the configuration file and returns its path."""

    def write(source, name="site.conf.py"):
        (tmp_path / name).write_text(dedent(source), "utf-8")
        return str(tmp_path / name)

    return write


def refused(path):
    with pytest.raises(ConfigError) as error:
        read_file(path)
    return error.value


def test_settings_are_native_values_or_texts(write):
    settings, hooks = read_file(
        write("""
            workers = 4
            bind = [":8000", "unix:/run/site.sock"]
            keepalive_timeout = "2m"
            limit_request_body = "1m"
            preload = True
            umask = 0o027
            user = 1000
            certfile = None
        """)
    )
    assert settings == {
        "workers": 4,
        "bind": (":8000", "unix:/run/site.sock"),
        "keepalive_timeout": 120.0,
        "limit_request_body": 1 << 20,
        "preload": True,
        "umask": 0o027,
        "user": "1000",
        "certfile": None,
    }
    assert hooks == Hooks()


def test_hooks_are_found_by_their_names(write):
    _, hooks = read_file(
        write("""
            def when_ready(server):
                return "ready " + server

            def post_request(worker, req):
                return worker, req
        """)
    )
    assert hooks.when_ready("here") == "ready here"
    assert hooks.post_request is not None
    assert hooks.post_request(1, 2, 3, 4) == (1, 2)
    assert set(hooks.given()) == {"when_ready", "post_request"}


def test_modules_functions_classes_and_private_names_are_the_files_own(write):
    settings, _ = read_file(
        write("""
            from __future__ import annotations, division
            import os
            from dataclasses import dataclass
            from functools import partial
            from os.path import join as on_exits

            _cpus = os.cpu_count()

            @dataclass
            class Site:
                name: str

            def double(number):
                return number * 2

            thrice = partial(double)
            workers = double(3)
        """)
    )
    assert settings == {"workers": 6}


def test_the_file_knows_where_it_is_and_imports_from_there(write, tmp_path, monkeypatch):
    write("cores = 3", "shape_of_site.py")
    path = write("""
        from shape_of_site import cores as _cores
        workers = _cores
        pidfile = __file__ + ".pid"
        proc_name = __name__
    """)
    before = list(sys.path)
    monkeypatch.chdir(tmp_path)
    settings, _ = read_file("site.conf.py")
    assert settings == {"workers": 3, "pidfile": path + ".pid", "proc_name": "__config__"}
    assert sys.path == before
    assert list(tmp_path.rglob("site.conf*")) == [tmp_path / "site.conf.py"]  # not compiled beside it


def test_no_future_feature_of_ours_changes_the_file(write):
    settings, _ = read_file(
        write("""
            def _double(number: int): ...
            workers = 2 if _double.__annotations__ == {"number": int} else 9
        """)
    )
    assert settings == {"workers": 2}


def test_it_is_read_again_and_not_kept(write):
    assert read_file(write("workers = 1"))[0] == {"workers": 1}
    assert read_file(write("workers = 2"))[0] == {"workers": 2}


def test_a_hook_sees_the_names_of_its_own_file_after_another_was_read(write):
    _, hooks = read_file(
        write("""
            _word = "first"
            def on_exit(server):
                return _word
        """)
    )
    read_file(write('_word = "second"'))
    assert hooks.on_exit(None) == "first"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("keepalive_timout = 5", "keepalive_timout: no such setting; did you mean keepalive_timeout"),
        ("loglevel = 'info'", "loglevel: no such setting; did you mean log_level"),
        ("zq = 4", "zq: no such setting (a name of the file's own begins with '_')"),
        ("def pre_forks(server, worker): pass", "pre_forks: no such hook; did you mean pre_fork?"),
        ("def pre_fork(server): pass", "pre_fork: a function that takes server and worker is wanted"),
        ("on_exit = 'bye'", "on_exit: not a function"),
        ("backlog = 'many'", "backlog: 'many': not a whole number"),
        ("config = 'other.py'", "config: one configuration file does not name another; import it"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(write, source, message):
    path = write(source)
    assert str(refused(path)).startswith(f"{path}: {message}")


def test_a_file_that_fails_shows_its_own_traceback(write):
    path = write("""
        def _cores():
            return 1 / 0

        workers = _cores()
    """)
    error = refused(path)
    assert str(error) == f"{path}: it failed with ZeroDivisionError"
    lines = error.origin.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{path}", line 5, in <module>'
    assert f'  File "{path}", line 3, in _cores' in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "config/file.py" not in error.origin


def test_a_syntax_error_is_shown_where_it_is(write):
    path = write("workers = = 4")
    error = refused(path)
    assert str(error) == f"{path}: it failed with SyntaxError"
    assert f'File "{path}", line 1' in error.origin
    assert "workers = = 4" in error.origin
    assert "config/file.py" not in error.origin


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "import no_such_module_of_the_site", "\0"])
def test_whatever_ends_the_file_is_an_error_in_it(write, source):
    path = write(source)
    before = list(sys.path)
    assert str(refused(path)).startswith(f"{path}: it failed with ")
    assert sys.path == before


def test_an_interrupt_is_no_error_in_it(write):
    with pytest.raises(KeyboardInterrupt):
        read_file(write("raise KeyboardInterrupt"))


def test_a_missing_file_is_named_as_it_was_given(tmp_path):
    path = str(tmp_path / "none.py")
    with pytest.raises(ConfigError) as error:
        read_file(path, "--config")
    assert str(error.value) == f"--config: {path!r}: No such file or directory"
    with pytest.raises(ConfigError, match="Is a directory"):
        read_file(str(tmp_path))

"""The configuration file is a source between the defaults and the environment."""

from __future__ import annotations

import sys

import pytest

from greenserve.config.file import MODULE
from greenserve.config.hooks import Hooks
from greenserve.config.load import config_from, load_config
from greenserve.errors import ConfigError


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    monkeypatch.setattr(sys, "modules", sys.modules | {MODULE: None})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "conf.py"
    path.write_text(
        "backlog = head_timeout = body_timeout = write_timeout = 2\ndef on_exit(server): return 5\n"
    )
    return path


def test_the_file_loses_against_every_other_source(file):
    environ = {
        "GREENSERVE_CONFIG": str(file),
        "GREENSERVE_BODY_TIMEOUT": "3",
        "GREENSERVE_WRITE_TIMEOUT": "3",
    }
    config = load_config(["--write-timeout", "4"], environ, head_timeout=5)
    assert (config.backlog, config.body_timeout, config.write_timeout) == (2, 3.0, 4.0)
    assert (config.head_timeout, config.keepalive_timeout) == (5.0, 75.0)


@pytest.mark.parametrize("argv", [["-c", "{}"], ["--config", "{}"], ["--config={}"]])
def test_the_flag_names_the_file(file, argv):
    loaded = config_from([each.format(file) for each in argv], {"GREENSERVE_CONFIG": "/no/such/file"})
    assert (loaded.config.backlog, loaded.config.config) == (2, str(file))
    assert loaded.hooks.on_exit(None) == 5


def test_without_one_there_are_no_hooks_and_no_file_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("gunicorn.conf.py", "greenserve.conf.py", "conf.py"):
        (tmp_path / name).write_text("backlog = 3")
    loaded = config_from([], {})
    assert (loaded.config.backlog, loaded.config.config, loaded.hooks) == (2048, None, Hooks())


def test_a_flag_can_take_back_the_file_of_the_environment(file):
    assert load_config(["--config", ""], {"GREENSERVE_CONFIG": str(file)}).backlog == 2048


def test_what_was_given_is_told_from_the_defaults(file):
    loaded = config_from(["--config", str(file), "--backlog", "2048"], {"GREENSERVE_USER": "me"})
    assert loaded.given == {"backlog", "body_timeout", "config", "head_timeout", "user", "write_timeout"}
    assert config_from([], {}).given == frozenset()


def test_a_second_reading_finds_the_file_whatever_folder_is_current(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = config_from(["-c", "conf.py"], {}, str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    file.write_text("backlog = 7")
    second = config_from(["-c", "conf.py"], {}, str(tmp_path))
    assert (first.config.backlog, second.config.backlog) == (2, 7)
    assert first.config.config == second.config.config == str(file)
    assert second.hooks == Hooks()


@pytest.mark.parametrize(("argv", "name"), [((), "GREENSERVE_CONFIG"), (("-c", "/no/such/file"), "--config")])
def test_a_missing_file_is_named_as_it_was_given(argv, name):
    with pytest.raises(ConfigError) as refused:
        load_config(argv, {"GREENSERVE_CONFIG": "/no/such/file"})
    assert str(refused.value) == f"{name}: '/no/such/file': No such file or directory"


def test_the_sources_contradict_each_other_as_one(file):
    file.write_text("keyfile = 'key.pem'")
    with pytest.raises(ConfigError, match="certfile is not given"):
        load_config(["-c", str(file)], {})
    assert load_config(["-c", str(file), "--certfile", "cert.pem"], {}).keyfile == "key.pem"


def test_help_is_answered_whatever_the_file_says(file, capsys):
    file.write_text("raise RuntimeError")
    with pytest.raises(SystemExit):
        load_config(["-c", str(file), "--help"], {})
    assert "--config PATH" in capsys.readouterr().out

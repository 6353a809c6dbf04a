"""What docs/ shows about processes is what the settings know: flags, commands, the file, the hooks."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from greenserve.config import Config, load_config
from greenserve.config.file import MODULE, read_file
from greenserve.config.hooks import ARGUMENTS
from greenserve.config.load import build_parser, flags_of
from greenserve.config.option import declared_options

DOCS = Path(__file__).resolve().parents[3] / "docs"
SIGNALS = (DOCS / "signals.md").read_text("utf-8")
FILE = (DOCS / "configuration-file.md").read_text("utf-8")

#: Flags of other programs.
OTHERS = {"--cpus", "--kill-whom", "--signal"}


def block(page, language, number=0):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)[number]


@pytest.mark.parametrize("page", [SIGNALS, FILE], ids=["signals", "configuration-file"])
def test_every_flag_on_the_page_exists(page):
    known = {flag for each in declared_options(Config) for flag in flags_of(each)}
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) - OTHERS
    assert "--workers" in shown
    assert shown <= known


def test_every_setting_that_a_reload_cannot_change_exists():
    [listed] = re.findall(r"until an upgrade or a restart: (.*?)\.\n", SIGNALS, re.S)
    names = re.findall(r"`(\w+)`", listed)
    assert len(names) == 7
    assert set(names) <= set(Config.__dataclass_fields__)


def test_every_command_on_the_page_is_understood():
    commands = [shlex.split(each) for each in re.findall(r"^(?:ExecStart|command) ?= ?(.*)$", SIGNALS, re.M)]
    commands.append(json.loads(block(SIGNALS, "dockerfile").removeprefix("CMD")))
    configs = [load_config(command[1:], {}) for command in commands]
    assert [(config.application, config.workers) for config in configs] == [("app:app", "auto")] * 4
    # The unit with a socket must not name an address, or the socket would not be used.
    assert [config.bind for config in configs].count(Config().bind) == 1


def test_a_unit_waits_longer_than_a_graceful_stop():
    limits = re.findall(r"^(?:TimeoutStopSec=|stopwaitsecs = )(\d+)", SIGNALS, re.M)
    assert len(limits) == 3
    assert all(int(limit) > Config().graceful_timeout for limit in limits)


def test_the_example_of_a_file_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "modules", sys.modules | {MODULE: None})
    path = tmp_path / "greenserve.conf.py"
    path.write_text(block(FILE, "python"), "utf-8")
    settings, hooks = read_file(str(path))
    assert settings["max_worker_memory"] == 512 << 20
    assert settings["workers"] == "auto"
    assert set(hooks.given()) == {"post_patch", "when_ready"}


def test_every_hook_is_described_with_its_arguments():
    rows = re.findall(r"^\| `(\w+)\((.*?)\)` \|", FILE, re.M)
    assert {name: tuple(arguments.split(", ")) for name, arguments in rows} == ARGUMENTS
    assert len(rows) == len(ARGUMENTS)


def test_the_file_and_the_workers_have_short_flags():
    text = build_parser().format_help()
    # Since Python 3.13 the value is shown once.
    assert re.search(r"-c( PATH)?, --config PATH", text)
    assert re.search(r"-w( NUMBER\|auto)?, --workers NUMBER\|auto", text)

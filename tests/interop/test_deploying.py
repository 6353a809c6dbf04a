"""docs/deploying.md keeps what it promises: its configurations are all run, its commands and times hold."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from greenserve.config import Config, load_config
from tests.interop.front_end import PAGE, PARTS, recipes


def commands() -> list[list[str]]:
    """Return the arguments of each greenserve on the page."""
    found = recipes()
    unit = re.search(r"^ExecStart=(.*)$", found["systemd"], re.M)
    image = re.search(r"^CMD (.*)$", found["Containers"], re.M)
    assert unit and image
    inline = re.findall(r"`(greenserve [^`]+)`", PAGE.read_text("utf-8"))
    return [shlex.split(unit[1].replace("%i", "8000")), json.loads(image[1]), *map(shlex.split, inline)]


@pytest.mark.parametrize("program", PARTS)
def test_every_configuration_on_the_page_is_run_by_a_test(program: str) -> None:
    shown = {title for title in recipes() if title.startswith(f"{program}: ")}
    run = {f"{program}: {title}" for titles in PARTS[program].values() for title in titles}
    assert shown == run
    assert len(shown) == PAGE.read_text("utf-8").count(f"```{program.lower()}\n")


def test_every_command_on_the_page_is_understood() -> None:
    found = commands()
    assert len(found) >= 3
    for command in found:
        assert command[0].rpartition("/")[2] == "greenserve"
        assert load_config(command[1:]).application == "app:app"


def test_every_option_on_the_page_exists() -> None:
    others = {"--stop-timeout", "--retry", "--retry-connrefused"}  # of docker and curl
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE.read_text("utf-8"))) - others
    fields = {f"--{name.replace('_', '-')}" for name in Config.__dataclass_fields__}
    assert "--drain-grace" in options
    assert options <= fields


def test_greenserve_waits_longer_than_nginx_and_less_long_than_systemd() -> None:
    found = recipes()
    for title in ("one server", "two servers", "a Unix socket"):
        limit = re.search(r"keepalive_timeout (\d+)s;", found[f"nginx: {title}"])
        assert limit and float(limit[1]) < Config().keepalive_timeout
    limit = re.search(r"^TimeoutStopSec=(\d+)$", found["systemd"], re.M)
    assert limit and float(limit[1]) > Config().graceful_timeout


def test_the_limits_on_the_page_are_the_defaults() -> None:
    shown = re.findall(r"`(\w+)`, (\d+) s \|", PAGE.read_text("utf-8"))
    assert len(shown) == 4
    assert {name: float(seconds) for name, seconds in shown} == {
        name: getattr(Config(), name) for name, _ in shown
    }

"""The doors that other projects open: `flask greenserve`, `manage.py greenserve`, `egg:greenserve#main`.

Each of them is a real process, started as its users start it.  They are found through the metadata of
the installed package, as Flask and PasteDeploy find them.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from greenserve.contrib.paste import build_config
from greenserve.errors import ConfigError
from tests.interop import framework_sites as sites
from tests.interop.framework_sites import write
from tests.process import ServerProcess, start_process, start_script

SECONDS = 30  # how long anything here may take before a test gives up on it

LATE = "the application was imported before gevent patched"


def require(condition: object, reason: str) -> None:
    """Skip the test, or fail it in CI, where `condition` has to be true."""
    if not condition:
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(reason)


def require_entry_point(group: str) -> None:
    found = any(each.value.startswith("greenserve.") for each in entry_points(group=group))
    require(found, f"greenserve is not installed with its entry point in {group}")


def has_distribution(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def ask(server: ServerProcess, method: str = "GET", body: Any = None) -> tuple[dict[str, Any], Any]:
    """Return what the application said, and the Server field; an iterator as `body` is sent in chunks."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as connection:
        connection.request(method, "/", body)
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read()), answer.getheader("Server")


def assert_stops(server: ServerProcess) -> None:
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.lines[-1].endswith("stopped")


# -- flask greenserve


def flask(*arguments: str) -> list[str]:
    require_entry_point("flask.commands")
    return [sys.executable, "-m", "flask", *arguments]


def test_flask_greenserve_becomes_the_command_with_its_arguments(tmp_path):
    write(tmp_path, shop=sites.FLASK_SITE)
    options = ("-b", "127.0.0.1:0", "--no-buffer-chunked", "--server-header", "a flask")
    with start_process(flask("--app", "shop", "--debug", "greenserve", *options), cwd=tmp_path) as server:
        facts, name = ask(server)
        assert facts == {"pid": server.pid, "patched": True, "name": "made", "debug": True}
        assert name == "a flask"
        assert_stops(server)


def test_the_application_of_flask_wins_over_that_of_the_environment(tmp_path):
    write(tmp_path, shop=sites.FLASK_SITE)
    variables = {"FLASK_APP": "other", "GREENSERVE_APPLICATION": "other"}
    command = flask("--app", "shop:create_app('option')", "greenserve")
    with start_process(command, cwd=tmp_path, env=variables) as server:
        assert ask(server)[0]["name"] == "option"


@pytest.mark.parametrize(
    ("file", "variables"),
    [("shop", {"FLASK_APP": "shop.py:create_app"}), ("wsgi", {}), ("app", {"FLASK_APP": ""})],
)
def test_flask_greenserve_finds_the_application_as_flask_does(tmp_path, file, variables):
    write(tmp_path, **{file: sites.FLASK_SITE})
    with start_process(flask("greenserve"), cwd=tmp_path, env=variables) as server:
        assert ask(server)[0]["name"] == "made"


def test_what_flask_does_not_know_is_for_greenserve_to_judge(tmp_path):
    with start_process(flask("greenserve", "--wrokers", "4"), cwd=tmp_path, ready=None) as server:
        assert server.wait() == 2
    assert server.lines[0].startswith("greenserve: error: --wrokers: ")


def test_help_is_that_of_greenserve(tmp_path):
    with start_process(flask("greenserve", "--help"), cwd=tmp_path, ready=None) as server:
        assert server.wait() == 0
    assert server.output[0] == "usage: greenserve [options] [APPLICATION]"


# -- manage.py greenserve


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a Django project, which is not the one that the tests run in."""
    inside = {
        "project__settings": sites.SETTINGS,
        "project__bare": "from project.settings import *\nWSGI_APPLICATION = None\n",
        "project__urls": sites.URLS,
        "project__wsgi": sites.WSGI,
    }
    return write(tmp_path / "site", manage=sites.MANAGE, **inside)


def test_manage_py_greenserve_becomes_the_command_in_the_folder_of_the_project(project):
    options = ("-b", "127.0.0.1:0", "--server-header", "a project")
    with start_script(project / "manage.py", "greenserve", *options, cwd=project.parent) as server:
        facts, name = ask(server)
        assert (facts["pid"], facts["patched"]) == (server.pid, True)
        assert (facts["folder"], facts["settings"]) == (str(project), "project.settings")
        assert name == "a project"
        assert_stops(server)


def test_manage_py_help_greenserve_is_that_of_the_command(project):
    command = [sys.executable, "manage.py", "help", "greenserve"]
    with start_process(command, cwd=project, ready=None) as server:
        assert server.wait() == 0
    assert server.output[0] == "usage: greenserve [options] [APPLICATION]"


def test_a_chunked_body_reaches_django(project):
    with start_script(project / "manage.py", "greenserve") as server:
        assert ask(server, "POST", iter([b"ab", b"cd"]))[0]["octets"] == 4


@pytest.mark.parametrize(
    ("options", "variables"),
    [(["--no-buffer-chunked", "--chdir", "."], {}), ([], {"GREENSERVE_BUFFER_CHUNKED": "no"})],
)
def test_the_operator_wins_over_what_django_needs(project, options, variables):
    command = ["manage.py", "greenserve", *options]
    with start_process([sys.executable, *command], cwd=project, env=variables) as server:
        assert ask(server, "POST", iter([b"ab", b"cd"]))[0]["octets"] == 0


def test_a_project_without_wsgi_application_is_served_with_the_settings_that_were_named(project):
    with start_script(project / "manage.py", "greenserve", "--settings", "project.bare") as server:
        assert ask(server)[0]["settings"] == "project.bare"


def test_django_admin_serves_from_the_current_folder(project):
    command = [sys.executable, "-m", "django", "greenserve"]
    variables = {"DJANGO_SETTINGS_MODULE": "project.settings"}
    with start_process(command, cwd=project, env=variables) as server:
        assert ask(server)[0]["folder"] == str(project)


# -- egg:greenserve#main


@pytest.mark.parametrize(
    ("settings", "bind"),
    [
        ({}, ("127.0.0.1:8000",)),
        ({"host": "0.0.0.0", "port": "6543"}, ("0.0.0.0:6543",)),
        ({"host": "0.0.0.0"}, ("0.0.0.0:8000",)),
        ({"port": "6543"}, ("127.0.0.1:6543",)),
        ({"host": "::1", "port": "6543"}, ("[::1]:6543",)),
        ({"host": "[::1]", "port": "6543"}, ("[::1]:6543",)),
        ({"bind": "127.0.0.1:6543, unix:/run/shop"}, ("127.0.0.1:6543", "unix:/run/shop")),
    ],
)
def test_host_and_port_mean_an_address(settings, bind):
    config = build_config({**settings, "keepalive_timeout": "2m", "buffer_chunked": "yes"})
    assert (config.bind, config.keepalive_timeout, config.buffer_chunked) == (bind, 120.0, True)


@pytest.mark.parametrize(
    "settings",
    [{"bind": ":1", "port": "1"}, {"application": "a"}, {"chdir": "/"}, {"workers": "4"}, {"backlog": "all"}],
)
def test_a_server_section_that_cannot_be_is_refused(settings):
    with pytest.raises(ConfigError):
        build_config(settings)


@pytest.mark.parametrize(
    ("settings", "blamed"),
    [
        ({"port": "http"}, ("port", "http")),
        ({"port": "70000", "host": "::1"}, ("port", "70000")),
        ({"host": "a host", "port": "80"}, ("host", "a host")),
        ({"host": "[::1", "port": "http"}, ("host", "[::1")),
    ],
)
def test_of_host_and_port_the_wrong_one_is_named(settings, blamed):
    with pytest.raises(ConfigError) as refused:
        build_config(settings)
    assert (refused.value.option, refused.value.value) == blamed


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    require_entry_point("paste.server_runner")
    (tmp_path / "shop.ini").write_text(dedent(sites.PASTE_FILE))
    return write(tmp_path, shop=sites.PASTE_SITE, entry=sites.RUN_ENTRY_POINT, deploy=sites.RUN_PASTEDEPLOY)


@pytest.fixture
def gate() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        yield listener


def test_the_runner_patches_late_says_so_and_lets_requests_finish(shop, gate):
    with start_script(shop / "entry.py", cwd=shop) as server:
        assert ask(server) == ({"pid": server.pid}, "pasted")
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as connection:
            connection.request("GET", f"/?{gate.getsockname()[1]}")
            with gate.accept()[0] as held:
                assert ask(server)[0] == {"pid": server.pid}  # waiting does not block it
                server.send_signal(signal.SIGTERM)
                server.wait_for_line("SIGTERM: stopping")
                held.sendall(b"x")
            assert connection.getresponse().status == 200
        assert server.wait() == 0
    assert [line for line in server.lines if LATE in line] == server.lines[:1]


def test_pastedeploy_finds_the_runner(shop):
    require(has_distribution("PasteDeploy"), "PasteDeploy is not installed")
    with start_script(shop / "deploy.py", cwd=shop) as server:
        assert ask(server) == ({"pid": server.pid}, "pasted")
        assert_stops(server)


@pytest.mark.parametrize(("first", "is_late"), [([], True), (["gevent.monkey", "--module"], False)])
def test_pserve_serves_and_stops(shop, first, is_late):
    require(find_spec("pyramid"), "Pyramid is not installed")
    command = [sys.executable, "-m", *first, "pyramid.scripts.pserve", "shop.ini"]
    with start_process(command, cwd=shop, env={"PYTHONPATH": str(shop)}) as server:
        assert ask(server) == ({"pid": server.pid}, "pasted")
        assert_stops(server)
    assert any(LATE in line for line in server.lines) is is_late

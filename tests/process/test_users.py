"""--user and --group with real processes: who serves, and to whom what they leave behind belongs."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.process import start_server
from tests.process.masters import SECONDS, start_master, wait_until, write_application

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run as somebody else")

NOBODY = pwd.getpwnam("nobody")
OTHER = next(entry for entry in grp.getgrall() if entry.gr_gid not in (0, NOBODY.pw_gid))

APPLICATION = """
    import json, os

    at_import = os.getresuid()

    def application(environ, start_response):
        umask = os.umask(0)
        os.umask(umask)
        told = {"users": os.getresuid(), "groups": os.getresgid(), "others": os.getgroups(), "umask": umask}
        start_response("200 OK", [])
        return [json.dumps({**told, "at_import": at_import}).encode()]
"""

#: What becomes of root's own groups, which a test gives itself first.
SUPPLEMENTARY = [0, 4242]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder of root's that others may look into."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield write_application(made, APPLICATION)
    shutil.rmtree(made)


@pytest.fixture(autouse=True)
def roots_groups() -> Iterator[None]:
    before = os.getgroups()
    os.setgroups(SUPPLEMENTARY)
    yield
    os.setgroups(before)


def ask(server, path="/"):
    with urlopen(server.url(path), timeout=SECONDS) as answer:
        return json.load(answer)


def as_nobody(group=NOBODY.pw_gid, umask=0o022):
    """Return what the application says of the process that it runs in."""
    return {
        "users": [NOBODY.pw_uid] * 3,
        "groups": [group] * 3,
        "others": sorted(os.getgrouplist("nobody", group)),
        "umask": umask,
        "at_import": [NOBODY.pw_uid] * 3,
    }


def owner(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_workers_serve_as_the_user_and_the_master_stays_root(folder):
    files = {name: folder / name for name in ("pid", "errors.log", "access.log", "socket")}
    arguments = ("--user", "nobody", "--group", OTHER.gr_name, "--umask", "027", "--pidfile", "pid")
    arguments += ("--error-log", "errors.log", "--access-log", "access.log")
    arguments += ("--bind", "127.0.0.1:0", "--bind", f"unix:{files['socket']}")
    arguments += ("--unix-mode", "660", "--unix-owner", f"nobody:{OTHER.gr_gid}")
    with start_master(folder, *arguments, ready=None) as master:
        errors = files["errors.log"]
        wait_until(lambda: errors.exists() and "listening on" in errors.read_text(), "its start")
        line = next(line for line in errors.read_text().splitlines() if "listening on" in line)
        master.port = int(line.partition("http://127.0.0.1:")[2].partition(",")[0])
        assert ask(master) == as_nobody(OTHER.gr_gid, 0o027)
        assert os.stat(f"/proc/{master.pid}").st_uid == 0
        assert owner(files["pid"])[:2] == (0, 0)
        assert owner(files["socket"]) == (NOBODY.pw_uid, OTHER.gr_gid, 0o660)
        for name in ("errors.log", "access.log"):
            assert owner(files[name]) == (NOBODY.pw_uid, OTHER.gr_gid, 0o640), name

        # Opened again by those who may no longer make a file here.
        for name in ("errors.log", "access.log"):
            files[name].rename(folder / f"{name}.1")
        master.send_signal(signal.SIGUSR1)
        wait_until(lambda: files["access.log"].exists(), "the new files")

        def is_written() -> bool:
            ask(master, "/after")
            return "/after" in files["access.log"].read_text()

        wait_until(is_written, "a line in the new file")
        assert owner(files["access.log"])[:2] == (NOBODY.pw_uid, OTHER.gr_gid)
        assert "cannot be opened" not in errors.read_text()

        # A reload, which root does for them, and an end that removes what root has made.
        master.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded: 2 workers" in errors.read_text(), "new workers")
        assert ask(master) == as_nobody(OTHER.gr_gid, 0o027)
    assert master.wait() == 0
    assert not files["pid"].exists()
    assert not files["socket"].exists()


def test_one_process_becomes_the_user_and_keeps_what_it_has_bound(folder):
    path, own = folder / "socket", folder / "own"
    own.mkdir()
    os.chown(own, NOBODY.pw_uid, NOBODY.pw_gid)
    arguments = ("--user", "nobody", "--umask", "077", "--pidfile", str(own / "pid"))
    arguments += (
        "--error-log",
        str(folder / "errors.log"),
        "--bind",
        "127.0.0.1:0",
        "--bind",
        f"unix:{path}",
    )
    with start_server("site_app", *arguments, cwd=folder, ready=None) as server:
        errors = folder / "errors.log"
        wait_until(lambda: errors.exists() and "listening on" in errors.read_text(), "its start")
        text = errors.read_text().partition("http://127.0.0.1:")[2]
        server.port = int(text.partition(",")[0])
        assert ask(server) == as_nobody(umask=0o077)
        assert owner(folder / "errors.log")[:2] == (0, 0)  # it was open before
        assert int((own / "pid").read_text()) == server.pid
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SECONDS)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
    assert server.wait() == 0
    assert not (own / "pid").exists()  # the folder is the user's


def test_one_process_goes_on_accepting_for_the_delay_of_a_stop(folder):
    with start_server("site_app", "--shutdown-delay", "600", cwd=folder) as server:
        server.send_signal(signal.SIGTERM)
        server.wait_for_line("SIGTERM: stopping")
        assert ask(server)["users"] == [0, 0, 0]
        server.send_signal(signal.SIGTERM)  # or it would go on for ten minutes
        assert server.wait() == -signal.SIGTERM


def test_the_delay_of_a_stop_is_over_by_itself(folder):
    with start_server("site_app", "--shutdown-delay", "0.2", cwd=folder) as server:
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.lines[-1].endswith("stopped")


def test_a_user_that_does_not_exist_is_status_2_in_both(folder):
    for workers in ((), ("--workers", "1")):
        with start_server("site_app", "--user", "no-such-user", *workers, cwd=folder, ready=None) as server:
            assert server.wait() == 2
        assert server.lines == ["greenserve: error: --user: 'no-such-user': there is no such user"]

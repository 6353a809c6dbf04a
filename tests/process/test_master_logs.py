"""The log files of a master and its workers: opened again at USR1, by all of them, and none too often."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.process.masters import Master, start_master, wait_until, write_application
from tests.process.trees import descriptors, open_files

HOOK = """
    workers = 1
    error_log = "errors.log"

    def pre_request(worker, req):
        pass

    def post_request(worker, req, environ, resp):
        raise RuntimeError("of the hook for " + req.path)
"""


def wait_for_text(path: Path, text: str, count: int = 1) -> str:
    """Return what is in a file, once `text` is."""
    wait_until(lambda: path.exists() and path.read_text().count(text) >= count, f"{text!r} in {path.name}")
    return path.read_text()


def find_port(master: Master, log: Path) -> None:
    line = next(line for line in wait_for_text(log, "listening on").splitlines() if "listening on" in line)
    master.port = int(line.split(":")[-1].split(",")[0])


def test_reloads_leave_no_descriptor_behind(folder):
    errors = folder / "errors.log"
    with start_master(folder, "--error-log", str(errors), ready=None) as master:
        wait_for_text(errors, "is ready", 2)
        before = descriptors(master.pid)
        for count in range(1, 4):
            master.send_signal(signal.SIGHUP)
            wait_for_text(errors, "has stopped", 2 * count)
        wait_until(lambda: descriptors(master.pid) == before, "the descriptors that there were before")


def test_a_hook_that_fails_says_so_in_the_new_file(folder):
    errors, moved = folder / "errors.log", folder / "errors.log.1"
    path = folder / "greenserve.conf.py"
    path.write_text("\n".join(line[4:] for line in HOOK.splitlines()))
    with start_master(folder, "--config", str(path), workers=None, ready=None) as master:
        find_port(master, errors)
        master.ask("/before")
        wait_for_text(errors, "of the hook for /before")
        errors.rename(moved)
        master.send_signal(signal.SIGUSR1)
        wait_until(errors.exists, "a new file")
        wait_until(lambda: is_reopened(master, errors), "a worker that writes to it")
        master.ask("/after")
        wait_for_text(errors, "of the hook for /after")
        assert "/after" not in moved.read_text()


def is_reopened(master: Master, path: Path) -> bool:
    """Whether every descriptor of a log that the worker has is that of the new file."""
    (worker,) = master.workers
    links = open_files(worker)
    return path in links and path.with_name(f"{path.name}.1") not in links


def test_a_worker_that_is_starting_opens_them_again_too(folder):
    """What it cannot do in the middle of an import it does when that is over."""
    waiting = "open('began', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\nVERSION ="
    write_application(folder, **{"VERSION =": waiting})
    errors, moved = folder / "errors.log", folder / "errors.log.1"
    with start_master(folder, "--error-log", str(errors), ready=None, workers=1) as master:
        wait_until((folder / "began").exists, "the import")
        errors.rename(moved)
        master.send_signal(signal.SIGUSR1)
        wait_until(errors.exists, "a new file")
        (folder / "go").touch()
        wait_for_text(errors, "is ready")
        wait_until(lambda: is_reopened(master, errors), "a worker that writes to it")

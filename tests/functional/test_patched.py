"""What an application takes out of the standard library by name, when it is imported, waits in the hub."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from tests.process import ROOT, ServerProcess, start_server

SECONDS = 20  # how long one answer may take before a test gives up on it

APPLICATION = """
    from queue import Queue, SimpleQueue
    from select import select
    from socket import socketpair
    from ssl import PROTOCOL_TLS_CLIENT, SSLContext
    from subprocess import PIPE, Popen
    from threading import Condition, Event, Lock, Semaphore, Thread
    from time import sleep

    lock, semaphore, event, condition = Lock(), Semaphore(0), Event(), Condition()
    lock.acquire()
    queue, simple_queue = Queue(), SimpleQueue()
    received, sent = socketpair()
    selected, awakening = socketpair()
    client, stalled = socketpair()
    joined_event = Event()
    processes = []

    def wait_for_condition():
        with condition:
            condition.wait()

    def notify():
        with condition:
            condition.notify_all()

    def join_a_thread():
        thread = Thread(target=joined_event.wait)
        thread.start()
        thread.join()

    def shake_hands():
        try:
            SSLContext(PROTOCOL_TLS_CLIENT).wrap_socket(client, server_hostname="a")
        except OSError:
            pass  # the other end has closed it

    def end_process():
        while not processes:
            sleep(0.01)
        processes[0].stdin.close()

    def wait_for_process():
        with Popen(["cat"], stdin=PIPE) as process:
            processes.append(process)
            process.wait()

    STEPS = {
        "condition": (wait_for_condition, notify),
        "event": (event.wait, event.set),
        "lock": (lock.acquire, lock.release),
        "process": (wait_for_process, end_process),
        "queue": (queue.get, lambda: queue.put(1)),
        "select": (lambda: select([selected], [], []), lambda: awakening.send(b"x")),
        "semaphore": (semaphore.acquire, semaphore.release),
        "simple_queue": (simple_queue.get, lambda: simple_queue.put(1)),
        "socket": (lambda: received.recv(1), lambda: sent.send(b"x")),
        "thread": (join_a_thread, joined_event.set),
        "tls": (shake_hands, stalled.close),
    }

    def application(environ, start_response):
        _, what, step = environ["PATH_INFO"].split("/")
        if step == "wait":
            print("waiting for", what, flush=True)
        STEPS[what][step == "go"]()
        start_response("200 OK", [])
        return [step.encode()]
"""
NAMES = """
    from queue import SimpleQueue
    from select import select
    from socket import socket
    from ssl import SSLContext
    from subprocess import Popen
    from threading import Lock, Thread
    from time import sleep

    def application(environ, start_response):
        start_response("200 OK", [])
        found = [SimpleQueue, select, socket, SSLContext, Popen, type(Lock()), Thread, sleep]
        return ["\\n".join(each.__module__ for each in found).encode()]
"""
THINGS = "condition event lock process queue select semaphore simple_queue socket thread tls".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "waiting.py").write_text(dedent(APPLICATION))
    (folder / "names.py").write_text(dedent(NAMES))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    """A server in whose process a warning, such as MonkeyPatchWarning, is an error."""
    with start_server("waiting", cwd=folder, env={"PYTHONWARNINGS": "error"}) as server:
        yield server


def connect(server: ServerProcess) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)


def get(server: ServerProcess, path: str) -> str:
    with closing(connect(server)) as connection:
        connection.request("GET", path)
        return read(connection)


def read(connection: http.client.HTTPConnection) -> str:
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read().decode()


@pytest.mark.parametrize("thing", THINGS)
def test_what_waits_holds_up_nobody(server: ServerProcess, thing: str) -> None:
    with closing(connect(server)) as waiting:
        waiting.request("GET", f"/{thing}/wait")
        server.wait_for_line(f"^waiting for {thing}$")
        assert get(server, f"/{thing}/go") == "go"
        assert read(waiting) == "wait"


def test_the_command_patches_without_a_warning(folder: Path) -> None:
    with start_server("names", cwd=folder, env={"PYTHONWARNINGS": "error"}) as server:
        modules = get(server, "/").split("\n")
        assert len(modules) == 8
        assert [name for name in modules if not name.startswith("gevent.")] == []
    assert server.wait() == 0
    assert [line for line in server.lines if "[info]" not in line] == []


def test_the_plugins_of_gevent_are_told_and_the_distributions_read_once(tmp_path: Path) -> None:
    information = tmp_path / "plugged-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[gevent.plugins.monkey.will_patch_all]\na = plugged:note\n"
        "[gevent.plugins.monkey.did_patch_all]\nb = plugged:note\n"
    )
    (tmp_path / "plugged.py").write_text(
        dedent("""
            from importlib.metadata import entry_points

            told = []

            def note(event):
                told.append(type(event).__name__)
        """)
    )
    program = """
        from importlib import metadata

        read, asked = metadata.entry_points, []
        counting = metadata.entry_points = lambda **wanted: asked.append(wanted) or read(**wanted)

        from greenserve.patching import patch
        patch()

        import plugged
        assert plugged.told == ["GeventWillPatchAllEvent", "GeventDidPatchAllEvent"], plugged.told
        assert asked == [{}], asked
        assert metadata.entry_points is counting
        assert [each.name for each in plugged.entry_points(name="b", value="plugged:note")] == ["b"]
        assert len(asked) == 2, "what was installed meanwhile is not found"
    """
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-bb", "-c", dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environ)
    assert (done.returncode, done.stderr) == (0, "")

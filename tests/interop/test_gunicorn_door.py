"""Who comes when a worker under gunicorn has looked into the queue for the last time, and is about to close.

Each worker knocks at its own door in that moment, and says whether the kernel has let it in.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from textwrap import dedent

import pytest

from tests.interop.gunicorn_process import (
    children,
    is_gone,
    releases,
    start_gunicorn,
    wait_for_end,
    worker_of,
)
from tests.listening import free_port, is_listening
from tests.pipes import wait_for
from tests.process import ServerProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is told in Linux's words")

KNOCKING = """
    import os, socket

    def post_worker_init(worker):
        from gevent import monkey
        from greenserve.server.listeners import Listeners
        select, close = monkey.get_original("select", "select"), Listeners.close

        def knock_and_close(self):
            for listener in self.sockets:
                client = monkey.get_original("socket", "socket")()
                client.setblocking(False)
                client.connect_ex(listener.getsockname())
                door = "open" if select([], [client], [], 0.1)[1] else "shut"
                os.write(1, f"{os.getpid()} {door}\\n".encode())  # in one piece: others write, too
            close(self)

        Listeners.close = knock_and_close
        worker.log.info("knocks at its end")
"""


def doors(server: ServerProcess, count: int) -> dict[int, str]:
    """Return what `count` workers have found, by their process."""
    wait_for(lambda: len(server.output) >= count, f"{count} doors")
    return {int(pid): door for pid, door in (line.split() for line in server.output)}


@releases
@pytest.mark.parametrize("arguments", [(), ("--preload",)], ids=["", "preload"])
def test_it_is_shut_when_all_workers_end(tmp_path, release, arguments):
    with start_gunicorn(tmp_path, "-w", "3", *arguments, config=KNOCKING, release=release) as server:
        server.wait_for_lines("knocks at its end", 3)
        workers = children(server.pid)
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert doors(server, 3) == dict.fromkeys(workers, "shut")


@releases
def test_it_is_open_as_long_as_others_use_it(tmp_path, release):
    with start_gunicorn(tmp_path, config=KNOCKING, release=release) as server:
        for number in range(1, 3):
            os.kill(pid := worker_of(server), signal.SIGTERM)
            assert doors(server, number)[pid] == "open"
            wait_for_end(pid)
            assert worker_of(server) != pid


@releases
def test_it_is_open_for_the_other_master_of_an_upgrade_and_shut_behind_the_last(tmp_path, release):
    pidfile = tmp_path / "pid"
    with start_gunicorn(tmp_path, "--pid", str(pidfile), config=KNOCKING, release=release) as server:
        old = worker_of(server)
        server.send_signal(signal.SIGUSR2)
        second = tmp_path / "pid.2"
        wait_for(lambda: second.exists() and second.read_text().strip(), "the second master")
        new = int(second.read_text())
        server.wait_for_lines("knocks at its end", 2)
        server.send_signal(signal.SIGTERM)
        wait_for(lambda: is_gone(server.pid), "the end of the first")
        assert doors(server, 1) == {old: "open"}
        last = worker_of(server)
        os.kill(new, signal.SIGTERM)
        wait_for_end(new)
        assert doors(server, 2) == {old: "open", last: "shut"}


GIVEN = """
    given = socket.create_server(("127.0.0.1", 0))
    print("given:", given.getsockname()[1], flush=True)
    if (number := given.detach()) != NUMBER:
        os.dup2(number, NUMBER)
        os.close(number)
"""
ACTIVATED = 'os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "1"'


@pytest.mark.parametrize(("number", "more"), [(9, ""), (3, ACTIVATED)], ids=["fd", "systemd"])
def test_it_is_left_to_whoever_has_given_the_socket(tmp_path, number, more):
    config = dedent(KNOCKING) + dedent(GIVEN).replace("NUMBER", str(number)) + more
    arguments = ("-b", f"fd://{number}" if not more else "127.0.0.1:0")
    ready = re.compile(r"given: (\d+)")
    with start_gunicorn(tmp_path, *arguments, config=config, ready=ready) as server:
        pid = worker_of(server)
        server.output.remove(f"given: {server.port}")
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert doors(server, 1) == {pid: "open"}


@releases
def test_a_queue_of_its_own_is_shut_whenever_its_worker_ends(tmp_path, release):
    port = free_port()
    arguments = ("--reuse-port", "-b", f"127.0.0.1:{port}")
    ready = re.compile("Booting worker")
    with start_gunicorn(tmp_path, *arguments, config=KNOCKING, release=release, ready=ready) as server:
        server.port = port
        wait_for(lambda: is_listening(port), "its listener")
        os.kill(pid := worker_of(server), signal.SIGTERM)
        assert doors(server, 1)[pid] == "shut"

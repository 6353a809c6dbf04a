"""No request is lost under gunicorn while workers come and go, with greenserve's worker class."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.interop.gunicorn_load import loading
from tests.interop.gunicorn_process import (
    BOOTED,
    children,
    connect,
    is_gone,
    releases,
    start_gunicorn,
    wait_for_end,
    wait_for_handlers,
    worker_of,
)
from tests.pipes import wait_for
from tests.process import ServerProcess

#: What the newest release does is counted in tests/process/test_reliability_gunicorn.py.
older = pytest.mark.parametrize("release", ["25"])

MOMENT = 100  # requests between two things that happen


def workers_of(server: ServerProcess, count: int = 2) -> set[int]:
    """Return the workers, when there are `count` of them."""
    wait_for(lambda: len(children(server.pid)) == count, f"{count} workers")
    return set(children(server.pid))


def are_others(server: ServerProcess, before: set[int]) -> Callable[[], bool]:
    """Return what says whether the master has other workers than `before`, as many."""
    return lambda: len(now := set(children(server.pid))) == len(before) and not now & before


@releases
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_hup(tmp_path, release, preload):
    arguments = ("-w", "2", "--max-requests-jitter", "0", *preload)
    with start_gunicorn(tmp_path, *arguments, config=BOOTED, release=release) as server:
        with loading(server.port) as load:
            for number in range(1, 6):
                wait_for_handlers(server, 2 * number)
                before = workers_of(server)
                load.go_on_for(MOMENT)
                server.send_signal(signal.SIGHUP)
                wait_for(are_others(server, before), "the new workers")
            load.go_on_for(MOMENT)
    assert server.wait() == 0


def test_hup_reads_the_settings_again(tmp_path):
    with start_gunicorn(tmp_path, config="raw_env = ['TOLD=first']") as server:
        pid = worker_of(server)
        (tmp_path / "gunicorn.conf.py").write_text("raw_env = ['TOLD=second']; strip_header_spaces = True")
        server.send_signal(signal.SIGHUP)
        server.wait_for_line("settings without effect in greenserve's worker: strip_header_spaces")
        wait_for_end(pid)
        with connect(server) as connection:
            connection.request("GET", "/environ")
            assert b'"TOLD": "second"' in connection.getresponse().read()


@older
def test_ttin_and_ttou(tmp_path, release):
    with start_gunicorn(tmp_path, "-w", "2", release=release) as server, loading(server.port) as load:
        more, less = signal.SIGTTIN, signal.SIGTTOU
        for _ in range(3):
            for number, count in ((more, 3), (more, 4), (less, 3), (less, 2)):
                load.go_on_for(MOMENT)
                server.send_signal(number)
                workers_of(server, count)


@releases
def test_max_requests(tmp_path, release):
    arguments = ("-w", "2", "--max-requests", "200", "--max-requests-jitter", "50")
    with start_gunicorn(tmp_path, *arguments, config=BOOTED, release=release) as server:
        with loading(server.port) as load:
            load.go_on_for(2000)
        recycled = sum("Autorestarting worker" in line for line in server.lines)
        wait_for_handlers(server, 2 + recycled)
    assert load.answered.total() // 250 - 2 <= recycled <= load.answered.total() // 200
    served = [count for pid, count in load.answered.items() if pid]
    assert len(served) >= recycled


def test_pipelined_requests_count(tmp_path):
    with start_gunicorn(tmp_path, "--max-requests", "3") as server:
        pid = worker_of(server)
        with connect(server) as connection:
            connection.connect()
            connection.sock.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
            received = b""
            while data := connection.sock.recv(1000):
                received += data
        assert received.count(b"HTTP/1.1 200 OK") == received.count(str(pid).encode()) == 2
        wait_for_end(pid)
        assert worker_of(server) != pid


@older
def test_term(tmp_path, release):
    """A client is refused at the end, and never before: what was sent is answered."""
    with start_gunicorn(tmp_path, "-w", "2", config=BOOTED, release=release) as server:
        wait_for_handlers(server, 2)
        workers = workers_of(server)
        with pytest.raises(AssertionError) as failed, loading(server.port) as load:
            load.go_on_for(MOMENT)
            server.send_signal(signal.SIGTERM)
            assert server.wait() == 0
        assert load.failed and load.answered.total() >= MOMENT, failed
        assert [each for each in load.failed if "ConnectionRefusedError" not in each] == []
        assert all(map(is_gone, workers))


@older
def test_usr2(tmp_path, release):
    pidfile = tmp_path / "pid"
    arguments = ("-w", "2", "--pid", str(pidfile))
    with start_gunicorn(tmp_path, *arguments, config=BOOTED, release=release) as server:
        wait_for_handlers(server, 2)
        old = server.pid
        with loading(server.port) as load:
            load.go_on_for(MOMENT)
            server.send_signal(signal.SIGUSR2)
            second = tmp_path / "pid.2"
            wait_for(lambda: second.exists() and second.read_text().strip(), "the second master")
            new = int(second.read_text())
            wait_for_handlers(server, 4)
            load.go_on_for(MOMENT)
            server.send_signal(signal.SIGTERM)
            wait_for(lambda: is_gone(old), "the end of the first")
            seen = set(load.answered)
            load.go_on_for(MOMENT)
            assert set(children(new)) & set(load.answered), seen
        end(new)


def end(pid: int) -> None:
    """End a process that has taken the place of the one that a test has started."""
    os.kill(pid, signal.SIGTERM)
    wait_for_end(pid)


@pytest.mark.parametrize("engine", ["poll"])
def test_the_reloader_replaces_the_worker(tmp_path, engine):
    module = tmp_path / "reloaded.py"
    source = "from tests.interop import gunicorn_site\n\ndef application(environ, start_response):\n"
    source += "    start_response('200 OK', [])\n    return [b'{}']\n"
    module.write_text(source.format("first"))
    arguments = ("--reload", "--reload-engine", engine)
    with start_gunicorn(tmp_path, *arguments, application="reloaded:application") as server:
        with connect(server) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"first"
        beside = tmp_path / "beside.py"  # nobody may find half of it
        beside.write_text(source.format("second"))
        beside.rename(module)

        def is_second() -> bool:
            with connect(server) as connection:
                connection.request("GET", "/")
                return connection.getresponse().read() == b"second"

        wait_for(is_second, "the second version")
        server.wait_for_line("Worker reloading")

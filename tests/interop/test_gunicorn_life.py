"""Signals, time limits and forks under gunicorn, with greenserve's worker class."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.interop.gunicorn_process import (
    BOOTED,
    Gate,
    ask,
    children,
    connect,
    is_gone,
    releases,
    start_gunicorn,
    wait_for_end,
    wait_for_handlers,
    wait_for_other,
    worker_of,
)
from tests.listening import free_port, is_listening
from tests.pipes import wait_for


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    with made.listener:
        yield made


# -- the end


@releases
def test_term_lets_the_request_in_flight_finish(tmp_path, gate, release):
    with (
        start_gunicorn(tmp_path, "-w", "2", config=BOOTED, release=release) as server,
        connect(server) as connection,
    ):
        wait_for_handlers(server, 2)
        connection.request("GET", gate.path("wait"))
        held = gate.wait_for_knock()
        server.send_signal(signal.SIGTERM)
        server.wait_for_line("Worker exiting")  # the other one
        server.wait_for_line("waiting up to .* for .*wait")  # this one knows of it, too
        held.close()
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection"), answer.read()) == (200, "close", b"waited")
        assert server.wait() == 0
    assert [line for line in server.lines if "Traceback" in line or "ERROR" in line] == []


def test_what_does_not_finish_is_ended_before_the_master_kills(tmp_path, gate):
    with start_gunicorn(tmp_path, "--graceful-timeout", "2") as server, connect(server) as connection:
        connection.request("GET", gate.path("wait"))
        with gate.wait_for_knock():
            server.send_signal(signal.SIGTERM)
            assert server.wait() == 0
    assert [line for line in server.lines if "not done in time and ended: GET '/wait" in line]
    assert [line for line in server.lines if "Worker exiting" in line]  # it was not killed


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
@pytest.mark.parametrize("path", ["wait", "block"])
def test_quit_and_int_wait_for_no_request(tmp_path, gate, number, path):
    with start_gunicorn(tmp_path, "--graceful-timeout", "600") as server, connect(server) as connection:
        connection.request("GET", gate.path(path))
        with gate.wait_for_knock():
            server.send_signal(number)
            assert server.wait() == 0
    assert [line for line in server.lines if "Worker exiting" in line]


def test_a_quit_that_comes_while_it_drains_waits_no_longer(tmp_path, gate):
    with start_gunicorn(tmp_path, "--graceful-timeout", "600") as server, connect(server) as connection:
        connection.request("GET", gate.path("wait"))
        with gate.wait_for_knock():
            server.send_signal(signal.SIGTERM)
            server.wait_for_line("Handling signal: term")
            server.send_signal(signal.SIGQUIT)
            assert server.wait() == 0
    assert [line for line in server.lines if "Worker exiting" in line]


def test_a_term_that_comes_while_it_patches_is_not_lost(tmp_path):
    config = """
        import os, signal
        from gevent import events

        def at_patching(event):
            if isinstance(event, events.GeventWillPatchAllEvent) and os.getpid() != master:
                os.kill(os.getpid(), signal.SIGTERM)

        master = os.getpid()
        events.subscribers.append(at_patching)
    """
    with start_gunicorn(tmp_path, config=config) as server:
        first = int(server.wait_for_line(r"Booting worker with pid: (\d+)")[1])
        server.wait_for_line(rf"Worker exiting \(pid: {first}\)")


def test_workers_end_when_their_master_is_killed(tmp_path, gate):
    with start_gunicorn(tmp_path, "-w", "2") as server, connect(server) as connection:
        connection.request("GET", gate.path("wait"))
        with gate.wait_for_knock():
            server.wait_for_lines("Booting worker", 2)
            workers = children(server.pid)
            assert len(workers) == 2
            server.send_signal(signal.SIGKILL)
            wait_for(lambda: any(map(is_gone, workers)), "the end of the idle one")
        assert connection.getresponse().read() == b"waited"
        for worker in workers:
            wait_for_end(worker)


# -- the sign of life


@releases
def test_a_worker_that_blocks_is_replaced_and_its_stack_is_in_the_log(tmp_path, gate, release):
    config = """
        timeout = 5  # it is counted from the fork: a start has to fit in
        def worker_abort(worker): print("abort", worker.pid, flush=True)
        def worker_exit(server, worker):
            print("exit", worker.pid, flush=True)
            import gevent
            gevent.sleep(0.5)  # the hub turns again, as it does when threads are waited for at the end
    """
    with start_gunicorn(tmp_path, config=config, release=release) as server, connect(server) as connection:
        pid = worker_of(server)
        connection.request("GET", gate.path("block"))
        with gate.wait_for_knock():
            blocking = re.escape(f"GET {gate.path('block')} from 127.0.0.1")
            server.wait_for_line(f"has not turned for .*; serving {blocking}")
            server.wait_for_line("in do_block$")
            server.wait_for_line(rf"WORKER TIMEOUT \(pid:{pid}\)")
            server.wait_for_line(f"^abort {pid}$")
            server.wait_for_line(f"^exit {pid}$")
            assert worker_of(server) != pid
        lines = "\n".join(server.lines)
        assert lines.index("has not turned") < lines.index(f"WORKER TIMEOUT (pid:{pid})")


def test_what_lets_no_thread_run_is_in_the_log_too(tmp_path, gate):
    with start_gunicorn(tmp_path, "--timeout", "5") as server, connect(server) as connection:
        connection.request("GET", gate.path("match"))
        with gate.wait_for_knock():
            server.wait_for_line("in do_match$")
            server.wait_for_line("WORKER TIMEOUT")


BEATING = """
    timeout = 3

    def post_worker_init(worker):
        notify = worker.notify
        def say():
            notify()
            print("beat", flush=True)
        worker.notify = say
"""


def test_a_worker_with_long_requests_gives_its_sign_of_life(tmp_path, gate):
    with start_gunicorn(tmp_path, config=BEATING) as server, connect(server) as connection:
        pid = worker_of(server)
        connection.request("GET", gate.path("wait"))
        with gate.wait_for_knock():
            for name, count in (("serving", 6), ("draining", 6)):
                before = len(server.output)
                wait_for(lambda count=count + before: len(server.output) > count, f"beats, {name}")
                if name == "serving":
                    os.kill(pid, signal.SIGTERM)
                    server.wait_for_line("waiting up to")
        assert connection.getresponse().read() == b"waited"
    # Another one may have taken too long to start.
    missed = f"TIMEOUT (pid:{pid})"
    assert [line for line in server.lines if missed in line or "has not turned" in line] == []


# -- the master's threads, and what it imports


@releases
@pytest.mark.parametrize("arguments", [(), ("--preload",)])
def test_a_killed_worker_is_replaced(tmp_path, release, arguments):
    with start_gunicorn(tmp_path, *arguments, release=release) as server:
        os.kill(pid := worker_of(server), signal.SIGKILL)
        wait_for_other(server, pid)


SPAWNING = """
    import subprocess, sys
    preload_app = True
    def when_ready(server): subprocess.run([sys.executable, "-c", ""], check=True)
    def child_exit(server, worker): subprocess.run([sys.executable, "-c", ""], check=True)
"""


@releases
def test_a_killed_worker_is_replaced_though_the_master_runs_programs(tmp_path, release):
    with start_gunicorn(tmp_path, config=SPAWNING, release=release) as server:
        for _ in range(2):
            os.kill(pid := worker_of(server), signal.SIGKILL)
            wait_for_other(server, pid)


EARLY = """
    import os
    from ssl import SSLContext
"""


@releases
@pytest.mark.parametrize("preload", [False, True])
def test_ssl_may_be_imported_in_the_master(tmp_path, release, preload):
    (tmp_path / "early.py").write_text(dedent(EARLY))
    config = f"""
        preload_app = {preload}
        control_socket_disable = False
        control_socket = {str(tmp_path / "control")!r}
        def on_starting(server): import early
    """
    with start_gunicorn(tmp_path, config=config, release=release) as server:
        assert ask(server, "/tls") == (200, b"made early")
        if not preload:
            server.wait_for_line("Control socket listening")
    server.wait()
    said = [line for line in server.lines if "no control socket" in line]
    assert len(said) == preload
    assert any("Control socket listening" in line for line in server.lines) is not preload
    assert [line for line in server.lines if "MonkeyPatchWarning" in line] == []


def test_the_application_is_imported_once_with_preload_and_finds_everything_patched(tmp_path):
    (tmp_path / "site_of_ours.py").write_text(
        dedent("""
            import os, threading, time
            from gevent import monkey
            print("imported in", os.getpid(), monkey.is_object_patched("threading", "Lock") or
                  monkey.is_module_patched("threading"), time.sleep.__module__, flush=True)
            from tests.interop.gunicorn_site import application
        """)
    )
    arguments = ("--preload", "-w", "2")
    with start_gunicorn(
        tmp_path, *arguments, config=BOOTED, application="site_of_ours:application"
    ) as server:
        assert b'"patched": true' in ask(server, "/environ")[1]
        wait_for_handlers(server, 2)
    assert server.output == [f"imported in {server.pid} True gevent.hub", "booted", "booted"]


def test_what_the_master_has_begun_with_preload_goes_on_in_the_worker(tmp_path):
    (tmp_path / "site_of_ours.py").write_text(
        dedent("""
            import gevent, socket
            socket.getaddrinfo("localhost", 80)  # in a thread of the hub's
            gevent.get_hub().threadpool.apply(len, ("",))
            from tests.interop.gunicorn_site import application
        """)
    )
    with start_gunicorn(tmp_path, "--preload", application="site_of_ours:application") as server:
        assert ask(server, "/resolve") == (200, b"localhost")


def test_without_preload_threads_of_the_master_run(tmp_path):
    config = """
        import os, threading

        def when_ready(server):
            def say():
                for _ in range(100):  # more than there is room for in the waits of the others
                    threading.Event().wait(0.01)
                print("a thread of", os.getpid(), flush=True)
            threading.Thread(target=say).start()
    """
    with start_gunicorn(tmp_path, config=config) as server:
        assert int(server.wait_for_line(r"^a thread of (\d+)$")[1]) == server.pid


# -- what waits in the kernel's queue: a worker with one connection too many accepts no other

FULL = ("--worker-connections", "1")


@releases
def test_what_waits_when_all_end_is_answered(tmp_path, gate, release):
    with start_gunicorn(tmp_path, *FULL, release=release) as server:
        pid = worker_of(server)
        with connect(server) as busy, connect(server) as waiting:
            busy.request("GET", gate.path("wait"))
            with gate.wait_for_knock():
                waiting.request("GET", "/pid")
                server.send_signal(signal.SIGTERM)
                server.wait_for_line("waiting up to .* for .*wait")
            assert busy.getresponse().read() == b"waited"
            assert int(waiting.getresponse().read()) == pid
        assert server.wait() == 0


@releases
def test_what_waits_when_a_worker_is_replaced_is_left_to_the_others(tmp_path, gate, release):
    with start_gunicorn(tmp_path, *FULL, release=release) as server:
        pid = worker_of(server)
        with connect(server) as busy, connect(server) as waiting:
            busy.request("GET", gate.path("wait"))
            with gate.wait_for_knock():
                waiting.request("GET", "/pid")
                os.kill(pid, signal.SIGTERM)
                server.wait_for_line("waiting up to .* for .*wait")
            assert busy.getresponse().read() == b"waited"
            assert int(waiting.getresponse().read()) != pid


def test_what_waits_is_answered_when_term_reaches_the_worker_before_the_master(tmp_path, gate):
    with start_gunicorn(tmp_path, *FULL) as server:
        pid = worker_of(server)
        with connect(server) as busy, connect(server) as waiting:
            busy.request("GET", gate.path("wait"))
            with gate.wait_for_knock():
                waiting.request("GET", "/pid")
                os.kill(pid, signal.SIGTERM)
                server.wait_for_line("waiting up to .* for .*wait")
                server.send_signal(signal.SIGTERM)
                assert int(waiting.getresponse().read()) == pid
            assert busy.getresponse().read() == b"waited"
        assert server.wait() == 0


@releases
def test_what_waits_for_a_worker_with_a_queue_of_its_own_is_answered_by_it(tmp_path, gate, release):
    address = f"127.0.0.1:{free_port()}"
    arguments = (*FULL, "--reuse-port", "-b", address)
    ready = re.compile("Booting worker")
    with start_gunicorn(tmp_path, *arguments, release=release, ready=ready) as server:
        server.port = int(address.rpartition(":")[2])
        wait_for(lambda: is_listening(server.port), "its listener")
        pid = worker_of(server)
        with connect(server) as busy, connect(server) as waiting:
            busy.request("GET", gate.path("wait"))
            with gate.wait_for_knock():
                waiting.request("GET", "/pid")
                os.kill(pid, signal.SIGTERM)
                server.wait_for_line("waiting up to .* for .*wait")
            assert busy.getresponse().read() == b"waited"
            assert int(waiting.getresponse().read()) == pid

"""Signals, and what the command listens on, in a process of its own."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from textwrap import dedent

import pytest

from tests.process import start_script, start_server
from tests.process.held import APPLICATION, SECONDS, Gate, ask, connect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the application in held.py."""
    (tmp_path / "held.py").write_text(dedent(APPLICATION))
    return tmp_path


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    with made.listener:
        yield made


# -- ending


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_lets_the_request_in_flight_finish(folder, gate, name):
    with start_server("held", cwd=folder) as server, closing(connect(server)) as connection:
        connection.request("GET", gate.path)
        with gate.wait_for_knock() as held:
            server.send_signal(signal.Signals[name])
            server.wait_for_line(f"{name}: stopping")
            held.sendall(b"x")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection"), answer.read()) == (200, "close", b"answer")
        assert server.wait() == 0
    assert server.lines[-1].endswith("stopped")


def test_with_idle_connections_only_the_exit_waits_for_no_timeout_and_they_get_no_answer(folder):
    far = ["--graceful-timeout", "600", "--keepalive-timeout", "600", "--linger-timeout", "600"]
    with ExitStack() as stack:
        server = stack.enter_context(start_server("held", *far, cwd=folder))
        connections = [stack.enter_context(closing(connect(server))) for _ in range(5)]
        for connection in connections[:4]:
            ask(connection)  # the fifth has never asked for anything
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert [line for line in server.lines if "waiting" in line] == []
        assert [connection.sock.recv(100) for connection in connections] == [b""] * 5


def test_a_connection_that_was_busy_a_moment_ago_is_answered_once_more(folder):
    with start_server("held", "--drain-grace", "600", "--graceful-timeout", "600", cwd=folder) as server:
        with closing(connect(server)) as connection:
            assert ask(connection).getheader("Connection") is None
            server.send_signal(signal.SIGTERM)
            server.wait_for_line("SIGTERM: stopping")
            assert ask(connection).getheader("Connection") == "close"
            assert server.wait() == 0  # nobody else is waited for


def test_without_a_grace_an_idle_connection_is_closed_at_once_and_without_an_octet(folder, gate):
    with start_server("held", "--drain-grace", "0", "--graceful-timeout", "600", cwd=folder) as server:
        with closing(connect(server)) as idle, closing(connect(server)) as busy:
            ask(idle)
            busy.request("GET", gate.path)
            with gate.wait_for_knock() as held:
                server.send_signal(signal.SIGTERM)
                assert idle.sock.recv(100) == b""
                held.sendall(b"x")  # the stop has been waiting for this one all the time
            answer = busy.getresponse()
            assert (answer.status, answer.getheader("Connection"), answer.read()) == (200, "close", b"answer")
        assert server.wait() == 0


def test_an_idle_connection_is_ended_as_soon_as_its_client_hangs_up(folder):
    with start_server("held", "--drain-grace", "600", "--graceful-timeout", "600", cwd=folder) as server:
        connection = connect(server)
        ask(connection)
        server.send_signal(signal.SIGTERM)
        server.wait_for_line("SIGTERM: stopping")
        connection.close()
        assert server.wait() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_during_a_request(folder, gate, second):
    with start_server("held", "--graceful-timeout", "600", cwd=folder) as server:
        with closing(connect(server)) as connection:
            connection.request("GET", gate.path)
            with gate.wait_for_knock():
                server.send_signal(signal.SIGTERM)
                server.wait_for_line("SIGTERM: stopping")
                server.send_signal(second)
                assert server.wait() == -second


def test_a_second_signal_ends_the_process_while_idle_connections_have_their_grace(folder):
    with start_server("held", "--drain-grace", "600", "--graceful-timeout", "600", cwd=folder) as server:
        with closing(connect(server)) as connection:
            ask(connection)
            server.send_signal(signal.SIGINT)
            server.wait_for_line("SIGINT: stopping")
            server.send_signal(signal.SIGINT)
            assert server.wait() == -signal.SIGINT


def test_the_log_says_what_is_waited_for(folder, gate):
    with start_server("held", "--graceful-timeout", "300", cwd=folder) as server:
        with closing(connect(server)) as connection:
            connection.request("GET", gate.path)
            port = connection.sock.getsockname()[1]
            with gate.wait_for_knock() as held:
                server.send_signal(signal.SIGTERM)
                line = server.wait_for_line(r"waiting up to (\d+) s for (.*)")
                held.sendall(b"x")
            assert 0 < int(line[1]) <= 300
            assert f"GET '{gate.path}' from 127.0.0.1:{port}" in line[2]
            assert connection.getresponse().read() == b"answer"


BOUNDS = pytest.mark.parametrize("bound", ["1000", "0"], ids=["bounded", "unbounded"])


@BOUNDS
def test_the_graceful_timeout_ends_a_request_that_does_not_finish(folder, gate, bound):
    arguments = ["--graceful-timeout", "0.5", "--worker-connections", bound]
    with start_server("held", *arguments, cwd=folder) as server:
        with closing(connect(server)) as connection:
            connection.request("GET", gate.path)
            with gate.wait_for_knock():
                server.send_signal(signal.SIGTERM)
                assert server.wait() == 0
    server.wait_for_line(rf"not done in time and ended: GET '{re.escape(gate.path)}' from 127\.0\.0\.1:")
    server.wait_for_line("the application was ended")
    assert server.lines[-1].endswith("stopped")
    assert [line for line in server.lines if "Traceback" in line] == []


@BOUNDS
def test_a_request_that_goes_on_when_it_is_ended_does_not_keep_the_process(folder, gate, bound):
    arguments = ["--graceful-timeout", "0.5", "--worker-connections", bound]
    with start_server("held", *arguments, cwd=folder) as server, closing(connect(server)) as connection:
        connection.request("GET", gate.stubborn)
        with gate.wait_for_knock():
            server.send_signal(signal.SIGTERM)
            server.wait_for_line("the application does not end")
            assert server.wait() == 0
        assert connection.sock.recv(100) == b""
    assert server.lines[-1].endswith("stopped")


@pytest.mark.parametrize("known", [True, False], ids=["on a persistent connection", "on a new connection"])
def test_a_request_that_was_sent_before_the_signal_is_answered(folder, known):
    with start_server("held", "--drain-grace", "0", cwd=folder) as server:
        connection = connect(server)
        with closing(connection):
            if known:
                ask(connection)
            else:
                connection.close()
            # While the process stands still, the kernel takes connections and octets for it.
            server.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)
            connection.request("GET", "/")
            server.send_signal(signal.SIGTERM)
            server.send_signal(signal.SIGCONT)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"answer")
        assert server.wait() == 0


# -- the library call installs no handlers

LIBRARY = """
    import gevent
    from greenserve import WSGIServer

    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"answer"]

    server = WSGIServer(("127.0.0.1", 0), application, log=None)
    server.start()
    where = f"listening on http://127.0.0.1:{server.server_port}"
    try:
        gevent.spawn(print, where, flush=True)  # when serve_forever() waits
        server.serve_forever()
    except KeyboardInterrupt:
        print("interrupted, and stopped:", not server.started, flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "library.py"
    path.write_text(dedent(LIBRARY))
    return path


def test_sigterm_means_to_a_program_what_it_always_means(script):
    with start_script(script) as server, closing(connect(server)) as connection:
        ask(connection)
        server.send_signal(signal.SIGTERM)
        assert server.wait() == -signal.SIGTERM


def test_sigint_is_raised_out_of_serve_forever(script):
    with start_script(script) as server, closing(connect(server)):
        server.send_signal(signal.SIGINT)
        assert server.wait() == 0
        assert server.output[-1] == "interrupted, and stopped: True"


# -- listening


def test_the_first_line_says_where_it_listens_how_and_which_versions(folder):
    with start_server("held", "--worker-connections", "7", cwd=folder) as server:
        line = server.lines[0]
    assert f"greenserve 0.1.0 listening on http://127.0.0.1:{server.port}, " in line
    assert "up to 7 requests at once" in line
    for library in ("gevent", "greenlet", "Python"):
        assert f"{library} " in line
    assert server.port != 0


def test_every_address_is_listened_on(folder):
    path = folder / "socket"
    addresses = ["--bind", "127.0.0.1:0", "-b", "127.0.0.1:0", "--bind", f"unix:{path}"]
    with start_server("held", *addresses, cwd=folder) as server:
        named = server.wait_for_line(r"http://127\.0\.0\.1:(\d+), http://127\.0\.0\.1:(\d+), unix:(\S+),")
        assert named[3] == str(path)
        assert named[1] != named[2]
        for port in named.group(1, 2):
            with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=SECONDS)) as connection:
                ask(connection)
        assert get_by_unix_socket(path).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.wait() == 0
    assert not path.exists()


def get_by_unix_socket(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as answer:
            return answer.read()


def test_a_unix_socket_gets_its_mode_and_replaces_a_stale_one(folder):
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
        stale.listen()
    arguments = ["--bind", f"unix:{path}", "--unix-mode", "600"]
    with start_server("held", *arguments, cwd=folder, ready="unix:") as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert get_by_unix_socket(path).endswith(b"\r\n\r\nanswer")
    assert server.wait() == 0


def failure(*arguments: str, cwd: Path) -> str:
    """Return the one line that a server writes which cannot listen."""
    with start_server("held", *arguments, cwd=cwd, ready=None) as server:
        assert server.wait() == 1
    (line,) = server.lines
    assert line.startswith("greenserve: error: ")
    return line


def test_a_unix_socket_that_somebody_listens_on_is_an_error(folder):
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        assert f"unix:{path}" in failure("--bind", f"unix:{path}", cwd=folder)
    assert path.exists()


def test_a_port_in_use_releases_the_addresses_that_were_free(folder):
    path = folder / "socket"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert address in failure("--bind", f"unix:{path}", "--bind", address, cwd=folder)
    assert not path.exists()


QUIT_HANDLERS = {
    "Python": "import signal\nsignal.signal(signal.SIGQUIT, lambda *_: print('its own', flush=True))\n",
    "gevent": "import gevent, signal\ngevent.signal_handler(signal.SIGQUIT, print, 'its own', flush=True)\n",
    "C": "import faulthandler, signal\nfaulthandler.register(signal.SIGQUIT)\n",
}


@pytest.mark.parametrize("kind", QUIT_HANDLERS)
def test_quit_is_the_application_s_where_it_has_a_handler(folder, kind):
    (folder / "held.py").write_text(QUIT_HANDLERS[kind] + dedent(APPLICATION))
    with start_server("held", cwd=folder) as server, closing(connect(server)) as connection:
        server.send_signal(signal.SIGQUIT)
        server.wait_for_line("^its own$|most recent call first")
        ask(connection)
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0


COMPUTING = """
    import socket, threading, time

    def loop():
        while True:
            time.sleep(60)

    threading.Thread(target=loop, name="endless").start()

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/compute":
            print("computing", flush=True)
            while True:
                pass
        start_response("200 OK", [])
        return [b"answer"]
"""


@pytest.fixture
def computing(tmp_path: Path) -> Path:
    (tmp_path / "computing.py").write_text(dedent(COMPUTING))
    return tmp_path


def test_a_second_signal_ends_a_process_whose_application_computes(computing):
    with start_server("computing", cwd=computing) as server, closing(connect(server)) as connection:
        connection.request("GET", "/compute")
        server.wait_for_line("computing")
        while server.is_running:
            server.send_signal(signal.SIGTERM)  # two that come at once are one to the kernel
        assert server.wait() == -signal.SIGTERM


@pytest.mark.parametrize("names", [["SIGTERM", "SIGINT"], ["SIGQUIT"]], ids=["two", "quit"])
def test_what_ends_a_process_at_once_does_so_though_its_application_computes(computing, names):
    with start_server("computing", cwd=computing) as server, closing(connect(server)) as connection:
        connection.request("GET", "/compute")
        server.wait_for_line("computing")
        for name in names:
            server.send_signal(signal.Signals[name])
        assert -server.wait() in {signal.Signals[name] for name in names}


def test_threads_of_the_application_do_not_keep_the_process(computing):
    with start_server("computing", "--graceful-timeout", "0.2", cwd=computing) as server:
        server.send_signal(signal.SIGTERM)
        server.wait_for_line("left behind: endless")
        assert server.wait() == 0

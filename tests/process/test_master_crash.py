"""Workers that die or stand still: what is logged, and that another one takes the place."""

from __future__ import annotations

import re
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.process.cgroups import control_group
from tests.process.masters import (
    Master,
    ask,
    is_asleep,
    kill,
    read_answer,
    start_master,
    wait_until,
    write_application,
)
from tests.process.trees import tcp_queues


def test_a_worker_that_was_killed_is_replaced_and_what_it_served_is_logged(folder, gate):
    with start_master(folder) as master, closing(master.connect()) as connection:
        master.wait_ready(2)
        connection.request("GET", gate.path)
        held, pid = gate.wait_for_knock()
        with held:
            port = connection.sock.getsockname()[1]
            kill(pid)
            master.wait_for_line(rf"worker \d+ \(process {pid}\) was ended by SIGKILL")
            master.wait_for_line(r"it was serving 1 requests")
            line = master.wait_for_line(
                r"^    GET (/wait\?\d+) from 127\.0\.0\.1:(\d+) \(in the application, "
            )
            assert line.group(1, 2) == (gate.path, str(port))
        third = master.wait_ready(3)[2]
        wait_until(lambda: master.ask()[1] == third, "an answer of the new worker")
        assert pid not in master.workers


def test_a_worker_that_the_system_kills_for_want_of_memory_is_known_by_that(folder):
    with control_group("memory", 64 << 20) as members, start_master(folder) as master:
        with closing(master.connect()) as connection:
            pid = ask(connection)[1]
            members.write_text(str(pid))
            connection.request("GET", "/fill?256")
            master.wait_for_line(
                rf"\(process {pid}\) was ended by SIGKILL, probably by the system, for want of memory"
            )
            master.wait_for_line(r"^    GET /fill\?256 from 127\.0\.0\.1:\d+ \(in the application")
        master.wait_ready(3)
        assert master.ask()[0] == "one"


def test_a_request_that_waits_in_line_is_in_the_record(folder, gate):
    arguments = ("--worker-connections", "1")
    with start_master(folder, *arguments, workers=1) as master:
        first, second = master.connect(), master.connect()
        with closing(first), closing(second):
            first.request("GET", "/")  # both connections are accepted before there is no slot
            read_answer(first)
            second.request("GET", "/")
            read_answer(second)
            first.request("GET", gate.path)
            held, pid = gate.wait_for_knock()
            with held:
                second.request("DELETE", "/second")
                wait_until(lambda: is_read(second), "the worker to read the second request")
                wait_until(lambda: is_asleep(pid), "the worker to have put it in line")
                kill(pid)
                master.wait_for_line(r"it was serving 2 requests")
                master.wait_for_line(r"^    DELETE /second from .* \(waiting in line, ")


def is_read(connection) -> bool:
    """Whether all octets have arrived, and then the peer has taken them out of its kernel's queue."""
    own, port = connection.sock.getsockname()[1], connection.sock.getpeername()[1]
    return tcp_queues(own, port) == (0, 0) and tcp_queues(port, own) == (0, 0)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_a_crash_of_c_code_leaves_the_stack_in_the_log(folder, name):
    source = f"import ctypes; ctypes.CDLL(None).{'abort()' if name == 'SIGABRT' else 'raise(11)'}"
    write_application(
        folder,
        **{'os.kill(os.getpid(), int(environ["QUERY_STRING"]))': source.replace(".raise(", "['raise'](")},
    )
    with start_master(folder) as master, closing(master.connect()) as connection:
        connection.request("GET", "/crash")
        master.wait_for_line(rf"was ended by {name}")
        master.wait_for_line(r'^    +File ".*site_app\.py", line \d+ in application')
        master.wait_for_line(r"^    GET /crash from")
        master.wait_ready(3)


def test_a_worker_that_stands_still_is_replaced_and_its_stack_is_logged(folder):
    with start_master(folder, "--timeout", "2") as master, closing(master.connect()) as connection:
        connection.request("GET", "/compute?a=b")
        pid = int(master.wait_for_line(r"computing in (\d+)")[1])
        master.wait_for_line(rf"\(process {pid}\) has stood still for more than 2 s")
        master.wait_for_line(r"^    GET /compute\?a=b from 127\.0\.0\.1:\d+ \(in the application")
        master.wait_for_line(r"^    serving GET /compute\?a=b from 127\.0\.0\.1")
        master.wait_for_line(r'^    +File ".*site_app\.py", line \d+ in application')
        master.wait_for_line(rf"\(process {pid}\) was ended by SIGKILL")
        master.wait_ready(3)
    assert master.wait() == 0


def test_a_worker_whose_c_code_does_not_return_is_shown_as_well(folder):
    blocking = "import ctypes; ctypes.PyDLL(None).sleep(600)"  # it keeps the interpreter to itself
    write_application(
        folder,
        **{
            'while True:\n                pass\n        elif path == "/crash"': (
                f'{blocking}\n        elif path == "/crash"'
            )
        },
    )
    with start_master(folder, "--timeout", "2") as master, closing(master.connect()) as connection:
        connection.request("GET", "/compute")
        pid = int(master.wait_for_line(r"computing in (\d+)")[1])
        master.wait_for_line(r'^    +File ".*site_app\.py", line \d+ in application')
        master.wait_for_line(rf"\(process {pid}\) was ended by SIGKILL")


def test_sigabrt_asks_a_worker_for_its_stacks_and_it_goes_on(folder):
    with start_master(folder, workers=1) as master:
        (pid,) = master.wait_ready(1)
        for count in (1, 2):
            kill(pid, signal.SIGABRT)
            master.wait_for_lines(rf"the stacks of worker 1 \(process {pid}\)", count)
            wait_until(lambda count=count: "hread 0x" in behind(master, "the stacks of", count), "stacks")
            assert master.ask() == ("one", pid)


def behind(master: Master, text: str, count: int) -> str:
    """Return what was logged after the line number `count` that has `text`."""
    return "\n".join(master.lines).split(text)[count]


def test_without_a_timeout_a_worker_may_compute_as_long_as_it_likes(folder):
    with start_master(folder, "--timeout", "0") as master, closing(master.connect()) as connection:
        connection.request("GET", "/compute")
        master.wait_for_line("computing in")
        kill(master.pid, signal.SIGHUP)  # a whole reload goes by meanwhile
        master.wait_for_line("reloaded")
        assert not any("stood still" in line for line in master.lines)
        master.send_signal(signal.SIGQUIT)
        master.wait()


def test_idle_workers_do_not_count_as_standing_still(folder):
    with start_master(folder, "--timeout", "4", "--max-worker-age", "6", workers=1) as master:
        master.wait_for_line(r"is replaced: it is \d+ s old")
        assert not any("stood still" in line for line in master.lines)


def test_a_crash_loop_backs_off(folder):
    with start_master(folder, workers=1) as master:
        master.wait_ready(1)
        write_application(folder, "import os; os._exit(3)")
        (pid,) = master.workers
        kill(pid)
        waits = master.wait_for_lines(r"the next one in (\d+\.\d) s", 4)
        assert [match[1] for match in waits][:4] == ["0.1", "0.2", "0.4", "0.8"]
        write_application(folder)
        master.wait_ready(2)
        assert master.ask()[0] == "one"


def test_the_reason_why_a_worker_cannot_be_replaced_is_logged(folder):
    with start_master(folder, workers=1) as master:
        master.wait_ready(1)
        write_application(folder, "import nothing_of_that_name")
        kill(next(iter(master.workers)))
        master.wait_for_line("could not start: .*nothing_of_that_name")
        write_application(folder)
        master.wait_ready(2)


def test_many_kills_leave_no_zombie_and_no_descriptor(folder):
    with start_master(folder) as master:
        master.wait_ready(2)
        before = descriptors(master.pid)
        for count in range(3, 9):
            kill(min(master.workers))
            master.wait_ready(count)
        wait_until(lambda: len(master.workers) == 2, "two workers")
        wait_until(lambda: descriptors(master.pid) == before, "as many descriptors as before")
        assert len(re.findall("SIGKILL", "\n".join(master.lines))) == 6


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_what_was_answered_just_before_a_worker_blocked_is_in_the_access_log(folder):
    path = folder / "access.log"
    arguments = ("--timeout", "2", "--access-log", str(path))
    with start_master(folder, *arguments, workers=1) as master:
        (worker,) = master.wait_ready(1)
        with closing(master.connect()) as connection:
            # Both at once: the second is begun before the event loop has its turn.
            paths = ("/answered", "/compute")
            requests = [f"GET {each} HTTP/1.1\r\nHost: localhost\r\n\r\n" for each in paths]
            connection.sock.sendall("".join(requests).encode())
            with connection.sock.makefile("rb") as answers:
                while (line := answers.readline()) != b"\r\n":
                    assert line
                assert answers.read(len(f"one {worker}")) == f"one {worker}".encode()
            master.wait_for_line(r"^    serving GET /compute")
            wait_until(lambda: "GET /answered" in path.read_text(), "the line of what was answered")

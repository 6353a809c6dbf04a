"""Time goes on while a process drains: in its access log, and in the record of its running requests."""

from __future__ import annotations

import signal
import time
from contextlib import closing

import pytest

from tests.process import start_server
from tests.process.masters import Master, ask, kill, read_answer, start_master, wait_until

FAR = ("--drain-grace", "600", "--graceful-timeout", "600", "--log-level", "debug")

#: Microseconds that may pass between the questions to two clocks, on a machine that has much to do.
SLACK = 500_000

#: Path, time of begin and end in microseconds, and the second of the begin as most lines have it.
FORMAT = ("--access-log", "access.log", "--access-log-format", "%U %{begin:usec}t %{end:usec}t %D %t")


def microseconds() -> int:
    return time.time_ns() // 1000


def wait_for_another_second() -> None:
    began = int(time.time())
    wait_until(lambda: int(time.time()) > began + 1, "another second")


@pytest.mark.parametrize("workers", [(), ("--workers", "1")], ids=["one process", "a worker"])
def test_the_lines_of_a_drain_bear_the_times_of_their_requests(folder, gate, workers):
    asked, answered = {}, {}
    with start_server("site_app", *FAR, *FORMAT, *workers, cwd=folder) as server:
        server.__class__ = Master
        with closing(server.connect()) as held, closing(server.connect()) as connection:
            ask(connection)
            asked["/wait"] = microseconds()
            held.request("GET", gate.path)
            waiting, _ = gate.wait_for_knock()
            with waiting:
                begun = microseconds()
                server.send_signal(signal.SIGTERM)
                server.wait_for_line("SIGTERM: stopping")
                wait_for_another_second()
                asked["/late"] = microseconds()
                ask(connection, "/late")
                answered["/late"] = microseconds()
                released = microseconds()
                waiting.sendall(b"x")
                read_answer(held)
                answered["/wait"] = microseconds()
        assert server.wait() == 0
    _, *lines = (folder / "access.log").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["/late", "/wait"]
    for line in lines:
        path, begin, end, took, second = line.split(" ", 4)
        assert asked[path] - SLACK <= int(begin) <= int(end) <= answered[path] + SLACK
        assert abs(int(end) - int(begin) - int(took)) <= 2
        moment = time.localtime(int(begin) // 1_000_000)
        assert second == time.strftime("[%d/%b/%Y:%H:%M:%S %z]", moment)
        if path == "/wait":
            assert int(begin) <= begun + SLACK
            assert released - SLACK <= int(end)


def test_a_request_that_comes_during_a_drain_is_as_old_as_it_is_when_its_worker_dies(folder, gate):
    with start_master(folder, *FAR, workers=1) as master:
        with closing(master.connect()) as first, closing(master.connect()) as second:
            ask(second)
            first.request("GET", gate.path)
            held, pid = gate.wait_for_knock()
            with held:
                kill(pid, signal.SIGTERM)
                master.wait_for_line("SIGTERM: stopping")
                stopping = time.monotonic()
                wait_for_another_second()
                came = time.monotonic()
                second.request("GET", gate.path.replace("?", "?0"))  # the same gate
                held, _ = gate.wait_for_knock()
                with held:
                    kill(pid)
                    line = master.wait_for_line(r"^    GET /wait\?0.*, (\d+\.\d) s\)")
                    assert float(line[1]) <= time.monotonic() - came + 0.05
                    assert came - stopping >= 1.0  # which the age would be more by

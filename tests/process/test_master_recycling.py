"""Workers that are replaced for a reason of their own: never two at once, the successor first."""

from __future__ import annotations

import re
from contextlib import closing

from tests.process.masters import SECONDS, ask, start_master, wait_until, write_application


def test_a_worker_is_replaced_after_its_last_request_and_serves_meanwhile(folder):
    with start_master(folder, "--max-requests", "5", workers=1) as master:
        answered = [master.ask()[1] for _ in range(5)]
        master.wait_for_line("is replaced: it has served 5 requests")
        wait_until(lambda: answered.append(master.ask()[1]) or len(set(answered)) == 3, "a third worker")
        first, second, *_ = master.wait_ready(3)
        assert answered[:5] == [first] * 5
        assert answered.index(second) + 5 <= len(answered)


def test_pipelined_requests_count_too(folder):
    with (
        start_master(folder, "--max-requests", "5", workers=1) as master,
        closing(master.connect()) as connection,
    ):
        connection.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
        master.wait_for_line("is replaced: it has served 5 requests")


def test_the_jitter_is_added(folder):
    with start_master(folder, "--max-requests", "2", "--max-requests-jitter", "4", workers=1) as master:
        for _ in range(8):
            master.ask()
        served = int(master.wait_for_line(r"it has served (\d+) requests")[1])
        assert 2 <= served <= 6


def test_two_are_never_replaced_at_once(folder):
    with start_master(folder, "--max-worker-age", "1", workers=3) as master:
        master.wait_for_lines(r"is replaced: it is \d+ s old", 6, timeout=3 * SECONDS)  # they boot one by one
        events = re.findall(r"is replaced|has stopped", "\n".join(master.lines))
        assert events[:9] == ["is replaced", "has stopped", "is replaced"] * 3 or all(
            events[number] != events[number + 1] for number in range(8)
        )


def test_a_worker_that_has_grown_is_replaced(folder):
    with start_master(folder, "--max-worker-memory", "150m", workers=1) as master:
        first = master.ask("/fill?200")[1]
        line = master.wait_for_line(r"is replaced: it has (\d+) MiB of memory")
        assert int(line[1]) > 150
        wait_until(lambda: first not in master.workers, "the end of the worker")
        assert master.ask()[1] != first


def test_a_successor_that_does_not_come_up_leaves_the_old_worker_in_place(folder):
    with (
        start_master(folder, "--max-requests", "3", workers=1) as master,
        closing(master.connect()) as connection,
    ):
        first = ask(connection)[1]
        write_application(folder, "import nothing_of_that_name")
        for _ in range(5):
            assert ask(connection)[1] == first
        master.wait_for_lines("could not start: .*nothing_of_that_name", 2)
        assert ask(connection) == ("one", first)
        write_application(folder)
        wait_until(lambda: first not in master.workers, "the end of the worker")

"""--reuse-port: whatever number of workers there is, each of the sockets has one that accepts."""

from __future__ import annotations

import signal
from contextlib import ExitStack, closing

from tests.process.masters import ask, start_master, wait_until, write_application
from tests.process.trials import wait_for_workers

CONNECTIONS = 64  # the kernel deals them out by their ports: no socket is left out


def test_a_worker_less_while_another_one_is_replaced(folder):
    """The successor that gets the sockets of the first who left is starting when the second one leaves."""
    with start_master(folder, "--reuse-port", workers=4) as master:
        master.wait_ready(4)
        write_application(folder, **{"VERSION =": "time.sleep(0.5)\nVERSION ="})
        master.send_signal(signal.SIGTTOU)
        master.wait_for_line("is replaced: it gets the sockets of another one, too")
        wait_until(lambda: len(master.workers) == 4, "the successor")
        master.send_signal(signal.SIGTTOU)
        master.wait_for_line("2 workers, from 3")
        workers = wait_for_workers(master.pid, 2)
        with ExitStack() as open_ones:
            connections = [open_ones.enter_context(closing(master.connect())) for _ in range(CONNECTIONS)]
            assert {ask(connection)[1] for connection in connections} == workers


def test_the_sockets_of_a_worker_that_takes_long_to_end_are_served_meanwhile(folder, gate):
    with start_master(folder, "--reuse-port", workers=2) as master, ExitStack() as open_ones:
        last = master.wait_ready(2)[1]
        pid = 0
        while pid != last:  # the one of the last position leaves
            connection = open_ones.enter_context(closing(master.connect()))
            connection.request("GET", gate.path)
            held, pid = gate.wait_for_knock()
            open_ones.enter_context(held)
        master.send_signal(signal.SIGTTOU)
        master.wait_for_line("is replaced: it gets the sockets of another one, too")
        (new,) = set(master.wait_ready(3)) - set(master.wait_ready(2)[:2])
        connections = [open_ones.enter_context(closing(master.connect())) for _ in range(CONNECTIONS)]
        assert {ask(connection)[1] for connection in connections} <= {new, master.wait_ready(2)[0]}
        assert last in master.workers

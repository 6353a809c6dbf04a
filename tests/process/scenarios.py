"""What may happen to the workers of a master under load; a scenario is told how often, and returns counts.

`tests.process.test_reliability` runs them, some fewer times than ``make reliability``, which writes the table
of docs/reliability.md.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.process.masters import wait_until, write_application
from tests.process.trials import APPLICATION, Outcome, Trial, trying

HUP, USR2, TTIN, TTOU, TERM = signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGTERM

QUIET = ("--access-log", "none")


def reload(folder: Path, times: int, *arguments: str, **how: object) -> Outcome:
    """HUP: the next generation, and the one before it leaves."""
    with trying(folder, *QUIET, *arguments, **how) as trial:

        def again(number: int) -> None:
            trial.signal(HUP)
            trial.server.wait_for_lines("reloaded: ", number)

        trial.repeat(times, again)
    return trial.outcome


def upgrade(folder: Path, times: int) -> Outcome:
    """USR2: the next master."""
    with trying(folder, *QUIET) as trial:

        def again(number: int) -> None:
            old = trial.pid
            trial.signal(USR2)
            found = trial.server.wait_for_lines(r"the new master, process (\d+), is ready", number)
            trial.pid = int(found[-1][1])
            wait_for_end(trial, old)

        trial.repeat(times, again)
    return trial.outcome


def wait_for_end(trial: Trial, pid: int) -> None:
    """Wait until a master that has made way has ended, with the status 0."""
    if pid == trial.server.pid:
        wait_until(lambda: not trial.server.is_running, "the end of the first master")
    else:
        assert trial.reap(pid) == 0


def more_and_fewer(folder: Path, times: int, *arguments: str) -> Outcome:
    """TTIN and TTOU, faster than workers come and go, and so that they do come and go.

    There are four before: the sockets that the master keeps for the largest number are there already.
    """
    with trying(folder, *QUIET, *arguments, workers=4, settled=2) as trial:

        def again(number: int) -> None:
            if number % 2:
                trial.signal(TTIN, TTIN, TTOU, TTIN, TTOU, TTOU)
            else:
                settle(trial, 4)
                wait_until(lambda: len(trial.ready()) >= 4, "four workers that serve")
                trial.load.go_on_for(50)
            settle(trial, 2)

        trial.repeat(times, again, pace=100)
    return trial.outcome


def settle(trial: Trial, count: int) -> None:
    """Have `count` workers, one signal at a time: the kernel makes one of two that are waiting."""
    while (wanted := told(trial)) != count:
        trial.signal(TTIN if wanted < count else TTOU)
        wait_until(lambda wanted=wanted: told(trial) != wanted, "another number of workers")


def told(trial: Trial) -> int:
    """Return how many workers there should be, as the master has said last."""
    return int(trial.server.wait_for_lines(r"(\d+) workers, from \d+", 1)[-1][1])


def serve_some_each(folder: Path, times: int, *, requests: int = 500, **how: object) -> Outcome:
    """--max-requests: each worker serves so many requests."""
    with trying(folder, *QUIET, "--max-requests", str(requests), **how) as trial:
        wait_for_replacements(trial, times, "it has served")
    return trial.outcome


def grow(folder: Path, times: int) -> Outcome:
    """--max-worker-memory, with an application that keeps a part of each request."""
    leak = {"LOAD_SITE_LEAK": "50000"}
    with trying(folder, *QUIET, "--max-worker-memory", "70m", env=leak) as trial:
        wait_for_replacements(trial, times, "MiB of memory")
    return trial.outcome


def wait_for_replacements(trial: Trial, times: int, why: str) -> None:
    """Wait until `times` workers were replaced for a reason, and have ended."""

    def seen(text: str) -> int:
        return sum(text in line for line in list(trial.server.lines))

    trial.load.wait(lambda: seen(why) >= times and seen("has stopped") >= times, f"{times} replacements")
    trial.events = seen(why)


def crash(folder: Path, times: int, *arguments: str) -> Outcome:
    """SIGKILL of any worker, every second."""
    with trying(folder, *QUIET, *arguments) as trial:
        due = time.monotonic()
        for _ in range(times):
            due += 1.0
            trial.load.wait(lambda due=due: time.monotonic() >= due, "the next kill")
            trial.kill_one()
            trial.events += 1
        trial.load.go_on_for(200)
    return trial.outcome


def deploy_broken(folder: Path, times: int) -> Outcome:
    """HUP onto a syntax error, and then onto what mends it."""
    with trying(folder, *QUIET) as trial:
        trial.allowed = ("the reload has failed", "Traceback", "ended with the status 4")

        def again(number: int) -> None:
            write_application(folder, "def application(:")
            trial.signal(HUP)
            trial.server.wait_for_lines("the reload has failed, the old workers go on", number)
            trial.load.go_on_for(200)
            write_application(folder, APPLICATION)
            trial.signal(HUP)
            trial.server.wait_for_lines("reloaded: ", number)

        trial.repeat(times, again)
    return trial.outcome


def stop(folder: Path, *arguments: str) -> Outcome:
    """TERM: what was sent is answered, whoever comes later is refused."""
    with trying(folder, *QUIET, *arguments, with_wrk=False) as trial:
        trial.load.go_on_for(300)
        trial.ended_at = time.monotonic()
        trial.signal(TERM)
        assert trial.server.wait() == 0
        trial.events = 1
        refused = trial.load.failing
        trial.load.wait(lambda: trial.load.failing > refused, "nobody to be there any more")
    return trial.outcome

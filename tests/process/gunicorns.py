"""The same trials for gunicorn: with greenserve's worker class, and with gunicorn's own to compare."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.interop.gunicorn_process import WORKER, start_gunicorn
from tests.process import ServerProcess
from tests.process.masters import wait_until, write_application
from tests.process.scenarios import wait_for_end
from tests.process.trees import kill
from tests.process.trials import APPLICATION, Outcome, Trial, trying, workers_of

HUP, USR2, TERM = signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM
TTIN, TTOU = signal.SIGTTIN, signal.SIGTTOU


def start_with(worker: str) -> Callable[..., AbstractContextManager[ServerProcess]]:
    """Return what starts gunicorn with a worker class, as `trying` wants it."""

    @contextmanager
    def start(folder: Path, *arguments: str, workers: int, env: object) -> Iterator[ServerProcess]:
        threads = ("--threads", "32") if worker == "gthread" else ()
        application = "site_app:application"
        with start_gunicorn(
            folder, "-k", worker, "-w", str(workers), *threads, *arguments, application=application
        ) as server:
            yield server

    return start


def trying_gunicorn(folder: Path, worker: str, *arguments: str, **how: Any) -> AbstractContextManager[Trial]:
    """Give a trial of gunicorn with a worker class."""
    return trying(folder, *arguments, start=start_with(worker), **how)


def reload(folder: Path, times: int, worker: str = WORKER, **how: Any) -> Outcome:
    """HUP: gunicorn starts new workers, and ends the old ones without waiting for those to be ready."""
    with trying_gunicorn(folder, worker, **how) as trial:

        def again(number: int) -> None:
            before = trial.workers
            trial.signal(HUP)
            wait_until(lambda: len(trial.workers) == 2 and not trial.workers & before, "other workers")

        trial.repeat(times, again)
    return trial.outcome


def upgrade(folder: Path, times: int, worker: str = WORKER, **how: Any) -> Outcome:
    """USR2: a second master with workers of its own; the first is told to end when those serve."""
    pidfile = folder / "pid"
    with trying_gunicorn(folder, worker, "--pid", str(pidfile), **how) as trial:

        def again(number: int) -> None:
            old, second = trial.pid, folder / "pid.2"
            trial.signal(USR2)
            wait_until(lambda: second.exists() and second.read_text().strip(), "the second master")
            new = int(second.read_text())
            wait_until(lambda: len(workers_of(new)) == 2, "its workers")
            trial.load.go_on_for(50)
            trial.signal(TERM)
            trial.pid = new
            wait_for_end(trial, old)
            # It looks each second whether it is the only one; before, it begins no other upgrade.
            wait_until(lambda: not second.exists() and pidfile.exists(), "the second to be the first")

        trial.repeat(times, again)
    return trial.outcome


def upgrade_broken(folder: Path, times: int, worker: str = WORKER) -> Outcome:
    """USR2 onto a syntax error: the second master gives up, the first one goes on."""
    with trying_gunicorn(folder, worker) as trial:
        trial.allowed = ("Traceback",)

        def again(number: int) -> None:
            write_application(folder, "def application(:")
            trial.signal(USR2)
            wait_until(lambda: len(trial.workers) == 3, "the second master")
            wait_until(lambda: len(trial.workers) == 2, "the end of the second master")
            write_application(folder, APPLICATION)

        trial.repeat(times, again)
    return trial.outcome


def more_and_fewer(folder: Path, times: int, worker: str = WORKER) -> Outcome:
    """TTIN and TTOU, one by one."""
    with trying_gunicorn(folder, worker) as trial:

        def again(number: int) -> None:
            for signal_, count in ((TTIN, 3), (TTIN, 4), (TTOU, 3), (TTOU, 2)):
                trial.signal(signal_)
                wait_until(lambda count=count: len(trial.workers) == count, f"{count} workers")
                trial.load.go_on_for(50)

        trial.repeat(times, again, pace=50)
    return trial.outcome


def serve_some_each(folder: Path, times: int, worker: str = WORKER, *, requests: int = 500) -> Outcome:
    """--max-requests: each worker serves so many requests."""
    with trying_gunicorn(folder, worker, "--max-requests", str(requests)) as trial:

        def seen() -> int:
            return sum("Autorestarting worker" in line for line in list(trial.server.lines))

        trial.load.wait(lambda: seen() >= times, f"{times} replacements")
        trial.load.go_on_for(200)
        trial.events = seen()
    return trial.outcome


def crash(folder: Path, times: int, worker: str = WORKER, *, interval: float = 1.0) -> Outcome:
    """SIGKILL of any worker, every `interval` seconds."""
    with trying_gunicorn(folder, worker) as trial:
        due = time.monotonic()
        for _ in range(times):
            due += interval
            trial.load.wait(lambda due=due: time.monotonic() >= due, "the next kill")
            wait_until(lambda: len(trial.workers) == 2, "two workers")
            trial.kills.append(kill(random.choice(sorted(trial.workers))))
            trial.events += 1
        trial.load.go_on_for(200)
    return trial.outcome


def stop(folder: Path, worker: str = WORKER) -> Outcome:
    """TERM: what was sent is answered, whoever comes later is refused."""
    with trying_gunicorn(folder, worker, with_wrk=False) as trial:
        trial.load.go_on_for(300)
        trial.ended_at = time.monotonic()
        trial.signal(TERM)
        assert trial.server.wait() == 0
        trial.events = 1
        failing = trial.load.failing
        trial.load.wait(lambda: trial.load.failing > failing, "nobody to be there any more")
    return trial.outcome

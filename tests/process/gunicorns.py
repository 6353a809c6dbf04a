"""The same trials for gunicorn: with greenserve's worker class, and with gunicorn's own to compare."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.interop.gunicorn_process import WORKER, start_gunicorn
from tests.process import ServerProcess
from tests.process.masters import wait_until
from tests.process.trials import Outcome, Trial, trying

HUP, TTIN, TTOU, TERM = signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGTERM


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


def trying_gunicorn(folder: Path, worker: str, *arguments: str) -> AbstractContextManager[Trial]:
    """Give a trial of gunicorn with a worker class."""
    return trying(folder, *arguments, start=start_with(worker))


def reload(folder: Path, times: int, worker: str = WORKER) -> Outcome:
    """HUP: gunicorn starts new workers, and ends the old ones without waiting for those to be ready."""
    with trying_gunicorn(folder, worker) as trial:

        def again(number: int) -> None:
            before = trial.workers
            trial.signal(HUP)
            wait_until(lambda: len(trial.workers) == 2 and not trial.workers & before, "other workers")

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


def stop(folder: Path, worker: str = WORKER) -> Outcome:
    """TERM: what was sent is answered, whoever comes later is refused."""
    with trying_gunicorn(folder, worker) as trial:
        trial.load.go_on_for(300)
        trial.ended_at = time.monotonic()
        trial.signal(TERM)
        assert trial.server.wait() == 0
        trial.events = 1
        failing = trial.load.failing
        trial.load.wait(lambda: trial.load.failing > failing, "nobody to be there any more")
    return trial.outcome

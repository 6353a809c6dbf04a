"""The table of docs/reliability.md: ``python -m tests.process.reliability [NAME ...]``"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.interop.gunicorn_process import WORKER
from tests.process import gunicorns, scenarios
from tests.process.fronting import behind_nginx
from tests.process.trials import Outcome

#: How many processes are stopped, one after the other, for one line of the table.
STOPS = 10

HEAD = """\
| what happened | sent | failed | met the close of an idle connection | owned by a killed worker | seconds |
|---|---|---|---|---|---|"""

Scenario = Callable[[Path], Outcome]

OWN: dict[str, tuple[str, Scenario]] = {
    "hup": ("HUP x 20", lambda folder: scenarios.reload(folder, 20)),
    "hup-reuse-port": (
        "HUP x 20, `--reuse-port`",
        lambda folder: scenarios.reload(folder, 20, "--reuse-port"),
    ),
    "hup-nginx": ("HUP x 20, behind nginx", lambda folder: scenarios.reload(folder, 20, front=behind_nginx)),
    "usr2": ("USR2 x 5", lambda folder: scenarios.upgrade(folder, 5)),
    "ttin": ("TTIN and TTOU, 20 storms", lambda folder: scenarios.more_and_fewer(folder, 20)),
    "ttin-reuse-port": (
        "TTIN and TTOU, 20 storms, `--reuse-port`",
        lambda folder: scenarios.more_and_fewer(folder, 20, "--reuse-port"),
    ),
    "max-requests": (
        "`--max-requests 500`, 20 workers",
        lambda folder: scenarios.serve_some_each(folder, 20),
    ),
    "max-requests-nginx": (
        "`--max-requests 500`, 20 workers, behind nginx",
        lambda folder: scenarios.serve_some_each(folder, 20, front=behind_nginx),
    ),
    "kill": ("SIGKILL of any worker, each second for 20 s", lambda folder: scenarios.crash(folder, 20)),
    "kill-reuse-port": (
        "SIGKILL of any worker, each second for 20 s, `--reuse-port`",
        lambda folder: scenarios.crash(folder, 20, "--reuse-port"),
    ),
    "memory": ("`--max-worker-memory`, 10 workers", lambda folder: scenarios.grow(folder, 10)),
    "broken": (
        "HUP onto a syntax error, then mended, x 5",
        lambda folder: scenarios.deploy_broken(folder, 5),
    ),
    "term": (f"TERM x {STOPS}", lambda folder: again(folder, scenarios.stop)),
    "term-reuse-port": (
        f"TERM x {STOPS}, `--reuse-port`",
        lambda folder: again(folder, lambda each: scenarios.stop(each, "--reuse-port")),
    ),
}


def with_gunicorn(worker: str) -> dict[str, tuple[str, Scenario]]:
    """Return what applies to gunicorn, with one of its worker classes."""
    name = "greenserve's worker" if worker == WORKER else worker
    return {
        f"gunicorn-hup-{worker}": (
            f"gunicorn, {name}: HUP x 20", lambda folder: gunicorns.reload(folder, 20, worker)
        ),
        f"gunicorn-hup-nginx-{worker}": (
            f"gunicorn, {name}: HUP x 5, behind nginx",
            lambda folder: gunicorns.reload(folder, 5, worker, front=behind_nginx),
        ),
        f"gunicorn-usr2-{worker}": (
            f"gunicorn, {name}: USR2 x 5", lambda folder: gunicorns.upgrade(folder, 5, worker)
        ),
        f"gunicorn-broken-{worker}": (
            f"gunicorn, {name}: USR2 onto a syntax error x 5",
            lambda folder: gunicorns.upgrade_broken(folder, 5, worker),
        ),
        f"gunicorn-kill-{worker}": (
            f"gunicorn, {name}: SIGKILL of any worker, each second for 20 s",
            lambda folder: gunicorns.crash(folder, 20, worker),
        ),
        f"gunicorn-ttin-{worker}": (
            f"gunicorn, {name}: TTIN and TTOU x 20",
            lambda folder: gunicorns.more_and_fewer(folder, 5, worker),
        ),
        f"gunicorn-max-requests-{worker}": (
            f"gunicorn, {name}: max_requests 500, 20 workers",
            lambda folder: gunicorns.serve_some_each(folder, 20, worker),
        ),
        f"gunicorn-term-{worker}": (
            f"gunicorn, {name}: TERM x {STOPS}",
            lambda folder: again(folder, lambda each: gunicorns.stop(each, worker)),
        ),
    }  # fmt: skip


ALL = {**OWN, **with_gunicorn(WORKER), **with_gunicorn("gthread"), **with_gunicorn("gevent")}


def again(folder: Path, scenario: Scenario) -> Outcome:
    """Return the sum of `STOPS` times the same, each in a folder of its own."""
    total: Outcome | None = None
    for number in range(STOPS):
        each = folder / str(number)
        each.mkdir()
        outcome = scenario(each)
        total = outcome if total is None else total + outcome
    assert total is not None
    return total


def main(names: list[str]) -> int:
    """Run the scenarios with these names, or all; print the table; return 1 if a request has failed."""
    print(HEAD, flush=True)
    has_failed = False
    for name in names or ALL:
        title, scenario = ALL[name]
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            outcome = scenario(Path(folder))
        failed = len(outcome.failed) + outcome.failed_of_wrk
        has_failed |= bool(failed or outcome.left)
        sent = outcome.sent + outcome.sent_by_wrk
        counts = (sent, failed, outcome.met_close, outcome.killed, f"{outcome.seconds:.0f}")
        print(f"| {title} | {' | '.join(map(str, counts))} |", flush=True)
        report(name, outcome, time.monotonic() - began)
    return int(has_failed)


def report(name: str, outcome: Outcome, seconds: float) -> None:
    """Say on standard error what the table has no room for."""
    kinds = Counter((each.kind, each.visitor.rpartition(" ")[0]) for each in outcome.failed)
    print(
        f"{name}: {outcome.events} events, {outcome.workers} workers answered, {outcome.refused} refused",
        f"wrk: {outcome.sent_by_wrk} sent, {outcome.failed_of_wrk} failed",
        f"{seconds:.0f} s in all, failed: {dict(kinds)}",
        *map(str, outcome.failed[:5]),
        *outcome.left[:5],
        sep="\n    ",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

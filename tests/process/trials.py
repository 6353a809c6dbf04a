"""A trial: a master under load while something happens to its workers; afterwards everything is counted."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.process import ServerProcess
from tests.process.loading import Failure, Load, loading
from tests.process.masters import children_of, is_alive, start_master, state_of, wait_until, write_application
from tests.process.trees import Changed, Kill, adopting, descriptors, kill, take_census, zombies_of
from tests.process.wrk import CONNECTIONS, Wrk, running_wrk

APPLICATION = "from tests.process.load_site import application"

#: Seconds without a change after which a tree is at rest.
SETTLED = 0.5

#: How often the workers are asked what they hold, if they change meanwhile.
CENSUSES = 5

#: What a worker's life may not come to in a trial, unless it was killed on purpose.
BAD_ENDINGS = (
    "was ended by",
    "ended with the status",
    "did not end in time",
    "stood still",
    "could not start",
    "Traceback",
)


@dataclass
class Outcome:
    """What has become of the requests of one trial."""

    sent: int
    answered: int
    #: On a connection idle for longer than the grace, which ended at that moment.
    met_close: int
    #: On a connection that a killed worker owned.
    killed: int
    #: Nobody was there any more to connect to.
    refused: int
    failed: list[Failure]
    #: By wrk, not among those above.
    sent_by_wrk: int
    failed_of_wrk: int
    events: int
    seconds: float
    #: What there was too much of afterwards, and wrong endings.
    left: list[str]
    workers: int
    #: What the server wrote, line by line.
    log: list[str]

    def __add__(self, other: Outcome) -> Outcome:
        mine, others = vars(self), vars(other)
        return Outcome(**{name: mine[name] + others[name] for name in mine})

    def check(self) -> None:
        """Raise AssertionError unless no request has failed and nothing is left; the log goes to stderr."""
        if self.failed or self.failed_of_wrk or self.left:
            print("what the server wrote:", *self.log, sep="\n  ", file=sys.stderr)
        kinds = Counter(failure.kind for failure in self.failed)
        shown = "".join(f"\n  {failure}" for failure in self.failed[:10])
        assert not self.failed, (
            f"{len(self.failed)} of {self.sent} requests have failed, {dict(kinds)}{shown}"
        )
        assert not self.failed_of_wrk, (
            f"{self.failed_of_wrk} of {self.sent_by_wrk} requests of wrk's have failed"
        )
        assert not self.left, "\n".join(self.left)


@dataclass
class Trial:
    """A master and its load; `pid` is the master's, which an upgrade changes."""

    server: ServerProcess
    load: Load
    pid: int
    kills: list[Kill] = field(default_factory=list)
    #: How often that has happened which the trial is about.
    events: int = 0
    #: From when on nobody needs to be there.
    ended_at: float = float("inf")
    #: Log lines that would otherwise tell of an end that should not have been.
    allowed: tuple[str, ...] = ()
    #: Known when the trial is over.
    outcome: Outcome = field(init=False)

    @property
    def workers(self) -> set[int]:
        """The children of the master that are alive."""
        return workers_of(self.pid)

    def signal(self, *numbers: int) -> None:
        """Send signals to the master."""
        for number in numbers:
            os.kill(self.pid, number)

    def repeat(self, times: int, event: Callable[[int], object], *, pace: int = 200) -> None:
        """Have something happen `times` times, with so many answers before each and after the last."""
        for number in range(1, times + 1):
            self.load.go_on_for(pace)
            event(number)
            self.events += 1
        self.load.go_on_for(pace)

    def ready(self) -> list[int]:
        """Return the workers that serve; one that was killed may take a while to be gone."""
        lines = list(self.server.lines)
        alive = self.workers - {each.pid for each in self.kills}
        return [pid for pid in alive if any(f"(process {pid}) is ready" in line for line in lines)]

    def kill_one(self) -> None:
        """Kill a worker that serves, once there is one, and see it gone: it is not to be chosen again."""
        pid = random.choice(wait_until(self.ready, "a worker that serves"))
        self.kills.append(kill(pid))
        wait_until(lambda: not is_alive(pid), f"the end of process {pid}")

    def reap(self, pid: int) -> int:
        """Wait for the end of a process that was left to us; return its exit status."""
        wait_until(lambda: pid in children_of(os.getpid()), f"process {pid} to lose its parent")
        wait_until(lambda: state_of(pid) == "Z", f"the end of process {pid}")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def why(self, failure: Failure) -> str:
        """Return on which line a request without its answer belongs."""
        if failure.kind in ("end", "reset", "cut", "connect") and any(
            each.pid == failure.worker or each.owned(failure.port, failure.opened, failure.ended)
            for each in self.kills
        ):
            return "killed"
        if failure.kind == "refused" and failure.ended >= self.ended_at:
            return "refused"
        return "failed"


def workers_of(pid: int) -> set[int]:
    """Return the children of a master that are alive."""
    return {child for child in children_of(pid) if state_of(child) not in "ZX"}


def wait_for_workers(pid: int, count: int) -> set[int]:
    """Return the workers of a master once they are `count`, and the same ones for a while."""
    seen: list[tuple[float, set[int]]] = []

    def is_settled() -> bool:
        now, workers = time.monotonic(), workers_of(pid)
        if not seen or seen[-1][1] != workers:
            seen.append((now, workers))
        return len(workers) == count and now - seen[-1][0] > SETTLED

    wait_until(is_settled, f"{count} workers for some time")
    return seen[-1][1]


@dataclass(frozen=True)
class Holding:
    """What a tree has when nobody asks it anything."""

    master: int
    worker: int

    @classmethod
    def of(cls, trial_pid: int, workers: set[int]) -> Holding:
        return cls(descriptors(trial_pid), max(map(descriptors, workers)))


@contextmanager
def trying(
    folder: Path,
    *arguments: str,
    workers: int = 2,
    settled: int | None = None,
    env: dict[str, str] | None = None,
    start: Callable[..., AbstractContextManager[ServerProcess]] = start_master,
    front: Callable[[Path, int], AbstractContextManager[int]] | None = None,
    with_wrk: bool = True,
) -> Iterator[Trial]:
    """Give a trial under load; when the statement has ended, its outcome is known.

    From `workers` their number is brought down to `settled` before; as many are to be there in the end.
    `front` puts a front end before the server.  wrk asks as well, unless the server ends meanwhile: it
    cannot tell a connection that was refused from one that was lost.
    """
    write_application(folder, APPLICATION)
    with adopting(), start(folder, *arguments, workers=workers, env=env) as server:
        wait_until(lambda: len(children_of(server.pid)) == workers, "the first workers")
        for count in range(workers - 1, (settled or workers) - 1, -1):
            server.send_signal(signal.SIGTTOU)
            wait_for_workers(server.pid, count)
        there = wait_for_workers(server.pid, settled or workers)
        take_census(server.port, there)  # each has served once
        before = settled_holding(server.pid, there)
        with front(folder, server.port) if front else nullcontext(server.port) as port:
            began = time.monotonic()
            asking = running_wrk(folder, port) if with_wrk else nullcontext(Wrk())
            with asking as wrk, loading(port) as load:
                trial = Trial(server, load, server.pid)
                yield trial
            seconds = time.monotonic() - began
        left = look_after(trial, before, settled or workers) if is_alive(trial.pid) else []
        born = set(children_of(trial.pid)) | set(load.workers)
        status = end(trial)
        left += [f"the master has ended with the status {status}"] if status else []
        left += [f"process {pid} has outlived the master" for pid in born if is_alive(pid)]
    left += wrong_endings(trial)
    why = Counter(map(trial.why, load.failed))
    # It may lose what each of its connections waits for when a worker is killed, and no more.
    killed_of_wrk = min(wrk.failed - wrk.wrong, len(trial.kills) * CONNECTIONS)
    trial.outcome = Outcome(
        sent=load.report["sent"] - why["refused"],
        answered=load.report["answered"],
        met_close=load.report["met_close"],
        killed=why["killed"] + killed_of_wrk,
        refused=why["refused"],
        failed=[each for each in load.failed if trial.why(each) == "failed"],
        sent_by_wrk=wrk.sent,
        failed_of_wrk=wrk.failed - killed_of_wrk,
        events=trial.events,
        seconds=seconds,
        left=left,
        workers=len(load.workers),
        log=list(trial.server.lines),
    )


def settled_holding(pid: int, workers: set[int]) -> Holding:
    """Return what master and workers have once that does not change any more."""
    seen: list[tuple[float, Holding]] = []

    def is_settled() -> bool:
        now, holding = time.monotonic(), Holding.of(pid, workers)
        if not seen or seen[-1][1] != holding:
            seen.append((now, holding))
        return now - seen[-1][0] > SETTLED

    wait_until(is_settled, "descriptors that do not change")
    return seen[-1][1]


def look_after(trial: Trial, before: Holding, count: int) -> list[str]:
    """Return what is left behind in a tree that nobody asks any more."""
    left = []
    workers = wait_for_workers(trial.pid, count)

    def note(what: str, condition: Callable[[], object]) -> None:
        try:
            wait_until(condition, what)
        except AssertionError as error:
            left.append(str(error))

    note("no zombie", lambda: not zombies_of(trial.pid))
    note(
        f"{before.master} descriptors in the master, there are {descriptors(trial.pid)}",
        lambda: descriptors(trial.pid) == before.master,
    )
    for pid in workers:
        note(
            f"{before.worker} descriptors in worker {pid}, there are {descriptors(pid)}",
            lambda pid=pid: descriptors(pid) <= before.worker,
        )
    return left + count_inside(trial, count)


def count_inside(trial: Trial, count: int) -> list[str]:
    """Return what is left behind in the workers, as they tell it."""
    for _ in range(CENSUSES):
        workers = wait_for_workers(trial.pid, count)
        try:
            census = take_census(trial.server.port, workers)
        except Changed:
            continue
        except OSError as error:
            return [f"a request without an answer, with nobody else there: {error!r}"]
        left = [f"not every worker has answered: {census}, {workers}"] if len(census) < len(workers) else []
        return left + [
            f"more greenlets or connections than there should be: {said}"
            for said in census
            if said["greenlets"] != said["greenlets known"] or said["connections"] > said["ours"]
        ]
    return [f"the workers have changed during {CENSUSES} censuses"]


def end(trial: Trial) -> int:
    """Stop the master, if it still runs; return its exit status."""
    if is_alive(trial.pid):
        trial.signal(signal.SIGTERM)
    if trial.pid == trial.server.pid:
        return trial.server.wait()
    return trial.reap(trial.pid)  # its own master has made way, so it has become ours


def wrong_endings(trial: Trial) -> list[str]:
    """Return the log lines that tell of an end that should not have been."""
    lines = list(trial.server.lines)
    killed = tuple(f"(process {each.pid}) was ended by SIGKILL" for each in trial.kills)
    ready = {match[1] for line in lines if (match := re.search(r"(worker .*) is ready", line))}

    def is_wrong(line: str) -> bool:
        if not any(bad in line for bad in BAD_ENDINGS) or any(
            each in line for each in (*killed, *trial.allowed)
        ):
            return False
        # A worker that was told to end while it was starting does not know of a graceful end yet.
        early = re.search(r"(worker .*) was ended by SIGTERM", line)
        return early is None or early[1] in ready

    return list(filter(is_wrong, lines))

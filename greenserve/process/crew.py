"""The crew: all workers of a master, as many of the right generation as there should be.

fill        starts what is missing, tells those to end that are too many
hear        what they say
reap        those that have ended, and foreign children where this is process 1
enforce     deadlines: booting, standing still, ending
recycle     one worker at a time for a reason of its own; its successor first
advance     a reload: all of the new generation first, then the old ones, one after the other
"""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from greenserve.process.board import SEATS, Board
from greenserve.process.failure import Failure
from greenserve.process.handle import BOOTING, NEVER, WorkerHandle, ending

if TYPE_CHECKING:
    from greenserve.process.master import Master
    from greenserve.process.reload import Generation

#: Seconds before the next start when workers end before their time: doubled each time, up to the longest.
SHORTEST_DELAY = 0.1
LONGEST_DELAY = 10.0
LONGEST_DELAY_AFTER_READY = 1.0

#: A worker that has lived so many seconds has not ended before its time.
LONG_LIFE = 30.0

#: Seconds that a worker gets to end beyond the graceful timeout, and at a quick stop.
KILL_GRACE = 3.0
QUICK_GRACE = 1.0

#: Seconds after its last beat when a worker that should have ended counts as one that stands still.
STILL = 2.0

#: Seconds that a blocked worker gets to write its stacks.
REPORT_TIME = 1.0

#: Seconds after which the next worker of an old generation is told to end, whether the last one has or not.
NEXT_TURN = 1.0

#: Seconds without any deadline for a beat after the master has been late itself.
LENIENCE = 2.0

#: Requests in flight that a log line names.
MOST_REQUESTS = 10

_clock = time.monotonic
_waitpid = os.waitpid


class Crew:
    """The workers of `master`."""

    def __init__(self, master: Master, generation: Generation) -> None:
        self.master = master
        self.board = Board()
        self.current = generation
        self.coming: Generation | None = None
        #: Whether there should be no worker at all for the time being.
        self.is_asleep = False
        self.workers: dict[int, WorkerHandle] = {}
        self.recycled: WorkerHandle | None = None
        #: Why the first workers could not start, once that is known.
        self.failure: Failure | None = None
        self.is_started = False
        self.last_age = 0
        self._failures = 0
        self._start_at = 0.0
        self._turn_at = 0.0
        self._lenient_until = 0.0

    # Who there is.

    def of(self, generation: Generation | None) -> list[WorkerHandle]:
        """Return the workers of a generation that have not been told to end, the oldest first."""
        return [each for each in self.workers.values() if each.generation is generation and each.alive]

    def ready(self, generation: Generation | None) -> list[WorkerHandle]:
        """Return those of a generation that serve."""
        return [each for each in self.of(generation) if each.is_ready]

    @property
    def is_complete(self) -> bool:
        """Whether as many workers serve as there should be."""
        return len(self.ready(self.current)) >= self.current.wanted

    @property
    def pipes(self) -> list[int]:
        """What may have something to read."""
        return [fileno for worker in self.workers.values() for fileno in worker.pipes]

    # As many as there should be.

    def fill(self, now: float) -> None:
        """Start what is missing, and have those end that are too many."""
        for generation in (self.current, self.coming):
            if generation is None or self.is_asleep:
                continue
            there = self.of(generation)
            wanted = generation.wanted + (self.recycled in there)
            for _ in range(len(there), wanted):
                if now >= self._start_at:  # asked each time: one that cannot be started puts it off
                    self.start(generation, now)
            for worker in sorted(there, key=expendable)[: max(0, len(there) - wanted)]:
                self.retire(worker)

    def start(self, generation: Generation, now: float) -> None:
        """Start a worker."""
        taken = {worker.seat for worker in self.workers.values()}
        held = {worker.position for worker in self.of(generation) if worker is not self.recycled}
        seat = next((number for number in range(SEATS) if number not in taken), None)
        if seat is None:  # those of many generations, whose requests take long
            self.delay(now, 0.0, was_ready=False)
            self.master.log.error("no seat for another worker: %d have not ended yet", len(taken))
            return
        position = next(number for number in range(SEATS) if number not in held)
        self.last_age += 1
        self.board.take(seat)
        worker = WorkerHandle(self.last_age, seat, position, generation, now)
        try:
            self.master.fork(worker)
        except OSError as error:
            self.delay(now, 0.0, was_ready=False)
            self.master.log.error("no process for %s: %s", worker, error)
        else:
            self.workers[worker.pid] = worker

    def retire(self, worker: WorkerHandle, last: bool = False) -> None:
        """Have a worker end gracefully; unless it is among the `last`, others go on accepting."""
        if not worker.alive:
            return
        if not last:
            self.board.announce_successor(worker.seat)
        self.board.leave(worker.seat)
        graceful = worker.generation.config.graceful_timeout or math.inf
        worker.retire(_clock() + graceful + KILL_GRACE)

    def retire_all(self, last: bool = True) -> None:
        """Have all workers end gracefully."""
        self.coming = self.recycled = None
        for worker in list(self.workers.values()):
            self.retire(worker, last)

    def quit(self) -> None:
        """Have all workers end at once."""
        self.coming = self.recycled = None
        for worker in self.workers.values():
            worker.retire(_clock() + QUICK_GRACE, signal.SIGQUIT)

    # What they say, and how they end.

    def hear(self, now: float) -> None:
        """Take in what the workers have said."""
        for worker in self.workers.values():
            was_booting = worker.state is BOOTING
            if worker.hear(now):
                self.tell_report(worker)
                if worker.aborted:
                    worker.kill_at = now
            if was_booting and worker.is_ready:
                self.master.log.info("%s is ready", worker)

    def reap(self, now: float) -> None:
        """Take note of every process that has ended; as process 1 there are foreign ones, too."""
        while True:
            try:
                pid, status = _waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker = self.workers.get(pid)
            if worker is None:
                self.master.lose_child(pid, status)
                continue
            worker.hear(now)
            del self.workers[pid]
            self.board.leave(worker.seat)
            worker.exitcode = os.waitstatus_to_exitcode(status)
            self.bury(worker, status, now)
            worker.close()
            self.master.hooks.child_exit(self.master, worker)

    def bury(self, worker: WorkerHandle, status: int, now: float) -> None:
        """Say how a worker has ended, and see what follows from it."""
        if worker is self.recycled:
            self.recycled = None
        if worker.report:
            self.tell_report(worker)
        if worker.retired:
            say = self.master.log.info if self.failure is None else self.master.log.debug
            say("%s %s", worker, "has stopped" if status == 0 else ending(status))
            if os.WIFSIGNALED(status):
                self.tell_flight(worker, "it was serving")
            return
        self.mourn(worker, status, now)

    def mourn(self, worker: WorkerHandle, status: int, now: float) -> None:
        """A worker has ended that nobody had told to."""
        was_ready = worker.ready_at < NEVER
        failure = worker.failure or Failure(4, worker.ending(status))
        if worker.generation is self.coming and not was_ready:
            self.roll_back(f"{worker}: {failure.message}", failure.origin)
            return
        if not (was_ready or self.is_started or worker.generation is not self.current):
            if worker.failure is None:
                failure = Failure(4, f"{worker} {worker.ending(status)} before it was ready")
            elif worker.aborted:  # the master's own words, which do not say who
                failure = replace(worker.failure, message=f"{worker}: {worker.failure.message}")
            self.failure = self.failure or failure
            return
        lived = now - worker.started_at
        self.delay(now, lived, was_ready)
        what = f"could not start: {failure.message}" if worker.failure else worker.ending(status)
        # One that stood still was replaced when it was told to say what it does: there is nobody to wait for.
        there = self.of(worker.generation)
        is_missed = len(there) < worker.generation.wanted + (self.recycled in there)
        wait = max(0.0, self._start_at - now) if is_missed else 0.0
        text = "%s %s, %.1f s after its start" + (", the next one in %.1f s" if wait else "")
        self.master.log.error(text, worker, what, lived, *([wait] if wait else []), text=failure.origin)
        self.tell_flight(worker, "it was serving")

    def delay(self, now: float, lived: float, was_ready: bool) -> None:
        """Put off the next start, if workers keep ending before their time."""
        if lived >= LONG_LIFE:
            self._failures = 0
            return
        longest = LONGEST_DELAY_AFTER_READY if was_ready else LONGEST_DELAY
        self._start_at = now + min(longest, SHORTEST_DELAY * 2 ** min(self._failures, 20))
        self._failures += 1

    def tell_report(self, worker: WorkerHandle) -> None:
        """Log the stacks that a worker has written."""
        self.master.log.error("the stacks of %s", worker, text=worker.report.take())

    def tell_flight(self, worker: WorkerHandle, what: str) -> None:
        """Log the requests that a worker has in hand, or had, unless they are those that were logged last."""
        requests = worker.in_flight()
        told = [request.text for request in requests]
        if requests and told != worker.told:
            worker.told = told
            more = len(requests) - MOST_REQUESTS
            text = "\n".join(
                [*map(str, requests[:MOST_REQUESTS]), *([f"and {more} more"] if more > 0 else [])]
            )
            self.master.log.error("%s: %s %d requests", worker, what, len(requests), text=text)

    # Deadlines.

    def next_deadline(self, now: float) -> float:
        """Return when there is something to do, even if nobody says anything."""
        deadlines = [
            min(each.kill_at, each.too_old_at, self.overdue_at(each)) for each in self.workers.values()
        ]
        if any(map(self.is_leaving, self.workers.values())):
            deadlines.append(now)
        if self._start_at > now:
            deadlines.append(self._start_at)
        if self._turn_at > now and self._outdated():
            deadlines.append(self._turn_at)
        return min(deadlines, default=NEVER)

    def overdue_at(self, worker: WorkerHandle) -> float:
        """Return when a worker counts as one that stands still."""
        return max(worker.overdue_at(self.board.last_beat(worker.seat)), self._lenient_until)

    def is_leaving(self, worker: WorkerHandle) -> bool:
        """Whether a worker ends that somebody else has told to."""
        return worker.is_ready and self.board.last_beat(worker.seat) == NEVER

    def is_turning(self, now: float) -> bool:
        """Whether at least one worker serves and does not stand still, or there should be none."""
        ready = (each for each in self.workers.values() if each.is_ready)
        return self.is_asleep or any(now < self.overdue_at(each) for each in ready)

    def be_lenient(self, now: float) -> None:
        """Nobody is overdue for a while: the master has stood still itself, perhaps with the machine."""
        self._lenient_until = now + LENIENCE

    def enforce(self, now: float) -> None:
        """End what should have ended, have those report that stand still, note those that are old."""
        for worker in self.workers.values():
            if now >= worker.kill_at:
                self.end(worker, now)
            elif now >= self.overdue_at(worker):
                self.abort(worker, now)
            elif self.is_leaving(worker):
                self.retire(worker)
            elif now >= worker.too_old_at:
                worker.reason = f"it is {now - worker.ready_at:.0f} s old"

    def end(self, worker: WorkerHandle, now: float) -> None:
        """End a worker that has had its time; first of all it says what it is doing, if it stands still."""
        if not worker.aborted and now - self.board.last_beat(worker.seat) > STILL:
            self.abort(worker, now)
            return
        if not worker.aborted:
            self.master.log.warning("%s did not end in time and is killed", worker)
        worker.send(signal.SIGKILL)
        worker.kill_at = NEVER

    def abort(self, worker: WorkerHandle, now: float) -> None:
        """Have a worker say what it is doing, before it is killed."""
        config = worker.generation.config
        if now >= worker.kill_at:
            what = "did not end in time and stands still"
        elif worker.ready_at == NEVER:
            what = f"is not ready after {config.boot_timeout:g} s"
            worker.failure = Failure(4, f"it {what}")
        else:
            what = f"has stood still for more than {config.timeout:g} s"
        self.master.log.error("%s %s; it is ended", worker, what)
        self.tell_flight(worker, "it is serving")
        self.board.leave(worker.seat)
        worker.abort(now + REPORT_TIME)

    # One worker after the other.

    def recycle(self) -> None:
        """Replace a worker that has a reason for it: its successor is started, and must be ready first."""
        if self.coming is not None:
            return
        there = self.of(self.current)
        if self.recycled is None:
            self.note_misplaced(there)
            self.recycled = next((worker for worker in there if worker.is_ready and worker.reason), None)
            if self.recycled is not None:
                self.master.log.info("%s is replaced: %s", self.recycled, self.recycled.reason)
        elif self.recycled in there and len(self.ready(self.current)) > self.current.wanted:
            self.retire(self.recycled)

    def note_misplaced(self, there: list[WorkerHandle]) -> None:
        """See to it that no socket stays without a worker, once those are as many as there should be.

        Some may have left, or not have come up, since the sockets were dealt out.
        """
        wanted = self.current.wanted
        if not self.current.config.reuse_port or len(self.ready(self.current)) != wanted:
            return
        taken: set[int] = set()
        for worker in there:
            share = self.master.listeners.of(worker.position, wanted)
            if (
                worker.position >= wanted
                or worker.position in taken
                or not set(share) <= set(worker.listeners)
            ):
                worker.reason = worker.reason or "it gets the sockets of another one, too"
            taken.add(worker.position)

    def advance(self, now: float) -> None:
        """Go on with a reload: the new generation takes over, the old one leaves."""
        if self.coming is not None and len(self.ready(self.coming)) >= self.coming.wanted:
            self.current, self.coming = self.coming, None
            self.recycled = None
            self.master.end_reload(
                f"reloaded: {self.current.wanted} workers of generation {self.current.number}"
            )
        outdated = self._outdated()
        if outdated and (now >= self._turn_at or not self._is_one_leaving()):
            self.retire(outdated[0])
            self._turn_at = now + NEXT_TURN

    def _outdated(self) -> list[WorkerHandle]:
        served = (self.current, self.coming)
        return [each for each in self.workers.values() if each.alive and each.generation not in served]

    def _is_one_leaving(self) -> bool:
        return any(not each.alive and each.generation is not self.current for each in self.workers.values())

    def roll_back(self, why: str, origin: str = "") -> None:
        """Give a new generation up: the old one has been serving all the time."""
        failed, self.coming = self.coming, None
        self.master.log.error("the reload has failed, the old workers go on: %s", why, text=origin)
        for worker in self.of(failed):
            self.retire(worker)
        self.master.end_reload("")


def expendable(worker: WorkerHandle) -> tuple[bool, int]:
    """Return what sorts those first that can be spared: they have nothing to lose, or are the oldest.

    Where each has sockets of its own, those of the last position fall to the others.
    """
    return worker.is_ready, -worker.position if worker.cfg.reuse_port else worker.age

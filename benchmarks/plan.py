"""Which server is measured when, and about how long it all takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.measure import CONNECTIONS_PER_SECOND, SETTLING
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.workload import Method, Workload

# Seconds, as they were seen: a start with its check and its end, and what each method adds.
START = 0.45
START_OF_FRAMEWORK = 0.8
OPENING = 0.0005  # of one connection


@dataclass(frozen=True)
class Step:
    """One measurement: a server in a round of a workload."""

    workload: Workload
    round: int
    peer: Peer


def build_plan(options: Options) -> list[Step]:
    """Return the steps in their order: in each round of a workload every server has its turn."""
    return [
        Step(workload, number, peer)
        for workload in options.workloads
        for number in range(options.rounds_of(workload))
        for peer in options.peers
        if workload.name not in peer.cannot
    ]


def estimate(steps: Iterable[Step], options: Options) -> float:
    """Return about how many seconds the steps take."""
    return sum(estimate_step(step.workload, options) for step in steps)


def estimate_step(workload: Workload, options: Options) -> float:
    start = START if workload.application.startswith("plain") else START_OF_FRAMEWORK
    run = options.warm_up + options.seconds
    if workload.method is Method.CROWD:
        return start + run + workload.connections * OPENING
    if workload.method is Method.H2LOAD:
        return start + max(run, options.seconds + workload.connections / CONNECTIONS_PER_SECOND)
    if workload.method in {Method.WRK, Method.DOWNLOAD}:
        return start + run
    if workload.method is Method.IDLE:
        return start + 2 * SETTLING + workload.connections * OPENING
    if workload.method is Method.USED_MEMORY:
        return start + min(options.patience or 120.0, workload.requests / 10_000)
    return start

"""What the command line asks for."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from benchmarks.peer import Peer
from benchmarks.peers import PEERS
from benchmarks.peers import QUICK as QUICK_PEERS
from benchmarks.server import ROOT
from benchmarks.workload import Method, Workload
from benchmarks.workloads import QUICK as QUICK_WORKLOADS
from benchmarks.workloads import WORKLOADS

Entry = TypeVar("Entry")

RESULTS = ROOT / "benchmarks" / "results"

ROUNDS, SECONDS, WARM_UP, PATIENCE = 3, 1.25, 0.3, 15.0
QUICK_ROUNDS = 5

#: What --smoke leaves of rounds, seconds, idle connections and counted requests.
SMOKE_SECONDS = 0.2
SMOKE_CONNECTIONS = 100
SMOKE_REQUESTS = 2000


@dataclass(frozen=True)
class Options:
    """`rounds` and `seconds` for each figure; `patience`: see `Terms`."""

    peers: tuple[Peer, ...]
    workloads: tuple[Workload, ...]
    rounds: int = ROUNDS
    seconds: float = SECONDS
    warm_up: float = WARM_UP
    patience: float = PATIENCE
    out: Path = RESULTS
    python: str = sys.executable
    install: bool = True
    upgrade: bool = False
    smoke: bool = False
    command: str = "make bench"

    def rounds_of(self, workload: Workload) -> int:
        return min(self.rounds, workload.rounds or self.rounds)


def parse(argv: Sequence[str]) -> Options:
    """Return what `argv` asks for.  Raises SystemExit, with a message, where that cannot be."""
    parser = build_parser()
    given = parser.parse_args(argv)
    quick = given.quick
    options = Options(
        peers=select(parser, "peer", given.peers, PEERS, QUICK_PEERS if quick else None),
        workloads=select(parser, "workload", given.workloads, WORKLOADS, QUICK_WORKLOADS if quick else None),
        rounds=given.rounds or (QUICK_ROUNDS if quick else ROUNDS),
        seconds=given.seconds,
        warm_up=min(WARM_UP, given.seconds),
        patience=given.patience,
        out=given.out,
        python=given.python,
        install=given.install,
        upgrade=given.upgrade,
        command=" ".join(["python -m benchmarks", *argv]),
    )
    return smoke(options) if given.smoke else options


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure greenserve beside its peers; benchmarks/README.md tells how to read it.",
    )
    add = parser.add_argument
    add("--peers", metavar="NAME,...", help=f"these only: {', '.join(PEERS)}")
    add("--workloads", metavar="NAME,...", help=f"these only: {', '.join(WORKLOADS)}")
    add("--rounds", type=positive, metavar="N", help=f"rounds of each workload (default: {ROUNDS})")
    add("--seconds", type=seconds, default=SECONDS, help="length of a run (default: %(default)s)")
    add(
        "--patience",
        type=float,
        default=PATIENCE,
        metavar="SECONDS",
        help="longest that a million requests may take; 0: as long as they do (default: %(default)s)",
    )
    add("--quick", action="store_true", help="four servers, two workloads, five rounds: under two minutes")
    add(
        "--smoke",
        action="store_true",
        help="everything once and tiny: does it run?  The figures mean nothing",
    )
    add("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where JSON, tables and plots go")
    add(
        "--python",
        type=interpreter,
        default=sys.executable,
        metavar="PATH",
        help="interpreter that all servers run on",
    )
    add("--no-install", dest="install", action="store_false", help="measure what is installed already")
    add("--upgrade", action="store_true", help="install the newest version of each peer")
    return parser


def positive(text: str) -> int:
    """Return a number of rounds.  Raises ValueError, which argparse reports."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def seconds(text: str) -> float:
    """Return a duration.  Raises ValueError, which argparse reports."""
    if (duration := float(text)) < 0.1:  # wrk looks at the clock ten times a second
        raise ValueError(text)
    return duration


def interpreter(text: str) -> str:
    """Return the whole path of an interpreter: servers have another working directory.  Raises ValueError."""
    if (found := shutil.which(text)) is None:
        raise ValueError(text)
    return os.path.abspath(found)  # and no further: behind the link there is no environment


def select(
    parser: argparse.ArgumentParser,
    kind: str,
    text: str | None,
    table: Mapping[str, Entry],
    default: Sequence[str] | None,
) -> tuple[Entry, ...]:
    """Return the entries of `table` that `text` names, in the order of the table."""
    wanted = text.split(",") if text else list(default or table)
    if unknown := [name for name in wanted if name not in table]:
        parser.error(f"no such {kind}: {', '.join(unknown)}; there are {', '.join(table)}")
    return tuple(entry for name, entry in table.items() if name in wanted)


def smoke(options: Options) -> Options:
    """Return the same, once and tiny."""
    return replace(
        options,
        rounds=1,
        seconds=SMOKE_SECONDS,
        warm_up=SMOKE_SECONDS,
        workloads=tuple(tiny(workload) for workload in options.workloads),
        smoke=True,
    )


def tiny(workload: Workload) -> Workload:
    """Return the workload with few connections and requests."""
    most = (
        SMOKE_CONNECTIONS
        if workload.method in {Method.H2LOAD, Method.CROWD, Method.IDLE}
        else workload.connections
    )
    return replace(
        workload,
        connections=min(workload.connections, most),
        requests=min(workload.requests, SMOKE_REQUESTS),
    )

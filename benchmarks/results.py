"""Everything that a run found out, to and from JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peer import Peer
from benchmarks.peers import OURS, REFERENCE
from benchmarks.sample import Cell, Sample, State
from benchmarks.workload import Workload


@dataclass
class Entrant:
    """A peer as it took part: its versions, and why it did not start if it did not."""

    name: str
    title: str
    versions: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    failure: str = ""


@dataclass(frozen=True)
class Subject:
    """A workload as it was measured."""

    name: str
    title: str
    unit: str
    lower_is_better: bool
    connections: int
    rounds: int


@dataclass
class Results:
    """`settings` are how it was measured, `machine` is where."""

    settings: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    entrants: dict[str, Entrant] = field(default_factory=dict)
    subjects: dict[str, Subject] = field(default_factory=dict)
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False

    def cell(self, peer: str, workload: str) -> Cell:
        return self.cells[peer, workload]

    def reference_of(self, workload: str) -> Cell | None:
        return self.cells.get((REFERENCE, workload))

    def ours_in(self, workload: str) -> Cell | None:
        return self.cells.get((OURS, workload))

    def row(self, workload: str) -> list[Cell]:
        """Return the cells of a workload, in the order of the peers."""
        return [self.cells[name, workload] for name in self.entrants]

    def as_json(self) -> str:
        """Return everything, the medians and ratios included, for whoever does not want to compute them."""
        values = {
            "settings": self.settings,
            "machine": self.machine,
            "seconds": round(self.seconds, 1),
            "interrupted": self.interrupted,
            "peers": [asdict(entrant) for entrant in self.entrants.values()],
            "workloads": [asdict(subject) for subject in self.subjects.values()],
            "cells": [self._cell_values(cell) for cell in self.cells.values()],
        }
        return json.dumps(values, indent=1) + "\n"

    def _cell_values(self, cell: Cell) -> dict[str, Any]:
        return {
            "peer": cell.peer,
            "workload": cell.workload,
            "state": cell.state.value,
            "reason": cell.reason,
            "median": cell.median,
            "spread": cell.spread,
            "ratio_to_raw": cell.ratio_to(self.reference_of(cell.workload)),
            "failure": cell.failure,
            "not_applicable": cell.not_applicable,
            "note": cell.note,
            "samples": {str(number): asdict(sample) for number, sample in cell.samples.items()},
        }

    @classmethod
    def from_json(cls, text: str) -> Results:
        values = json.loads(text)
        results = cls(values["settings"], values["machine"])
        results.seconds, results.interrupted = values["seconds"], values["interrupted"]
        results.entrants = {each["name"]: Entrant(**each) for each in values["peers"]}
        results.subjects = {each["name"]: Subject(**each) for each in values["workloads"]}
        for each in values["cells"]:
            samples = {int(number): Sample(**sample) for number, sample in each["samples"].items()}
            told = {name: each[name] for name in ("failure", "not_applicable", "note")}
            cell = Cell(each["peer"], each["workload"], samples, **told)
            results.cells[cell.peer, cell.workload] = cell
        return results

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.as_json())

    def states(self) -> dict[State, int]:
        """Return how many cells there are in each state."""
        found = [cell.state for cell in self.cells.values()]
        return {state: found.count(state) for state in State if state in found}


def empty_results(peers: Iterable[Peer], workloads: Iterable[Workload], rounds: dict[str, int]) -> Results:
    """Return results with a cell for every peer in every workload: none can be dropped from now on."""
    results = Results()
    for peer in peers:
        results.entrants[peer.name] = Entrant(peer.name, peer.title)
    for workload in workloads:
        results.subjects[workload.name] = Subject(
            workload.name,
            workload.title,
            workload.unit,
            workload.lower_is_better,
            workload.connections,
            rounds[workload.name],
        )
        for peer in peers:
            reason = peer.cannot.get(workload.name, "")
            results.cells[peer.name, workload.name] = Cell(peer.name, workload.name, not_applicable=reason)
    return results

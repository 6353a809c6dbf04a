"""Figures: one of a run, those of all rounds of a peer in a workload, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Sample:
    """What one run gave: a figure, or the reason why it is void.

    `details` are told in the JSON, `baseline` is what this very run is compared with, beside the raw loop;
    `others` is the part of a core that other processes had meanwhile.
    """

    figure: float | None = None
    void: str = ""
    p50_ms: float | None = None
    p99_ms: float | None = None
    baseline: float | None = None
    others: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


class State(str, Enum):
    """What became of a peer in a workload."""

    MEASURED = "measured"
    VOID = "void"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    NOT_REACHED = "not reached"


@dataclass
class Cell:
    """One peer in one workload: a sample for each round, or the reason why there are none.

    `samples` has the number of the round as its key: a round in which the peer failed has none.
    """

    peer: str
    workload: str
    samples: dict[int, Sample] = field(default_factory=dict)
    failure: str = ""
    not_applicable: str = ""
    note: str = ""

    @property
    def state(self) -> State:
        if self.not_applicable:
            return State.NOT_APPLICABLE
        if self.figures:
            return State.MEASURED
        if self.failure:
            return State.FAILED
        return State.VOID if self.samples else State.NOT_REACHED

    @property
    def figures(self) -> list[float]:
        return [sample.figure for sample in self.samples.values() if sample.figure is not None]

    @property
    def reason(self) -> str:
        """Why there is no figure, or why there are fewer than there were rounds; empty when all is well."""
        if self.not_applicable or not self.figures and self.failure:
            return self.not_applicable or self.failure
        voids = [sample.void for sample in self.samples.values() if sample.figure is None]
        told = []
        if voids:
            told.append(f"void in {len(voids)} of {len(self.samples)} rounds: {voids[0]}")
        if self.failure:
            told.append(f"then failed: {self.failure}")
        return "; ".join(told)

    @property
    def median(self) -> float | None:
        return median_of(self.figures)

    @property
    def spread(self) -> float | None:
        """The distance between the highest and the lowest figure, as a part of the median."""
        middle = self.median
        return (max(self.figures) - min(self.figures)) / middle if middle else None

    def ratio_to(self, other: Cell | None) -> float | None:
        """Return the median of the figures' ratios to those of `other` in the same round."""
        if other is None:
            return None
        pairs = ((sample.figure, other.samples.get(number)) for number, sample in self.samples.items())
        return median_of(
            [
                figure / theirs.figure
                for figure, theirs in pairs
                if figure is not None and theirs and theirs.figure
            ]
        )

    @property
    def ratio_to_baseline(self) -> float | None:
        return median_of(
            [
                sample.figure / sample.baseline
                for sample in self.samples.values()
                if sample.figure and sample.baseline
            ]
        )

    def median_detail(self, name: str) -> float | None:
        """Return the median of an attribute of the samples, such as ``p99_ms``."""
        values = [getattr(sample, name) for sample in self.samples.values() if sample.figure is not None]
        return median_of([value for value in values if value is not None])


def median_of(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def percentile(values: Sequence[float], part: float) -> float | None:
    """Return the value below which so large a part of `values` lies (nearest rank)."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

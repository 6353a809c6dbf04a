"""The results as tables of text; `console` and `markdown` draw them."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.bystanders import WORTH_TELLING
from benchmarks.peers import OURS
from benchmarks.results import Results, Subject
from benchmarks.sample import Cell, State

NOTHING = "–"

SHORT = {State.VOID: "void", State.FAILED: "failed", State.NOT_APPLICABLE: NOTHING, State.NOT_REACHED: ""}


@dataclass
class Table:
    """Rows of text below the names of their columns; `numbers` are the columns that are aligned right."""

    title: str
    columns: list[str]
    numbers: range
    rows: list[list[str]] = field(default_factory=list)


def workload_table(results: Results, subject: Subject) -> Table:
    """Return a row for every peer: the figures, or why there are none."""
    starts = any(cell.ratio_to_baseline for cell in results.row(subject.name))
    timed = any(cell.median_detail("p99_ms") is not None for cell in results.row(subject.name))
    columns = ["", subject.unit, "spread", "× raw"]
    columns += ["× patched Python"] if starts else []
    columns += ["p50 ms", "p99 ms"] if timed else []
    better = "less is better" if subject.lower_is_better else "more is better"
    title = f"{subject.name}: {subject.title} ({better})"
    table = Table(title, [*columns, f"{OURS} ÷ it", ""], range(1, len(columns) + 1))
    for cell in results.row(subject.name):
        values = [
            format_figure(cell.median),
            format_spread(cell),
            format_ratio(reference_ratio(results, cell)),
        ]
        values += [format_ratio(cell.ratio_to_baseline)] if starts else []
        values += [format_figure(cell.median_detail(name)) for name in ("p50_ms", "p99_ms")] if timed else []
        ours = results.ours_in(subject.name)
        values.append(format_ratio(ours.ratio_to(cell) if ours is not None and ours is not cell else None))
        table.rows.append([results.entrants[cell.peer].title, *values, note_of(cell)])
    return table


def reference_ratio(results: Results, cell: Cell) -> float | None:
    """Return the ratio to the raw loop of the same rounds."""
    return cell.ratio_to(results.reference_of(cell.workload))


def note_of(cell: Cell) -> str:
    """Return what has to be said of a cell: why there is no figure, or what is odd about it."""
    kind = {State.NOT_APPLICABLE: "not applicable: ", State.NOT_REACHED: "not reached"}.get(cell.state, "")
    counted = [sample.details["requests"] for sample in cell.samples.values() if "requests" in sample.details]
    sent = f"after {format_figure(min(counted))} requests" if counted else ""
    others = max((sample.others for sample in cell.samples.values()), default=0.0)
    busy = f"others had up to {others * 100:.0f} % of a core" if others > WORTH_TELLING else ""
    return "; ".join(filter(None, [kind + cell.reason, sent, cell.note, busy]))


def overview_table(results: Results) -> Table:
    """Return the ratio to the raw loop of every peer in every workload."""
    columns = ["", *results.entrants]
    table = Table("× raw gevent in the same round", columns, range(1, len(columns)))
    for subject in results.subjects.values():
        name = subject.name + (" ↓" if subject.lower_is_better else "")
        table.rows.append([name, *(short(results, cell) for cell in results.row(subject.name))])
    return table


def short(results: Results, cell: Cell) -> str:
    """Return the ratio, or one word for what is in its place."""
    if cell.state is not State.MEASURED:
        return SHORT[cell.state]
    return format_ratio(reference_ratio(results, cell))


def peers_table(results: Results) -> Table:
    """Return who took part, in which version, and who did not start."""
    table = Table("peers", ["", "name", "versions", "", ""], range(0))
    for entrant in results.entrants.values():
        versions = ", ".join(f"{name} {version}" for name, version in entrant.versions.items())
        state = "failed" if entrant.failure else "took part"
        table.rows.append([entrant.title, entrant.name, versions, state, entrant.failure])
    return table


def all_tables(results: Results) -> list[Table]:
    """Return the tables in the order in which they are read."""
    tables = [workload_table(results, subject) for subject in results.subjects.values()]
    if len(tables) > 2:
        tables.append(overview_table(results))
    return [peers_table(results), *tables]


def facts(results: Results) -> list[str]:
    """Return how and where it was measured, a line each."""
    settings = results.settings
    lines = [f"{name}: {value}" for name, value in results.machine.items()]
    lines += [f"{name}: {value}" for name, value in settings.items() if isinstance(value, str) and value]
    took = f"took {results.seconds / 60:.1f} minutes" + (", interrupted" if results.interrupted else "")
    if settings.get("smoke"):
        took += "; a smoke run: its figures mean nothing"
    return [*lines, took]


def format_figure(value: float | None) -> str:
    """Return three digits that matter, thousands apart."""
    if value is None:
        return NOTHING
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def format_spread(cell: Cell) -> str:
    """Return the distance of the extremes in percent; one figure has none."""
    if cell.spread is None or len(cell.figures) < 2:
        return NOTHING
    return f"{cell.spread * 100:.0f} %"


def format_ratio(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value < 0.095 else f"{value:.2f}"

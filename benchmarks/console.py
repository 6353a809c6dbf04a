"""What the terminal shows: the progress while it runs, the tables at the end.  Needs rich."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable

from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.plan import Step, estimate_step
from benchmarks.report import Table, all_tables, facts, format_figure, format_ratio
from benchmarks.results import Results
from benchmarks.sample import Cell, Sample

#: Room for all columns where the output is no terminal.
WIDTH = 160


class Terminal:
    """Shows a run; an `Observer` of it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = WIDTH
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            refresh_per_second=2,  # it runs on the client's core
        )
        self.task = self.progress.add_task("starting", total=None)
        self.results: Results | None = None
        self.told: set[tuple[str, str]] = set()

    def say(self, text: str) -> None:
        self.console.print(escape(text), soft_wrap=True)

    def begin(self, results: Results, seconds: float) -> None:
        self.results = results
        self.progress.update(self.task, total=seconds)
        self.progress.start()

    def end(self) -> None:
        self.progress.stop()

    def on_entrant(self, peer: Peer, failure: str) -> None:
        if failure:
            self.told.add((peer.name, failure))
            self.console.print(f"[red]{peer.name}[/red]: {escape(failure)}", soft_wrap=True)

    def on_step(self, step: Step) -> None:
        rounds = self.options.rounds_of(step.workload)
        told = f"{step.workload.name} {step.round + 1}/{rounds} {step.peer.name}"
        self.progress.update(self.task, description=f"{told:<40}")

    def on_cell(self, step: Step, cell: Cell, sample: Sample | None) -> None:
        self.progress.advance(self.task, estimate_step(step.workload, self.options))
        said = f"{step.workload.name:<18} {step.round + 1}  {step.peer.name:<20}"
        if sample is None or sample.figure is None:
            reason = sample.void if sample is not None else cell.failure
            if sample is not None or (cell.peer, reason) not in self.told:
                self.console.print(f"{said} [yellow]{escape(reason)}[/yellow]", soft_wrap=True)
            self.told.add((cell.peer, reason))
            return
        assert self.results is not None
        reference = self.results.reference_of(step.workload.name)
        theirs = reference.samples.get(step.round) if reference is not None else None
        ratio = sample.figure / theirs.figure if theirs is not None and theirs.figure else None
        figure = f"{format_figure(sample.figure):>12} {step.workload.unit:<10}"
        self.console.print(f"{said} {figure} {format_ratio(ratio):>6} × raw", soft_wrap=True)

    def report(self, results: Results) -> None:
        """Print the tables."""
        for table in all_tables(results):
            self.console.print(drawn(table))
        for fact in facts(results):
            self.say(fact)


def drawn(table: Table) -> RichTable:
    """Return the table as rich draws it."""
    shown = RichTable(title=table.title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for number, name in enumerate(table.columns):
        shown.add_column(
            escape(name), justify="right" if number in table.numbers else "left", overflow="fold"
        )
    for row in table.rows:
        shown.add_row(*map(escape, row))
    return shown

"""The results as a page in Markdown, the plots beside the machine, the versions and the command."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.report import Table, all_tables, facts
from benchmarks.results import Results


def as_markdown(results: Results, plots: Iterable[str]) -> str:
    """Return the page; `plots` are the names of the pictures."""
    parts = ["# Benchmarks", "\n".join(f"- {fact}" for fact in facts(results))]
    parts += [f"![{name}]({name})" for name in plots]
    parts += [f"## {table.title}\n\n{drawn(table)}" for table in all_tables(results)]
    return "\n\n".join(parts) + "\n"


def drawn(table: Table) -> str:
    """Return the table in Markdown."""
    marks = ["---:" if number in table.numbers else "---" for number in range(len(table.columns))]
    rows = [table.columns, marks, *table.rows]
    return "\n".join(f"| {' | '.join(map(escaped, row))} |" for row in rows)


def escaped(text: str) -> str:
    return text.replace("|", "\\|")

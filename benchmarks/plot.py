"""The results as pictures, SVG and PNG.  Needs matplotlib.

python -m benchmarks.plot benchmarks/results/latest.json FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402 -- behind the choice of the backend

from benchmarks.peers import OURS, REFERENCE  # noqa: E402
from benchmarks.results import Results, Subject  # noqa: E402
from benchmarks.sample import Cell, State  # noqa: E402

COLUMNS = 3
COLOURS = {OURS: "#1a7f37", REFERENCE: "#8c959f"}
OTHER = "#5b8fd0"
#: The same picture from the same results.
METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}


def save_plots(results: Results, folder: Path) -> list[str]:
    """Write the pictures that there are figures for; return their names, those of the PNG files."""
    matplotlib.rcParams["svg.hashsalt"] = "greenserve"
    groups = {
        "throughput": [each for each in results.subjects.values() if not each.lower_is_better],
        "costs": [each for each in results.subjects.values() if each.lower_is_better],
    }
    saved = []
    for name, subjects in groups.items():
        with_figures = [each for each in subjects if any(cell.figures for cell in results.row(each.name))]
        if with_figures:
            save(draw(results, with_figures), folder / name)
            saved.append(f"{name}.png")
    return saved


def draw(results: Results, subjects: Sequence[Subject]) -> Any:
    """Return a figure with one panel for each workload."""
    rows = -(-len(subjects) // COLUMNS)
    columns = min(COLUMNS, len(subjects))
    height = 0.6 + 0.23 * len(results.entrants)
    figure, panels = pyplot.subplots(rows, columns, figsize=(5 * columns, height * rows + 0.4), squeeze=False)
    for number, panel in enumerate(panels.flat):
        if number < len(subjects):
            draw_panel(panel, results, subjects[number])
        else:
            panel.set_axis_off()
    figure.tight_layout()
    return figure


def draw_panel(panel: Any, results: Results, subject: Subject) -> None:
    """Draw a bar for each peer, a line from its lowest to its highest figure; words where there is none."""
    cells = results.row(subject.name)
    for place, cell in enumerate(cells):
        draw_bar(panel, place, cell)
    panel.set_yticks(range(len(cells)), [results.entrants[cell.peer].title for cell in cells], fontsize=7)
    panel.set_ylim(len(cells) - 0.4, -0.6)
    panel.tick_params(axis="x", labelsize=7)
    panel.margins(x=0.12)
    better = "less is better" if subject.lower_is_better else "more is better"
    panel.set_title(f"{subject.title}\n{subject.unit}, {better}", fontsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def draw_bar(panel: Any, place: int, cell: Cell) -> None:
    middle = cell.median
    if middle is None:
        words = {State.NOT_APPLICABLE: "not applicable", State.NOT_REACHED: "not reached"}
        panel.text(
            0, place, " " + words.get(cell.state, cell.state.value), va="center", fontsize=6, color="#57606a"
        )
        return
    error = [[middle - min(cell.figures)], [max(cell.figures) - middle]]
    style = {"elinewidth": 0.8, "capsize": 1.5}
    panel.barh(place, middle, xerr=error, color=COLOURS.get(cell.peer, OTHER), height=0.7, error_kw=style)
    label = f"  {middle:,.0f}" if middle >= 100 else f"  {middle:.1f}"
    panel.text(max(cell.figures), place, label.replace(",", " "), va="center", fontsize=6)


def save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for kind, metadata in METADATA.items():
        figure.savefig(path.with_suffix(f".{kind}"), dpi=130, metadata=metadata)
    pyplot.close(figure)


def main() -> None:
    source, folder = map(Path, sys.argv[1:3])
    save_plots(Results.from_json(source.read_text()), folder)


if __name__ == "__main__":
    main()

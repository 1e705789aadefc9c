"""What a study shows, in words, whatever it is, and the files that show it: functions of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from gattn.compare.breadth import reach_of
from gattn.compare.budget import budget_sentences
from gattn.compare.cells import Cell, by_dataset, cells, grouped, percent, title, varying
from gattn.compare.figures import curves, pareto
from gattn.compare.html import FILE as HTML
from gattn.compare.html import write_html
from gattn.compare.plot import heat_map, reach
from gattn.compare.recommend import recommendations
from gattn.compare.statistics import compare_to_best, verdicts
from gattn.compare.table import markdown
from gattn.compare.trial import Row
from gattn.data import Task

_FEW_SEEDS = 5


def write_report(
    rows: Sequence[Row], out: Path, reference: Sequence[Row] = ()
) -> tuple[list[str], list[Path]]:
    """Write the table, the figures, each as PNG and as SVG, and the report.

    These are `table.md`, `heatmap`, `pareto`, `curves` where rows have them, `reach` with a
    reference, and `report.html`.

    Args:
        rows: of `read_rows`.
        out: a folder.
        reference: of `attainable_rows`.

    Returns:
        The sentences that the page ends with, and the files.
    """
    said = sentences(rows, reference)
    page = out / "table.md"
    page.write_text(markdown(rows) + "\n" + "".join(f"- {s}\n" for s in said), encoding="utf-8")
    written = [page, *_figures(rows, out, reference)]
    if rows:
        written.append(write_html(rows, out / HTML))
    return said, written


def _figures(rows: Sequence[Row], out: Path, reference: Sequence[Row]) -> list[Path]:
    if not any(row["status"] == "ok" for row in rows):
        return []
    figures = {"heatmap": heat_map, "pareto": pareto, "curves": curves}
    if reference:
        figures["reach"] = lambda rows, path: reach(rows, reference, path)
    made = [
        draw(rows, out / f"{name}{suffix}")
        for name, draw in figures.items()
        for suffix in (".png", ".svg")
    ]
    return [path for path in made if path is not None]


def describe(task: Task) -> dict[str, str]:
    """Return what there is to know about a dataset, by title.

    Args:
        task: the dataset.
    """
    known = torch.ones_like(task.y, dtype=torch.bool) if task.labelled is None else task.labelled
    counts = task.y[known].bincount(minlength=task.num_classes)
    classes = ", ".join(map(str, counts.tolist()))
    masks = {"train": task.train_mask, "val": task.val_mask, "test": task.test_mask}
    sizes = {part: mask.sum(dim=0) for part, mask in masks.items()}
    splits = ", ".join(f"{part} {_range(size)}" for part, size in sizes.items())
    source, target = task.edge_index[:, known[task.edge_index].all(dim=0)]
    same = (task.y[source] == task.y[target]).double().mean().item() if len(source) else 0.0
    return {
        "name": task.name,
        "nodes": f"{task.num_nodes:,}",
        "edges": f"{task.edge_index.size(1):,} (each direction counts)",
        "same class": f"{same:.3f} of the edges",
        "features": f"{task.x.size(1):,}",
        "classes": f"{task.num_classes} ({classes} nodes)",
        "splits": f"{task.num_splits} ({splits})",
        "metric": task.metric,
        **({"notes": "; ".join(task.notes)} if task.notes else {}),
    }


def _range(sizes: Any) -> str:
    low, high = int(sizes.min()), int(sizes.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def sentences(rows: Iterable[Row], reference: Sequence[Row] = ()) -> list[str]:
    """Say in words what the rows show: how the metric moves with breadth and with depth.

    Args:
        rows: of `read_rows`.
        reference: of `attainable_rows`, what belief propagation reaches by radius.
    """
    rows = list(rows)
    finished = [cell for cell in cells(rows) if cell.rows]
    said: list[str] = []
    for group in grouped(finished, ("breadth", "depth")):
        name = _group_name(group, finished)
        for line in grouped(group, ("breadth",)):
            said += _about_breadth(line, name)
        for column in grouped(group, ("depth",)):
            said += _about_depth(column, name)
        said += _about_best(group, name, reference)
    return [*said, *_about_choice(rows, finished), *budget_sentences(rows)]


def _about_choice(rows: Sequence[Row], finished: Sequence[Cell]) -> list[str]:
    """What is recommended for each dataset, and what the tests find beside the best."""
    said: list[str] = []
    chosen = {_dataset_name(found.cell): found.why for found in recommendations(rows)}
    for group in by_dataset(finished):
        name = _dataset_name(group[0])
        compared = compare_to_best(group)
        if not compared:
            continue  # one setting: nothing to choose from
        lines = [chosen[name], *(f"Test {title(group[0])}. {v}" for v in verdicts(compared))]
        said += [name * (len(chosen) > 1) + line for line in lines]
    return said


def _dataset_name(cell: Cell) -> str:
    names = (cell.settings["dataset"], cell.settings["options"])
    return " ".join(str(name) for name in names if name) + ": "


def _about_breadth(line: list[Cell], name: str) -> list[str]:
    if len(line) < 2:
        return []
    values = [percent(cell) for cell in line]
    listed = ", ".join(
        f"{v:.1f} at {c.settings['breadth']}" for v, c in zip(values, line, strict=True)
    )
    change = values[-1] - values[0]
    spread = max((cell.std("test") or 0.0) * 100 for cell in line)
    cost = _ratio(line[-1], line[0])
    return [
        f"{name}Depth {line[0].settings['depth']}: test {title(line[0])} by breadth is {listed}; "
        f"{_trend(values)}, {change:+.1f} points from first to last, "
        f"{_beside(change, spread, line)}. "
        f"An epoch at breadth {line[-1].settings['breadth']} takes {cost:.1f} times as long "
        f"as at breadth {line[0].settings['breadth']}."
    ]


def _about_depth(column: list[Cell], name: str) -> list[str]:
    if len(column) < 2:
        return []
    change = percent(column[-1]) - percent(column[0])
    spread = max((cell.std("test") or 0.0) * 100 for cell in column)
    depths = [cell.settings["depth"] for cell in column]
    return [
        f"{name}Breadth {column[0].settings['breadth']}: depth {depths[-1]} against depth "
        f"{depths[0]} is {change:+.1f} points, {_beside(change, spread, column)}."
    ]


def _about_best(group: list[Cell], name: str, reference: Sequence[Row]) -> list[str]:
    best = max(group, key=lambda cell: cell.mean("val") or 0.0)
    breadth, depth = best.settings["breadth"], best.settings["depth"]
    said = [
        f"{name}Chosen by validation: breadth {breadth}, depth {depth}, "
        f"test {title(best)} {percent(best):.1f}."
    ]
    hops = (reach_of(breadth) or 0) * best.settings["layers"]
    within = [row for row in reference if row["radius"] <= hops]
    if within:
        row = within[-1]
        gap = percent(best) - 100 * row["mean"]
        said.append(
            f"{name}It sees {hops} hops far ({best.settings['layers']} x {breadth}). "
            "Belief propagation, which uses no label and sees 1, 3, 5, ... hops far, reaches "
            f"{100 * row['mean']:.1f} within {row['radius']}; the model is "
            f"{abs(gap):.1f} points {'above' if gap > 0 else 'below'} that."
        )
    return said


def _trend(values: Sequence[float]) -> str:
    steps = [b - a for a, b in pairwise(values)]
    if all(step > 0 for step in steps):
        return "it rises at every step"
    if all(step < 0 for step in steps):
        return "it falls at every step"
    return "it does not move in one direction"


def _beside(change: float, spread: float, compared: Sequence[Cell]) -> str:
    if any(len(cell.rows) < 2 for cell in compared):
        return "with one seed, so without a spread to compare it with"
    relation = "more" if abs(change) > spread else "no more"
    seeds = min(len(cell.rows) for cell in compared)
    caution = f"; {seeds} seeds are few to judge by" if seeds < _FEW_SEEDS else ""
    return f"{relation} than the spread over seeds ({spread:.1f}{caution})"


def _ratio(cell: Cell, base: Cell) -> float:
    return (cell.mean("seconds_per_epoch") or 0.0) / (base.mean("seconds_per_epoch") or 1.0)


def _group_name(group: list[Cell], found: list[Cell]) -> str:
    names = [name for name in varying(found) if name not in ("breadth", "depth")]
    text = ", ".join(f"{group[0].settings[name]}" for name in names)
    return f"{text}: " if text else ""

"""Minesweeper, ten masks: what is published, and what is learnt by breadth.

All is one network, `gattn.nn.RecurrentGNN`, trained on balls of the board, with counts hidden and
filled in. The settings were chosen on the validation nodes of the first mask.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gattn.compare.plot import reach
from gattn.compare.published.line import Line, Study
from gattn.compare.run import append_row, attainable_rows
from gattn.compare.trial import Row, Trial

SETTING: Mapping[str, Any] = {
    "dataset": "minesweeper-file",
    "model": "recurrent",
    "epochs": 80,
    "steps": 32,
    "region": 12,
    "halo": 3,
    "scheduler": "cosine",
    "warmup": 5,
    "clip": 1.0,
    "hide": 0.4,
    "fill": 0.3,
}
"""What all lines share."""

ROUNDS = (1, 2, 3, 4, 5, 6, 7, 8)
"""Of belief propagation, in the figure; t rounds see 2 t - 1 hops."""

_TUNED = "tuned GAT, Luo et al., 2024"
_BELIEFS = {1: (3, 91.99, 0.43), 2: (7, 95.77, 0.22), 3: (11, 97.19, 0.17)}
"""By breadth, for four rounds: radius, mean and standard deviation of belief propagation."""


def _deep(breadth: int, rounds: int, seeds: int = 10, **more: Any) -> Line:
    name = f"breadth {breadth}, {rounds} rounds"
    of_line = {"breadth": breadth, "layers": rounds, **more}
    return Line(name, {**SETTING, **of_line}, 97.73, 0.73, _TUNED, 98.0, seeds)


def _short(breadth: int) -> Line:
    radius, mean, spread = _BELIEFS[breadth]
    of_line = {"breadth": breadth, "layers": 4, "weight_decay": 0.3, "epochs": 50}
    source = f"belief propagation, {radius} hops"
    name = f"breadth {breadth}, 4 rounds"
    return Line(name, {**SETTING, **of_line}, mean, spread, source, mean, seeds=3)


def reference(rows: Sequence[Row], folder: Path, root: Path | None) -> None:
    """Write what belief propagation reaches by radius on the masks of the rows.

    Args:
        rows: of the study.
        folder: of the study.
        root: of the datasets.
    """
    path = folder / "belief_propagation.jsonl"
    path.unlink(missing_ok=True)
    trial = Trial.of("minesweeper-file", "recurrent")
    for row in attainable_rows(rows, trial, root, ROUNDS):
        append_row(path, row)


def figure(rows: Sequence[Row], folder: Path) -> None:
    """Draw the curve by breadth beside that of belief propagation, where both are there."""
    path = folder / "belief_propagation.jsonl"
    if rows and path.exists():
        beliefs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        reach(rows, beliefs, folder / "reach.png")


MINESWEEPER = Study(
    asks="Does attention over k-hop balls, applied over and over, tell mines from none as well as "
    "the best published attention?",
    lines=(_deep(1, 16),),
)

BREADTH = Study(
    asks="Four rounds: is more told by looking farther in each, and how much is there to tell?",
    lines=tuple(_short(breadth) for breadth in _BELIEFS),
    besides=reference,
    draw=figure,
)

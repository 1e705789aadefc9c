"""The filtered chameleon graph, ten masks: the tuned classic, and a search among its like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gattn.compare.published.line import Line, Search, Study

_SPACE: Mapping[str, tuple[Any, ...]] = {
    "breadth": (1, 2),
    "depth": (1, 2),
    "layers": (1, 2),
    "heads": (1, 4),
    "dropout": (0.5, 0.7),
    "norm": ("batch", "layer"),
    "residual": (True, False),
    "lr": (0.003, 0.01),
    "weight_decay": (1e-3, 5e-3),
}
_TUNED = {
    "dataset": "chameleon-filtered",
    "hidden": 64,
    "pre_linear": True,
    "epochs": 150,
    "patience": 40,
}

CHAMELEON = Study(
    asks="Does a broad layer, chosen by validation, reach the tuned GAT?",
    lines=(
        Line(
            "best by validation: stack over balls",
            {**_TUNED, "model": "stack"},
            44.1,
            4.2,
            "tuned GAT, Luo et al., 2024; GAT 39.2, Platonov et al., 2023",
            44.0,
            seeds=10,
            search=Search(_SPACE, candidates=4, seeds=5),
        ),
    ),
)

"""Cora and CiteSeer, public split: GAT as its authors run it, and the best by validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gattn.compare.published.line import Line, Search, Study

_SPACE: Mapping[str, tuple[Any, ...]] = {
    "breadth": (6, 10, 16),
    "restart": (0.0, 0.1, 0.2),
    "dropout": (0.5, 0.65, 0.8),
    "attention_dropout": (0.0, 0.2, 0.5),
    "weight_decay": (5e-3, 1e-2, 2e-2),
}
_DAGNN = {
    "breadth": 10,
    "restart": 0.0,
    "dropout": 0.8,
    "attention_dropout": 0.0,
    "weight_decay": 5e-3,
}
_PUBLISHED = {"cora": _DAGNN, "citeseer": {**_DAGNN, "dropout": 0.5, "weight_decay": 2e-2}}
"""The settings of DAGNN, which are a candidate."""


def _gat(dataset: str, published: float) -> Line:
    return Line(
        "GAT, the paper's network and stopping",
        {"dataset": dataset, "model": "paper-gat"},
        published,
        0.7,
        "Veličković et al., 2018",
        published - 0.7,
        seeds=30,
    )


def _best(dataset: str, published: float, spread: float, least: float) -> Line:
    return Line(
        "best by validation: rounds behind a network",
        {"dataset": dataset, "model": "decoupled-degree", "epochs": 300},
        published,
        spread,
        "MAGNA, Wang et al., 2021",
        least,
        seeds=30,
        search=Search(_SPACE, candidates=4, seeds=2, also=(_PUBLISHED[dataset],)),
    )


CITATIONS = Study(
    asks="Do GAT, and the best setting that validation finds, reach what is published on the "
    "public split?",
    lines=(
        _gat("cora", 83.0),
        _gat("citeseer", 72.5),
        _best("citeseer", 73.7, 0.5, 73.0),
        _best("cora", 85.4, 0.6, 84.3),
    ),
)

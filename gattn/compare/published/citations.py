"""Cora and CiteSeer, public split."""

from __future__ import annotations

from gattn.compare.published.line import Line, Study

_GAT = "Veličković et al., 2018"


def _gat(dataset: str, published: float) -> Line:
    arguments = {"dataset": dataset, "model": "gat"}
    return Line("GAT", arguments, published, 0.7, _GAT, published - 0.7, seeds=30)


CITATIONS = Study(
    asks="Do the classic layers, and the best setting that validation finds, reach what is "
    "published on the public split?",
    lines=(_gat("cora", 83.0), _gat("citeseer", 72.5)),
)

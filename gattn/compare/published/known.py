"""Tasks of known answer: trees, dictionaries and shells, where 100 % is to be had.

What each part of a layer is needed for is asked in `gattn.compare.studies`, with few trees and few
epochs; here is one setting for each task that has what is needed, with enough of both.
"""

from __future__ import annotations

from typing import Any

from gattn.compare.published.line import Line, Study

_COMMON: dict[str, Any] = {"model": "layer", "scheduler": "cosine"}
_TREES = {2: 96, 3: 640, 4: 480, 5: 480, 6: 320}
"""Trees by depth; at depth 2 there are no more."""
_GAT_ON_TREES = {2: 100.0, 3: 100.0, 4: 100.0, 5: 41.0, 6: 25.0}
_TREE_SEEDS = {2: 5, 3: 3, 4: 3, 5: 2, 6: 2}


def _tree(depth: int) -> Line:
    arguments = {
        **_COMMON,
        "dataset": "tree-neighbors-match",
        "options": (("depth", depth), ("num_graphs", _TREES[depth])),
        "breadth": depth,
        "score": "scaled_dot",
        "heads": 4,
        "hidden": 32,
        "epochs": 600 if depth == 2 else 200,
        "patience": 40 if depth == 2 else 80,
    }
    return Line(
        f"depth {depth}: one layer of breadth {depth}, scaled_dot, {_TREES[depth]} trees",
        arguments,
        _GAT_ON_TREES[depth],
        None,
        "stack of GAT, Alon & Yahav, 2021",
        100.0,
        seeds=_TREE_SEEDS[depth],
        result="val",
    )


TREE = Study(
    asks="Does one layer that looks as far as the leaves fit the trees that a stack of one-hop "
    "layers cannot?",
    lines=tuple(_tree(depth) for depth in _TREES),
    beside={"test": "accuracy on other trees"},
)


def _dictionary(name: str, score: str, heads: int, **arguments: Any) -> Line:
    return Line(
        name,
        {
            "model": "layer",
            "dataset": "dictionary-lookup",
            "score": score,
            "heads": heads,
            "dropout": 0.2,
            "patience": 150,
            **arguments,
        },
        100.0,
        None,
        "GATv2, Brody et al., 2022",
        100.0,
        seeds=3,
    )


DICTIONARY = Study(
    asks="Does a score that ranks anew for every query find every key in combinations never seen?",
    lines=(
        _dictionary("scaled_dot, four heads", "scaled_dot", 4, epochs=300),
        _dictionary("gatv2, four heads", "gatv2", 4, epochs=600, scheduler="cosine"),
    ),
)


def _shell(name: str, dataset: str, **arguments: Any) -> Line:
    fields = {**_COMMON, "dataset": dataset, "monitor": "loss", **arguments}
    return Line(name, fields, None, None, "", 100.0, seeds=2)


SHELL = Study(
    asks="Does a layer that has what a shell task needs get all of it right?",
    lines=(
        _shell(
            "majority of the second ring, hop bias",
            "shell-majority",
            options=(("num_nodes", 8000),),
            breadth=2,
            epochs=300,
        ),
        _shell(
            "the wanted key within three hops, scaled_dot",
            "keyed-shell-lookup",
            options=(("num_keys", 8), ("num_nodes", 12000)),
            breadth=3,
            hidden=32,
            score="scaled_dot",
            epochs=150,
        ),
        _shell(
            "majority of a ring of each node's own, level hop",
            "shell-majority",
            options=(("num_hops", 3), ("num_nodes", 8000), ("varied", True)),
            breadth=3,
            depth=2,
            epochs=300,
        ),
    ),
)

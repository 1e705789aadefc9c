"""The studies of `gattn.compare.known`: what is asked of which task, and who is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gattn.compare.breadth import reach_of
from gattn.compare.cells import Cell, cells
from gattn.compare.run import grid
from gattn.compare.trial import Row, Trial, load_task
from gattn.data import attainable_accuracy

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One cell of a study's table.

    Args:
        line: the name of its line.
        column: the name of its column, "" if there is one only.
        arguments: of `grid`, beside the study's.
    """

    line: str
    column: str
    arguments: Arguments = field(repr=False)


@dataclass(frozen=True)
class Study:
    """A question to a task whose answer is known.

    Args:
        asks: the question.
        expected: the answer, before anything was run.
        common: arguments of `grid` that all cases share.
        cases: line by line.
        shown: results of the rows that are shown, with what they are here; the first is drawn.
        attainable: whether `gattn.data.attainable_accuracy` tells what a column can reach.
    """

    asks: str
    expected: str
    common: Arguments
    cases: tuple[Case, ...]
    shown: Mapping[str, str] = field(default_factory=lambda: {"test": "test"})
    attainable: bool = False

    def trials(self, seeds: int, first_seed: int = 0) -> dict[tuple[str, str], list[Trial]]:
        """Return the trials by line and column, `seeds` of each."""
        several = {"seeds": seeds, "first_seed": first_seed}
        return {
            (case.line, case.column): grid(**{**self.common, **case.arguments, **several})
            for case in self.cases
        }

    def known(self) -> dict[str, float]:
        """Return by column the accuracy of whoever sees so many hops, where that is known."""
        if not self.attainable:
            return {}
        trials = {column: found[0] for (_, column), found in self.trials(1).items()}
        task = load_task(next(iter(trials.values())))
        return {
            column: attainable_accuracy(task, reach_of(trial.breadth) or 0)
            for column, trial in trials.items()
        }

    def rows(self, rows: Iterable[Row]) -> dict[tuple[str, str], Cell | None]:
        """Return what came out, by line and column; None where there is no row.

        Args:
            rows: of `read_rows`, of any study; of rows with one key the last counts.
        """
        latest = {row["key"]: row for row in rows}
        seeds = 1 + max((row["seed"] for row in latest.values()), default=0)
        found = {}
        for place, trials in self.trials(seeds).items():
            mine = [latest[trial.key()] for trial in trials if trial.key() in latest]
            found[place] = cells(mine)[0] if mine else None
        return found


_SCORES = ("gat", "gatv2", "scaled_dot")
_LAYER: Arguments = {"model": ["layer"]}


def _by_breadth(line: str, breadths: Iterable[int], **arguments: Any) -> list[Case]:
    return [Case(line, f"breadth {b}", {"breadth": [b], **arguments}) for b in breadths]


_DICTIONARY = Study(
    asks="Does a score rank keys for every query anew? Every target of a dictionary needs another "
    "one of the same ten sources.",
    expected="gat ranks the keys alike for every query, and with one head cannot fit the training "
    "graphs (Brody et al., 2022); gatv2 and scaled_dot reach 100 % on unseen combinations.",
    common={
        **_LAYER,
        "dataset": ["dictionary-lookup"],
        "dropout": 0.2,
        "epochs": 250,
        "patience": 100,
    },
    cases=tuple(
        Case(score, column, {"score": [score], "heads": heads})
        for score in _SCORES
        for column, heads in (("one head", 1), ("four heads", 4))
    ),
)

TREES = {2: 96, 3: 640, 4: 480}
"""Trees by depth, divisible by their leaves. At depth 2 there are no more."""

_STACK: Arguments = {"breadth": [1], "dropout": 0.0, "lr": 0.005}


def _on_trees(line: str, **arguments: Any) -> list[Case]:
    """One model on trees of each depth: one layer as broad as they are deep, or a stack."""
    found = []
    for depth, number in TREES.items():
        shape = {"breadth": [depth]} if arguments["model"] == ["layer"] else {"layers": depth + 1}
        options = {"options": (("depth", depth), ("num_graphs", number))}
        epochs = {"epochs": 600 if depth == 2 else 160}
        found.append(Case(line, f"depth {depth}", {**arguments, **shape, **options, **epochs}))
    return found


_TREE = Study(
    asks="Can the root of a tree find a leaf by its key? A stack of layers that look one hop far "
    "has to squeeze all leaves through every node on the way; a layer that looks as far as "
    "the leaves need not.",
    expected="One layer whose score compares keys (gatv2, scaled_dot) fits the training trees at "
    "every depth, and finds the key in other trees, too; stacks lose ground as the trees grow "
    "(published for GAT, after far longer training: 100 % to depth 4, 40 % at depth 5).",
    common={"dataset": ["tree-neighbors-match"], "heads": 4, "patience": 100},
    cases=(
        *(
            case
            for score in _SCORES
            for case in _on_trees(f"one layer, {score}", **_LAYER, score=[score], hidden=32)
        ),
        *_on_trees("one layer, scaled_dot, one head", **_LAYER, hidden=32, heads=1),
        *_on_trees("stack of gat", **_STACK, model=["gat"], hidden=8, weight_decay=0.0),
        *_on_trees("stack of attention", **_STACK, model=["attention"], hidden=32),
    ),
    shown={"val": "training", "test": "test"},
)

_SHELL = Study(
    asks="Is the level hop needed to count the nodes at exactly two hops, or is a hop bias enough?",
    expected="A layer without distances cannot tell the second ring from the first, and one of "
    "breadth 1 does not see it; a hop bias can switch the other rings off, and then the "
    "level has nothing to add.",
    common={"dataset": ["shell-majority"], "epochs": 300, "patience": 100},
    cases=(
        *_by_breadth("no distances", (1, 2), model=["layer-blind"]),
        *_by_breadth("hop bias (depth 1)", (1, 2), model=["layer"]),
        *_by_breadth("level hop (depth 2)", (1, 2), model=["layer"], depth=[2]),
    ),
)

_VARIED = Study(
    asks="Is the level hop needed where every node has a distance of its own that matters, one, "
    "two or three hops?",
    expected="A hop bias is the same for all nodes, and cannot choose; the level scores the rings "
    "by the query, and can.",
    common={
        **_LAYER,
        "dataset": ["shell-majority"],
        "options": (("num_hops", 3), ("varied", True)),
        "breadth": [3],
        "epochs": 300,
        "patience": 100,
    },
    cases=(
        Case("hop bias (depth 1)", "", {"depth": [1]}),
        Case("level hop (depth 2)", "", {"depth": [2]}),
    ),
)

_KEYED = Study(
    asks="Does a layer use every hop that it is given? The wanted key is one, two or three hops "
    "away, so what can be known at each breadth is known.",
    expected="gatv2 and scaled_dot come close to what is attainable at each breadth; gat does not.",
    common={
        **_LAYER,
        "dataset": ["keyed-shell-lookup"],
        "options": (("num_keys", 8), ("num_nodes", 5000)),
        "hidden": 32,
        "epochs": 150,
        "patience": 60,
    },
    cases=tuple(case for score in _SCORES for case in _by_breadth(score, (1, 2, 3), score=[score])),
    attainable=True,
)

_BOUNDED = Study(
    asks="Which normaliser finds one node among 22 where scores are bounded? A cosine lies between "
    "-1 and 1, so a softmax can prefer a pair to another by a factor of 7 at the most.",
    expected="Sparse normalisers and top4 leave most pairs out, and win; softmax mixes all.",
    common={
        **_LAYER,
        "dataset": ["keyed-shell-lookup"],
        "options": (("num_keys", 8), ("num_nodes", 5000)),
        "score": ["cosine"],
        "breadth": [3],
        "hidden": 32,
        "epochs": 150,
        "patience": 60,
    },
    cases=tuple(
        Case(name, "", {"normalizer": [name]})
        for name in ("softmax", "entmax15", "sparsemax", "top4", "hard")
    ),
)

_MAX = Study(
    asks="Which normaliser stays sharp among 128 sources after training among 16? The value of the "
    "source with the largest priority is wanted.",
    expected="softmax gets blunter the more sources there are; top4 and the sparse normalisers "
    "lose less, and hard loses nothing if it can be trained at all.",
    common={
        **_LAYER,
        "dataset": ["max-retrieval"],
        "options": (("num_targets", 400), ("test_degree", 128)),
        "hidden": 32,
        "epochs": 100,
        "patience": 40,
    },
    cases=tuple(
        Case(name, "", {"normalizer": [name]})
        for name in ("softmax", "entmax15", "sparsemax", "top4", "hard", "sigmoid")
    ),
    shown={"test": "128 sources", "val": "16 sources"},
)

_INNER = Study(
    asks="Does the level feature help where a node has to choose among its own features before "
    "others attend to it? Six slots, one head, and a pointer to one of them.",
    expected="Depth 3 (with feature) is better than depths 1 and 2, and than a layer of depth 1 "
    "that is made as large. The linear layer and ReLU before the attention help depth 1, too.",
    common={
        **_LAYER,
        "dataset": ["inner-lookup"],
        "options": (("num_nodes", 6000), ("num_slots", 6)),
        "hidden": 16,
        "lr": 0.02,
        "epochs": 150,
        "patience": 60,
    },
    cases=(
        *(Case(f"depth {depth}", "", {"depth": [depth]}) for depth in (1, 2, 3)),
        Case("depth 1, as many parameters", "", {"hidden": 40}),
    ),
)

_CLUSTER = Study(
    asks="Does the level cluster help where the answer is a cluster's and no node's? A captain "
    "holds the wanted tag; the most frequent token of its cluster is asked for.",
    expected="Depth 4 (with cluster) is better than depths 1 to 3 at any breadth: without clusters "
    "a layer can find the captain, at breadth 4, and hears only its token.",
    common={
        **_LAYER,
        "dataset": ["cluster-lookup"],
        "options": (
            ("cluster_size", 5),
            ("num_clusters", 6),
            ("num_graphs", 120),
            ("num_tags", 6),
            ("num_tokens", 3),
        ),
        "hidden": 32,
        "epochs": 150,
        "patience": 60,
    },
    cases=(
        *(
            case
            for depth in (1, 2, 3)
            for case in _by_breadth(f"depth {depth}", (1, 2, 4), depth=[depth])
        ),
        *_by_breadth("depth 4", (1, 2), depth=[4]),
    ),
)

STUDIES: dict[str, Study] = {
    "dictionary-lookup": _DICTIONARY,
    "tree-neighbors-match": _TREE,
    "shell-majority": _SHELL,
    "varied-shell-majority": _VARIED,
    "keyed-shell-lookup": _KEYED,
    "bounded-score": _BOUNDED,
    "max-retrieval": _MAX,
    "inner-lookup": _INNER,
    "cluster-lookup": _CLUSTER,
}
"""The studies by name, which is that of their task where it has one study only."""

"""From what a file says, and the options of the caller, to a task."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from gattn import _check as check
from gattn.data import graphs
from gattn.data.graphs import at_least, rows_normalized
from gattn.data.own.graph import Masks, OwnGraph, listed, refused
from gattn.data.own.labels import classes
from gattn.data.own.splits import checked, drawn
from gattn.data.task import Task
from gattn.metrics import BETTER_MORE


@dataclass(frozen=True)
class OwnOptions:
    """How a file of one's own is read.

    Args:
        label: the key, column or attribute of the classes; None takes a usual name.
        nodes: the table of nodes that belongs to an edge list, relative to it.
        split: the column of train, val and test; None for `split`, if there is one.
        drop: columns or attributes that are no features, separated by commas.
        undirected: True keeps both directions of every edge, False the one that is there; None
            as the format means it.
        metric: a name of `gattn.metrics.METRICS`; `roc_auc` needs two classes.
        normalize_features: whether to divide every node's features by their sum.
        standardize_features: whether to bring every feature to mean 0 and deviation 1.
        train: share of every class that is trained on, where splits are drawn; None is 0.6.
        val: share that chooses the epoch; None is 0.2. The rest is for testing.
        num_splits: how many splits are drawn; None is 10.
        split_seed: of the draw; None is 0. Any of these four makes splits be drawn, even if the
            file has some.

    Raises:
        TypeError: an option has the wrong type.
        ValueError: an option is out of its range.
    """

    label: str | None = None
    nodes: str | None = None
    split: str | None = None
    drop: str | None = None
    undirected: bool | None = None
    metric: str = "accuracy"
    normalize_features: bool = False
    standardize_features: bool = False
    train: float | None = None
    val: float | None = None
    num_splits: int | None = None
    split_seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("label", "nodes", "split", "drop"):
            _check_text(name, getattr(self, name))
        for name in ("undirected", "normalize_features", "standardize_features"):
            _check_truth(name, getattr(self, name), name == "undirected")
        check.one_of("metric", self.metric, BETTER_MORE)
        if self.normalize_features and self.standardize_features:
            raise ValueError("standardize_features: found True beside normalize_features")
        train, val = self.shares
        if min(train, val) <= 0 or train + val >= 1:
            expected = "both above 0, and together below 1"
            raise ValueError(f"train, val: found {train} and {val}, expected {expected}")
        at_least("num_splits", 10 if self.num_splits is None else self.num_splits, 1)
        at_least("split_seed", self.split_seed or 0, 0)

    @property
    def shares(self) -> tuple[float, float]:
        """The shares of training and validation."""
        train = 0.6 if self.train is None else check.fraction("train", self.train)
        return train, 0.2 if self.val is None else check.fraction("val", self.val)

    @property
    def draws(self) -> bool:
        """Whether splits are to be drawn although the file may have some."""
        given = (self.train, self.val, self.num_splits, self.split_seed)
        return any(value is not None for value in given)


OPTIONS = tuple(field.name for field in fields(OwnOptions))
"""The names of all options."""


def _check_text(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name}: found {value!r}, expected text")


def _check_truth(name: str, value: object, or_none: bool) -> None:
    if not isinstance(value, bool) and not (or_none and value is None):
        raise TypeError(f"{name}: found {value!r}, expected True or False")


def task_of(name: str, graph: OwnGraph, options: OwnOptions) -> Task:
    """The task of a graph.

    Args:
        name: of the task.
        graph: what its file says.
        options: of the caller.

    Raises:
        DatasetError: if labels, splits or features cannot be meant.
    """
    y, labelled, names = classes(graph)
    if options.metric == "roc_auc" and len(names) != 2:
        raise refused(f"{graph.where}: {graph.label}", f"{len(names)} classes", "2 for roc_auc")
    edge_index, notes = _directed(graph, options.undirected)
    masks, said = _splits(graph, y, labelled, options)
    x, more = _features(graph, edge_index, options)
    return Task(
        name=name,
        x=x,
        edge_index=edge_index,
        y=y,
        train_mask=masks[0],
        val_mask=masks[1],
        test_mask=masks[2],
        metric=options.metric,
        num_classes=len(names),
        labelled=None if bool(labelled.all()) else labelled,
        notes=(*graph.notes, *_about_labels(graph, labelled, names), *notes, *more, *said),
    )


def _about_labels(graph: OwnGraph, labelled: Tensor, names: list[Any]) -> list[str]:
    without = int((~labelled).sum())
    notes = [f"{without:,} nodes have no label and are in no split"] if without else []
    if names != list(range(len(names))):
        notes.append(f"classes of {graph.label}, in this order: {listed(names)}")
    return notes


def _directed(graph: OwnGraph, wanted: bool | None) -> tuple[Tensor, list[str]]:
    """The edges as they are to be, and what there is to say about them."""
    both = graph.undirected if wanted is None else wanted
    if both:
        return graphs.undirected(graph.edge_index, graph.num_nodes), ["edges in both directions"]
    source, target = graph.edge_index
    pairs = torch.unique(source * graph.num_nodes + target)
    if len(pairs) == len(source):
        return graph.edge_index, ["edges as they are, from source to target"]
    once = torch.stack([pairs // graph.num_nodes, pairs % graph.num_nodes])
    twice = f"{len(source) - len(pairs):,} repeated edges are left out"
    return once, ["edges as they are, from source to target", twice]


def _splits(
    graph: OwnGraph, y: Tensor, labelled: Tensor, options: OwnOptions
) -> tuple[Masks, list[str]]:
    if graph.masks is not None and not options.draws:
        return checked(graph, graph.masks, labelled)
    splits, seed = options.num_splits or 10, options.split_seed or 0
    train, val = options.shares
    masks, _ = checked(graph, drawn(y, labelled, (train, val), splits, seed), labelled)
    rest = 1 - train - val
    shares = f"{train:.0%} train, {val:.0%} val, {rest:.0%} test of every class"
    return masks, [f"{splits} splits drawn with the seed {seed}: {shares}"]


def _features(graph: OwnGraph, edge_index: Tensor, options: OwnOptions) -> tuple[Tensor, list[str]]:
    x, notes = graph.x, []
    if x is None:
        x = degree_features(edge_index, graph.num_nodes)
        notes = ["no features: nodes have their degree, in classes 0, 1, 2, 3 to 4, 5 to 8, ..."]
    if options.normalize_features:
        if bool((x < 0).any()):
            raise refused(graph.where, "features below 0", "none, for normalize_features")
        x = rows_normalized(x)
    if options.standardize_features:
        x = _standardized(x)
    return x, notes


def _standardized(x: Tensor) -> Tensor:
    """Every column with mean 0 and standard deviation 1; a constant column becomes 0."""
    wide = x.double()
    centred = wide - wide.mean(dim=0)
    deviation = centred.square().mean(dim=0).sqrt()
    return (centred / torch.where(deviation > 0, deviation, 1.0)).float()


def degree_features(edge_index: Tensor, num_nodes: int) -> Tensor:
    """One-hot classes of the number of edges that arrive: 0, 1, 2, 3 to 4, 5 to 8, and so on.

    Args:
        edge_index: `[2, E]`.
        num_nodes: N.

    Returns:
        `[N, F]` float32; F is as large as the largest degree needs.
    """
    degree = torch.bincount(edge_index[1], minlength=num_nodes)
    level = torch.where(degree > 0, (degree.clamp(min=1).double().log2().ceil() + 1), 0.0).long()
    return torch.nn.functional.one_hot(level).float()

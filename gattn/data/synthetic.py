"""Generated tasks: no file, no network, and an answer that is known."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch
from torch import Tensor

from gattn.data.graphs import at_least, king_grid, stratified_masks, undirected
from gattn.data.parts import HALVES, neighbors_of_regular, one_hots, random_regular, shells
from gattn.data.task import Task

MINE_RATE = 0.2
"""The share of cells with a mine."""

MAX_COUNT = 5
"""The largest count that the features tell apart: 5 stands for 5 or more."""


def minesweeper(size: int = 100, *, seed: int = 0, num_splits: int = 10) -> Task:
    """Finds the mines of a half-revealed board, by the recipe of Platonov et al. (2023).

    Cells of a size x size grid touch their up to 8 neighbours. A fifth of the cells, to rounding,
    hold a mine (class 1). Half of the cells, rounded down, are unknown, chosen independently of the
    mines; the others reveal min(c, 5), c being the number of mines among their neighbours. Features
    are the columns [unknown, count = 0, ..., count = 5]. Splits are 50/25/25 within each class; the
    metric is ROC AUC. The paper: arXiv:2302.11640.

    Args:
        size: rows and columns of the board; the published one has 100.
        seed: of mines, unknown cells and splits.
        num_splits: the number of splits; 10 are published.

    Raises:
        TypeError: if an argument is no integer.
        ValueError: if `size` is below 5 (too few mines to split), or another argument is too small.
    """
    at_least("size", size, 5)
    at_least("seed", seed, 0)
    at_least("num_splits", num_splits, 1)
    rng, cells = np.random.default_rng(seed), size * size
    edge_index = king_grid(size)
    y = _chosen(rng, cells, round(MINE_RATE * cells)).long()
    x = _revealed(y, edge_index, unknown=_chosen(rng, cells, cells // 2))
    train, val, test = stratified_masks(y, HALVES, num_splits, rng)
    return Task("minesweeper", x, edge_index, y, train, val, test, "roc_auc", num_classes=2)


def shell_majority(
    num_nodes: int = 2000,
    num_hops: int = 2,
    num_tokens: int = 4,
    *,
    degree: int = 4,
    graph: str = "regular",
    varied: bool = False,
    seed: int = 0,
    num_splits: int = 10,
) -> Task:
    """Tells each node's most frequent token among the nodes at exactly `num_hops` hops.

    Tokens are drawn uniformly and independently, and are the (one-hot) features, so nothing nearer
    or farther than `num_hops` helps. Ties go to the smallest token. Splits are 50/25/25 within
    each class.

    Args:
        num_nodes: N.
        num_hops: the distance that matters; every node must have a node there.
        num_tokens: the number of tokens, which are the classes too.
        degree: neighbours of every node.
        graph: "regular", a random regular graph, or "ring", a circle where every node touches the
            degree / 2 nearest on each side.
        varied: every node has a distance of its own that matters, uniform in `1 .. num_hops`;
            it is a one-hot feature beside the token.
        seed: of graph, tokens, distances and splits.
        num_splits: the number of splits.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if a number is too small, the graph does not exist, or a node has no node at
            that distance.
    """
    at_least("num_nodes", num_nodes, 3)
    at_least("num_hops", num_hops, 1)
    at_least("num_tokens", num_tokens, 2)
    at_least("degree", degree, 2)
    at_least("seed", seed, 0)
    at_least("num_splits", num_splits, 1)
    rng = np.random.default_rng(seed)
    edge_index = _circle_or_regular(graph, num_nodes, degree, seed)
    token = torch.from_numpy(rng.integers(num_tokens, size=num_nodes))
    x = torch.nn.functional.one_hot(token, num_tokens).float()
    distance = rng.integers(1, num_hops + 1, num_nodes) if varied else None
    y = _majority(x, edge_index, num_hops, distance)
    if distance is not None:
        x = torch.cat([x, one_hots((distance - 1, num_hops))], dim=1)
    train, val, test = stratified_masks(y, HALVES, num_splits, rng)
    return Task("shell-majority", x, edge_index, y, train, val, test, "accuracy", num_tokens)


def far_heterophily(
    num_nodes: int = 2000,
    near: int = 1,
    far: int = 2,
    num_tokens: int = 4,
    *,
    degree: int = 4,
    seed: int = 0,
    num_splits: int = 10,
) -> Task:
    """Tells the token that is most in excess near each node, compared with farther away.

    Of every token the share among the nodes at exactly `far` hops is taken from the share among
    those at exactly `near` hops; the label is the token with the largest difference. So a token
    counts for itself in one shell and against itself in the other. Tokens are drawn uniformly and
    independently, and are the (one-hot) features. Ties go to the smallest token. Splits are
    50/25/25 within each class.

    Args:
        num_nodes: N.
        near: the distance that counts for a token; every node must have a node there.
        far: the distance that counts against it, likewise.
        num_tokens: the number of tokens, which are the classes too.
        degree: neighbours of every node.
        seed: of graph, tokens and splits.
        num_splits: the number of splits.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if a number is too small, the graph does not exist, a node has no node at one of
            the distances, or the two are equal.
    """
    at_least("num_nodes", num_nodes, 3)
    at_least("near", near, 0)
    at_least("far", far, 0)
    at_least("num_tokens", num_tokens, 2)
    at_least("degree", degree, 2)
    at_least("seed", seed, 0)
    at_least("num_splits", num_splits, 1)
    if near == far:
        raise ValueError(f"far: found {far}, expected another distance than near = {near}")
    rng = np.random.default_rng(seed)
    edge_index = random_regular(num_nodes, degree, seed)
    token = torch.from_numpy(rng.integers(num_tokens, size=num_nodes))
    x = torch.nn.functional.one_hot(token, num_tokens).float()
    pro, con = (_shell_counts(x, edge_index, hops) for hops in (near, far))
    # The difference of the shares, times both sizes: whole numbers, so that ties are ties.
    y = (pro * con.sum(1, keepdim=True) - con * pro.sum(1, keepdim=True)).argmax(dim=1)
    train, val, test = stratified_masks(y, HALVES, num_splits, rng)
    return Task("far-heterophily", x, edge_index, y, train, val, test, "accuracy", num_tokens)


def _chosen(rng: np.random.Generator, num_nodes: int, number: int) -> Tensor:
    """`[N]` bool with exactly `number` true, at random."""
    chosen = torch.zeros(num_nodes, dtype=torch.bool)
    chosen[torch.from_numpy(rng.permutation(num_nodes)[:number])] = True
    return chosen


def _revealed(y: Tensor, edge_index: Tensor, unknown: Tensor) -> Tensor:
    source, target = edge_index
    count = torch.zeros_like(y).index_add_(0, target, y[source]).clamp(max=MAX_COUNT)
    column = torch.where(unknown, 0, count + 1)
    return torch.nn.functional.one_hot(column, MAX_COUNT + 2).float()


def _circle_or_regular(graph: str, num_nodes: int, degree: int, seed: int) -> Tensor:
    if graph == "ring":
        return _circle(num_nodes, degree)
    if graph == "regular":
        return random_regular(num_nodes, degree, seed)
    raise ValueError(f"graph: found {graph!r}, expected 'regular' or 'ring'")


def _circle(num_nodes: int, degree: int) -> Tensor:
    if degree % 2 or degree >= num_nodes:
        wanted = f"an even number < num_nodes = {num_nodes} for a ring"
        raise ValueError(f"degree: found {degree}, expected {wanted}")
    node = torch.arange(num_nodes)
    steps = range(1, degree // 2 + 1)
    ends = [torch.stack([node, (node + step) % num_nodes]) for step in steps]
    return undirected(torch.cat(ends, dim=1), num_nodes)


def _majority(x: Tensor, edge_index: Tensor, num_hops: int, distance: np.ndarray | None) -> Tensor:
    """`[N]`: the most frequent token at `num_hops` hops, or at each node's own distance."""
    if distance is None:
        return _shell_counts(x, edge_index, num_hops).argmax(dim=1)
    counts = [_shell_counts(x, edge_index, hops) for hops in range(1, num_hops + 1)]
    return torch.stack(counts)[torch.from_numpy(distance) - 1, torch.arange(len(x))].argmax(dim=1)


def _shell_counts(x: Tensor, edge_index: Tensor, num_hops: int) -> Tensor:
    """`[N, F]`: the sum of `x` over the nodes at exactly `num_hops` hops in a regular graph."""
    outwards = shells(neighbors_of_regular(edge_index, len(x)))
    row, col = np.divmod(next(islice(outwards, num_hops, None)), len(x))
    empty = len(x) - len(np.unique(row))
    if empty:
        found = f"{num_hops} with {empty} nodes that have no node at that distance"
        raise ValueError(f"num_hops: found {found}, expected a distance that every node reaches")
    return torch.zeros_like(x).index_add_(0, torch.from_numpy(row), x[torch.from_numpy(col)])

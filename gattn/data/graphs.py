"""Undirected edge lists and stratified splits, shared by the loaders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Masks = tuple[Tensor, Tensor, Tensor]


def at_least(name: str, value: int, minimum: int) -> None:
    """Checks an integer argument.

    Raises:
        TypeError: if the value is no integer.
        ValueError: if the value is below the minimum.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: found {value!r}, expected an integer >= {minimum}")
    if value < minimum:
        raise ValueError(f"{name}: found {value}, expected an integer >= {minimum}")


def undirected(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Both directions of every edge, each once, sorted by source and then target.

    Args:
        edge_index: `[2, E]` int64.
        num_nodes: N.
    """
    source, target = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    pairs = torch.unique(source * num_nodes + target)
    return torch.stack([pairs // num_nodes, pairs % num_nodes])


def rows_normalized(x: Tensor) -> Tensor:
    """Every node's features divided by their sum, as PyG's NormalizeFeatures does it.

    Args:
        x: `[N, F]`, nothing negative; a sum below 1 counts as 1.
    """
    return x / x.sum(dim=1, keepdim=True).clamp(min=1)


def king_grid(size: int) -> Tensor:
    """Edges of a size x size grid where every cell touches its up to 8 neighbours.

    Args:
        size: rows and columns; the node in a row and column is size * row + column.

    Returns:
        `[2, E]` int64, both directions.
    """
    node = torch.arange(size * size).view(size, size)
    pairs = [
        (node[:, :-1], node[:, 1:]),
        (node[:-1], node[1:]),
        (node[:-1, :-1], node[1:, 1:]),
        (node[:-1, 1:], node[1:, :-1]),
    ]
    ends = [torch.stack([a.flatten(), b.flatten()]) for a, b in pairs]
    return undirected(torch.cat(ends, dim=1), size * size)


def stratified_masks(
    y: Tensor, fractions: Sequence[float], num_splits: int, rng: np.random.Generator
) -> Masks:
    """Random splits in which every class has the same fractions, to rounding.

    Args:
        y: `[N]` int64, the classes.
        fractions: of training and validation; the rest is for testing.
        num_splits: S.
        rng: the source of randomness.

    Returns:
        The masks (train, val, test), each `[N, S]` bool.
    """
    part = np.empty((len(y), num_splits), dtype=np.int64)
    classes = [np.flatnonzero(y.numpy() == label) for label in np.unique(y.numpy())]
    for split in range(num_splits):
        for members in classes:
            cuts = np.floor(np.cumsum(fractions) * len(members) + 0.5).astype(np.int64)
            order = rng.permutation(members)
            part[order, split] = np.searchsorted(cuts, np.arange(len(order)), side="right")
    train, val, test = (torch.from_numpy(part == index) for index in range(3))
    return train, val, test

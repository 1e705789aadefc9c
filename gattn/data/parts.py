"""What generated tasks are put together from: features, permutations, graphs, splits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from gattn.data.graphs import Masks, stratified_masks, undirected

HALVES = (0.5, 0.25)
"""Half of the nodes for training, a quarter for validation, the rest for testing."""


def one_hots(*parts: tuple[np.ndarray, int]) -> Tensor:
    """One-hot codes side by side.

    Args:
        *parts: pairs (index, width), index `[N]` below the width; -1 is a row of zeros.

    Returns:
        `[N, F]` float32, F being the sum of the widths.
    """
    codes = [torch.from_numpy(index)[:, None] == torch.arange(width) for index, width in parts]
    return torch.cat([code.float() for code in codes], dim=1)


def permutations(size: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """`[P, size]` int64: `number` different permutations at random, or all if there are fewer."""
    number = min(number, math.factorial(size))
    found = np.empty((0, size), dtype=np.int64)
    while len(found) < number:
        fresh = rng.permuted(np.tile(np.arange(size), (number, 1)), axis=1)
        found = np.unique(np.concatenate([found, fresh]), axis=0)
    return rng.permutation(found)[:number]


def disjoint_copies(edges: np.ndarray, num_nodes: int, number: int) -> Tensor:
    """Edges of `number` copies of a graph side by side: node n of copy c is c * num_nodes + n.

    Args:
        edges: `[2, E]` int64, of one copy.
        num_nodes: of one copy.
        number: C.

    Returns:
        `[2, C * E]` int64.
    """
    start = np.arange(number)[:, None] * num_nodes
    return torch.from_numpy((edges[:, None] + start).reshape(2, -1))


def random_regular(num_nodes: int, degree: int, seed: int) -> Tensor:
    """Edges of a random graph in which every node has `degree` neighbours, by networkx.

    Returns:
        `[2, E]` int64, both directions, sorted by source and then target.

    Raises:
        ValueError: if there is no such graph.
    """
    import networkx

    if num_nodes * degree % 2 or degree >= num_nodes:
        wanted = f"a number < num_nodes = {num_nodes} with an even product"
        raise ValueError(f"degree: found {degree}, expected {wanted}")
    edges = networkx.random_regular_graph(degree, num_nodes, seed=seed).edges
    return undirected(torch.tensor(list(edges)).t(), num_nodes)


def neighbors_of_regular(edge_index: Tensor, num_nodes: int) -> np.ndarray:
    """`[N, degree]` int64: every node's neighbours, of a regular graph sorted by source."""
    return edge_index[1].view(num_nodes, -1).numpy()


def shells(neighbors: np.ndarray) -> Iterator[np.ndarray]:
    """The pairs i * N + j with j at exactly 0, 1, 2, ... hops of i, sorted; it never ends.

    Args:
        neighbors: `[N, degree]` int64, of an undirected regular graph.
    """
    num_nodes = len(neighbors)
    nearer, shell = np.empty(0, np.int64), np.arange(num_nodes) * (num_nodes + 1)
    while True:
        yield shell
        row, col = np.divmod(shell, num_nodes)
        reached = np.unique(row[:, None] * num_nodes + neighbors[col])
        # A neighbour of a node at distance k is at distance k - 1, k or k + 1.
        seen = np.concatenate([nearer, shell])
        nearer, shell = shell, np.setdiff1d(reached, seen, assume_unique=True)


def masks_of(part: np.ndarray) -> Masks:
    """The masks (train, val, test), each `[N, S]` bool.

    Args:
        part: `[N, S]` int64: 0 for training, 1 for validation, 2 for testing, -1 for none of them.
    """
    train, val, test = (torch.from_numpy(part == index) for index in range(3))
    return train, val, test


def masks_among(
    nodes: Tensor,
    y: Tensor,
    fractions: Sequence[float],
    num_splits: int,
    rng: np.random.Generator,
) -> Masks:
    """Random splits of some of the nodes, stratified; the others are in no part.

    Args:
        nodes: `[M]` int64, the nodes to split.
        y: `[N]` int64, the classes.
        fractions: of training and validation; the rest is for testing.
        num_splits: S.
        rng: the source of randomness.

    Returns:
        The masks (train, val, test), each `[N, S]` bool.
    """
    masks = torch.zeros(3, len(y), num_splits, dtype=torch.bool)
    masks[:, nodes] = torch.stack(stratified_masks(y[nodes], fractions, num_splits, rng))
    train, val, test = masks
    return train, val, test


def no_part_empty(argument: str, found: int, masks: Masks) -> Masks:
    """The masks, checked.

    Raises:
        ValueError: if a part of a split is empty; it names the argument that is too small.
    """
    smallest = [int(mask.sum(dim=0).min()) for mask in masks]
    if 0 in smallest:
        sizes = "with {}, {} and {} nodes to train, validate and test on".format(*smallest)
        raise ValueError(f"{argument}: found {found} {sizes}, expected some in each")
    return masks

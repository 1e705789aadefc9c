"""A generated task at the root of a tree: what the leaves know has to come the whole way."""

from __future__ import annotations

import numpy as np
import torch

from gattn.data.graphs import at_least
from gattn.data.parts import disjoint_copies, masks_among, no_part_empty, one_hots, permutations
from gattn.data.task import Task

_TRAINING_AND_VALIDATION = (0.8, 0.0)


def tree_neighbors_match(depth: int = 3, num_graphs: int = 2000, *, seed: int = 0) -> Task:
    """Matches the root's key with a leaf's, by the recipe of Alon and Yahav (2021).

    Every graph is a full binary tree with L = 2^depth leaves, numbered depth first, and edges from
    child to parent only. Leaf j (from 0, left to right) holds key j + 1 and a value; the values of
    a tree are a permutation of 1..L. The root holds one of the keys, and its label is the value of
    the leaf that has this key. Features are the columns [key 0..L, value 0..L], 0 being none; the
    classes are 0..L as published, though 0 is no label. Every permutation comes in L trees, one for
    each key. In tree g, which has n = 2L - 1 nodes, the root is node gn.

    Only roots are in masks: 80 per cent of each class for training and 20 for testing, once. The
    published metric is the accuracy on the *training* trees (it asks whether a model can fit them,
    L values through one node), so `val_mask` is `train_mask`: what is reported as validation is the
    training accuracy. The paper: arXiv:2006.05205.

    Args:
        depth: of the trees; a layer of one hop has to be applied that many times.
        num_graphs: the number of trees, rounded down to L for each permutation; no more than
            L! permutations are made. Published are 8000 trees at depth 3 and 16,000 at depth 4.
        seed: of permutations and split.

    Raises:
        TypeError: if an argument is no integer.
        ValueError: if `depth` is below 2, `num_graphs` below 3L, or `seed` negative.
    """
    at_least("depth", depth, 2)
    leaves = 2**depth
    at_least("num_graphs", num_graphs, 3 * leaves)
    at_least("seed", seed, 0)
    rng = np.random.default_rng(seed)
    edges, leaf = _tree(depth)
    values = 1 + permutations(leaves, num_graphs // leaves, rng)
    keys = np.arange(1, leaves + 1)
    key, value, label = np.zeros((3, values.size, 2 * leaves - 1), dtype=np.int64)
    key[:, 0], key[:, leaf] = np.tile(keys, len(values)), keys
    value[:, leaf] = np.repeat(values, leaves, axis=0)
    label[:, 0] = values.ravel()
    x = one_hots((key.ravel(), leaves + 1), (value.ravel(), leaves + 1))
    y = torch.from_numpy(label.ravel())
    roots = torch.arange(0, len(y), 2 * leaves - 1)
    train, _, test = masks_among(roots, y, _TRAINING_AND_VALIDATION, 1, rng)
    no_part_empty("num_graphs", num_graphs, (train, train, test))
    edge_index = disjoint_copies(edges, 2 * leaves - 1, values.size)
    name, classes = "tree-neighbors-match", leaves + 1
    return Task(name, x, edge_index, y, train, train.clone(), test, "accuracy", classes)


def _tree(depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges from child to parent `[2, 2L - 2]`, and the leaves `[L]` from left to right."""
    level, edges = np.zeros(1, dtype=np.int64), []
    for below in range(depth, 0, -1):
        # The left child follows its parent, the right one the left one's 2^below - 1 nodes.
        children = np.stack([level + 1, level + 2**below], axis=1).ravel()
        edges.append(np.stack([children, np.repeat(level, 2)]))
        level = children
    return np.concatenate(edges, axis=1), level

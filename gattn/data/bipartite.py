"""Generated tasks in which targets choose among sources: by key, or by the largest number."""

from __future__ import annotations

import numpy as np
import torch

from gattn.data.graphs import at_least
from gattn.data.parts import disjoint_copies, masks_of, no_part_empty, one_hots, permutations
from gattn.data.task import Task

SEEN = 0.8
"""The share of a dictionary lookup's graphs that are for training, or somewhat fewer."""


def dictionary_lookup(size: int = 10, num_graphs: int = 500, *, seed: int = 0) -> Task:
    r"""Looks keys up in a dictionary, by the recipe of Brody, Alon and Yahav (2022).

    Every graph has k = `size` targets and k sources, with an edge from each source to each target.
    Target i holds key i and no value, source i holds key i and a value: the values of a graph are a
    permutation of 0..k-1. A target's label is the value of the source that has its key, so every
    target of a graph needs another source, which static attention cannot give it. Features are the
    columns [key (k), value (k), no value]. In graph g the targets are the nodes 2kg + i and the
    sources are 2kg + k + i.

    The one split is into seen and unseen combinations: of the $k^2$ pairs (key, value),
    $\lfloor 0.8^{1/k} k^2 \rfloor$ at random are allowed. Graphs of allowed pairs only are for
    training, 60 to 80 per cent of all; every other graph has a pair that training never shows, and
    they are in turn for validation and for testing (the paper has no validation). The paper:
    arXiv:2105.14491.

    Args:
        size: k, the number of keys and of values.
        num_graphs: the number of graphs, with different permutations; no more than k! are made.
        seed: of permutations and allowed pairs.

    Raises:
        TypeError: if an argument is no integer.
        ValueError: if an argument is too small, or a part would be empty.
    """
    at_least("size", size, 3)
    at_least("num_graphs", num_graphs, 3)
    at_least("seed", seed, 0)
    rng = np.random.default_rng(seed)
    value = permutations(size, num_graphs, rng)
    key = np.tile(np.arange(size), (len(value), 2)).ravel()
    before, after = ((0, 0), (size, 0)), ((0, 0), (0, size))
    shown = np.pad(value, before, constant_values=size).ravel()
    y = torch.from_numpy(np.pad(value, after).ravel())
    part = np.pad(np.tile(_combinations(value, rng), size), after, constant_values=-1)
    pair = np.arange(size * size)
    edges = disjoint_copies(np.stack([size + pair % size, pair // size]), 2 * size, len(value))
    x = one_hots((key, size), (shown, size + 1))
    masks = no_part_empty("num_graphs", num_graphs, masks_of(part.reshape(-1, 1)))
    return Task("dictionary-lookup", x, edges, y, *masks, "accuracy", size)


def max_retrieval(
    num_targets: int = 1000,
    num_values: int = 10,
    train_degree: int = 16,
    test_degree: int = 512,
    *,
    seed: int = 0,
) -> Task:
    """Tells the value of the source with the largest priority, among more sources than trained on.

    Every target has sources of its own, each with a priority, uniform in [0, 1), and a value,
    uniform too. The label is the value of the source of the largest priority (the last of them if
    several share it). Targets that are trained on and validated have `train_degree` sources, those
    tested `test_degree`: scores that make softmax sharp among few leave it blunt among many, where
    a hard or a sparse normaliser may stay sharp. Features are the columns [priority, value
    (`num_values`), is a target]; a target has 0 in all but the last. Targets come first: those for
    training, for validation, for testing; then the sources, target by target. After the max
    retrieval of Veličković et al. (2024), arXiv:2410.01104, which has sets in the place of graphs.

    Args:
        num_targets: for training; a quarter as many are for validation, and as many for testing.
        num_values: the number of values, which are the classes.
        train_degree: sources of every target for training and validation.
        test_degree: sources of every target for testing.
        seed: of priorities and values.

    Raises:
        TypeError: if an argument is no integer.
        ValueError: if an argument is too small.
    """
    at_least("num_targets", num_targets, 4)
    at_least("num_values", num_values, 2)
    at_least("train_degree", train_degree, 2)
    at_least("test_degree", test_degree, 2)
    at_least("seed", seed, 0)
    rng = np.random.default_rng(seed)
    part = np.repeat(range(3), [num_targets, num_targets // 4, num_targets // 4])
    degree = np.where(part == 2, test_degree, train_degree)
    priority = rng.random(degree.sum(), dtype=np.float32)
    value = rng.integers(num_values, size=len(priority))
    target = np.repeat(np.arange(len(part)), degree)
    largest = np.lexsort((priority, target))[np.cumsum(degree) - 1]
    edges = torch.from_numpy(np.stack([len(part) + np.arange(len(target)), target]))
    before, after = (len(part), 0), (0, len(target))
    y = torch.from_numpy(np.pad(value[largest], after))
    part = np.pad(part, after, constant_values=-1)
    shown, is_target = np.pad(value, before, constant_values=-1), np.minimum(part, 0)
    first = torch.from_numpy(np.pad(priority, before))[:, None]
    x = torch.cat([first, one_hots((shown, num_values), (is_target, 1))], dim=1)
    return Task("max-retrieval", x, edges, y, *masks_of(part[:, None]), "accuracy", num_values)


def _combinations(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[P, 1]`, the part of every graph: 0 if its pairs are all allowed, else 1 and 2 in turn."""
    size = value.shape[1]
    allowed = np.zeros(size * size, dtype=bool)
    allowed[rng.permutation(size * size)[: int(SEEN ** (1 / size) * size * size)]] = True
    unseen = ~allowed[np.arange(size) * size + value].all(axis=1, keepdims=True)
    return np.where(unseen, 1 + (np.cumsum(unseen, axis=0) - 1) % 2, 0)

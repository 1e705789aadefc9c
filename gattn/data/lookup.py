"""Generated tasks on random regular graphs: a key among the hops, a choice within the node."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch
from torch import Tensor

from gattn.data.graphs import at_least, stratified_masks
from gattn.data.parts import (
    HALVES,
    masks_among,
    neighbors_of_regular,
    no_part_empty,
    one_hots,
    random_regular,
    shells,
)
from gattn.data.task import Task

_KEYED = "keyed-shell-lookup"


def keyed_shell_lookup(
    num_nodes: int = 2000,
    num_hops: int = 3,
    num_keys: int = 64,
    num_values: int = 4,
    *,
    degree: int = 3,
    seed: int = 0,
    num_splits: int = 10,
) -> Task:
    """Tells the value of the one node within `num_hops` hops that has the wanted key.

    Every node of a random regular graph holds a key and a value, both uniform, and wants a key. It
    wants the key of a node whose key is unique within the ball of `num_hops` hops around the one
    that wants it, itself included: a distance is drawn uniformly from 1..num_hops, then one of such
    nodes at this distance; where there is none, another distance is drawn. The label is the value
    of that node. A node with no such node at any distance wants nothing and is in no mask. Farther
    away the key is held again and again, so attention over all nodes does not tell. Features are
    the columns [wanted key, held key, value]. Splits are 50/25/25 within each class.

    `attainable_accuracy` says how much can be told within fewer hops.

    Args:
        num_nodes: N.
        num_hops: the farthest distance of a wanted key.
        num_keys: the number of keys; more of them make more of them unique.
        num_values: the number of values, which are the classes.
        degree: neighbours of every node.
        seed: of graph, keys, values, wishes and splits.
        num_splits: the number of splits.

    Raises:
        TypeError: if an argument is no integer.
        ValueError: if an argument is too small, the graph does not exist, or a part would be empty.
    """
    at_least("num_nodes", num_nodes, 3)
    at_least("num_hops", num_hops, 1)
    at_least("num_keys", num_keys, 2)
    at_least("num_values", num_values, 2)
    at_least("degree", degree, 2)
    at_least("seed", seed, 0)
    at_least("num_splits", num_splits, 1)
    rng = np.random.default_rng(seed)
    edge_index = random_regular(num_nodes, degree, seed)
    key, value = (rng.integers(number, size=num_nodes) for number in (num_keys, num_values))
    wanting, found = _wishes(key, neighbors_of_regular(edge_index, num_nodes), num_hops, rng)
    wanted, label = np.full(num_nodes, -1), np.zeros(num_nodes, dtype=np.int64)
    wanted[wanting], label[wanting] = key[found], value[found]
    x = one_hots((wanted, num_keys), (key, num_keys), (value, num_values))
    y = torch.from_numpy(label)
    masks = masks_among(torch.from_numpy(wanting), y, HALVES, num_splits, rng)
    no_part_empty("num_keys", num_keys, masks)
    return Task(_KEYED, x, edge_index, y, *masks, "accuracy", num_values)


def attainable_accuracy(task: Task, radius: int) -> float:
    r"""The accuracy on a keyed shell lookup of whoever sees `radius` hops far.

    It knows the answer if the wanted key is held within the radius. If not, the values that it sees
    say nothing about the one it looks for, and it says the most frequent label of all:

    $$p + (1 - p) m$$

    where $p$ is the share of nodes with the key in sight, and $m$ the share of that label among the
    others. With $K$ hops and $V$ values that is about $\frac{b}{K} + (1 - \frac{b}{K}) \frac{1}{V}$
    at radius $b$, and 1 from $K$ on.

    Args:
        task: as `keyed_shell_lookup` makes it.
        radius: the number of hops.

    Returns:
        The accuracy over all nodes with a label.

    Raises:
        TypeError: if `radius` is no integer.
        ValueError: if it is negative, or the task is another one.
    """
    at_least("radius", radius, 0)
    if task.name != _KEYED:
        raise ValueError(f"task: found {task.name}, expected {_KEYED}")
    labelled = (task.train_mask | task.val_mask | task.test_mask)[:, 0]
    guess = task.y[labelled].bincount().argmax()
    right = _in_sight(task, radius) | (task.y == guess)
    return float(right[labelled].double().mean())


def inner_lookup(
    num_nodes: int = 2000,
    num_slots: int = 4,
    num_values: int = 4,
    *,
    degree: int = 4,
    seed: int = 0,
    num_splits: int = 10,
) -> Task:
    """Tells the most frequent of the values that a node's neighbours point to.

    Every node of a random regular graph holds a value in each of its slots, and a pointer to one of
    the slots, all uniform and independent. The value pointed to is what counts; the label is the
    most frequent one among the neighbours, without the node itself, and ties go to the smallest.
    So a node has to choose among its own features before others attend to it, which no linear map
    of them does. Features are the columns [pointer (`num_slots`), value in slot 0 (`num_values`),
    value in slot 1, ...]. Splits are 50/25/25 within each class.

    Args:
        num_nodes: N.
        num_slots: the number of slots of every node.
        num_values: the number of values, which are the classes.
        degree: neighbours of every node.
        seed: of graph, values, pointers and splits.
        num_splits: the number of splits.

    Raises:
        TypeError: if an argument is no integer.
        ValueError: if an argument is too small, the graph does not exist, or a part would be empty.
    """
    at_least("num_nodes", num_nodes, 3)
    at_least("num_slots", num_slots, 2)
    at_least("num_values", num_values, 2)
    at_least("degree", degree, 2)
    at_least("seed", seed, 0)
    at_least("num_splits", num_splits, 1)
    rng = np.random.default_rng(seed)
    edge_index = random_regular(num_nodes, degree, seed)
    pointer = rng.integers(num_slots, size=num_nodes)
    slots = rng.integers(num_values, size=(num_slots, num_nodes))
    x = one_hots((pointer, num_slots), *((slot, num_values) for slot in slots))
    message = slots[pointer, np.arange(num_nodes)]
    heard = message[neighbors_of_regular(edge_index, num_nodes)]
    y = torch.from_numpy((heard[:, :, None] == np.arange(num_values)).sum(axis=1).argmax(axis=1))
    masks = no_part_empty("num_nodes", num_nodes, stratified_masks(y, HALVES, num_splits, rng))
    return Task("inner-lookup", x, edge_index, y, *masks, "accuracy", num_values)


def _wishes(
    key: np.ndarray, neighbors: np.ndarray, num_hops: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The nodes that want a key, in ascending order, and for each the one that has it."""
    by_hop = list(islice(shells(neighbors), num_hops + 1))
    hop = np.repeat(np.arange(num_hops + 1), [len(shell) for shell in by_hop])
    row, col = np.divmod(np.concatenate(by_hop), len(key))
    _, group, members = np.unique(
        row * (key.max() + 1) + key[col], return_inverse=True, return_counts=True
    )
    unique = (members[group] == 1) & (hop > 0)
    row, col, hop = row[unique], col[unique], hop[unique]
    # Every row tries its distances in a random order, and at each the nodes in a random order.
    turn = rng.random((len(key), num_hops + 1))[row, hop]
    order = np.lexsort((rng.random(len(row)), turn, row))
    wanting, first = np.unique(row[order], return_index=True)
    return wanting, col[order][first]


def _in_sight(task: Task, radius: int) -> Tensor:
    """`[N]` bool, the nodes that have a node with the key they want within the radius."""
    num_keys = (task.x.shape[1] - task.num_classes) // 2
    wanted, held, _ = task.x.split([num_keys, num_keys, task.num_classes], dim=1)
    outwards = shells(neighbors_of_regular(task.edge_index, task.num_nodes))
    row, col = np.divmod(np.concatenate(list(islice(outwards, radius + 1))), task.num_nodes)
    match = (wanted[row] * held[col]).sum(dim=1) > 0
    seen = torch.zeros(task.num_nodes, dtype=torch.bool)
    seen[torch.from_numpy(row)[match]] = True
    return seen

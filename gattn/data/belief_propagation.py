"""How well mines can be told from counts within a radius: belief propagation, without any label.

The unknowns are the cells, each a mine with the prior probability. Every revealed count c is a
factor: exactly c of its neighbours are mines (the largest count that the features tell apart: c or
more). A round sends a message from every factor a to every cell i near it, as log-odds of a mine:

    m_ai <- (1 - s) m_ai + s log(P(count | i is a mine) / P(count | i is none))
    b_i   = log(prior / (1 - prior)) + sum_a m_ai

where the other cells j near a are independent with log-odds b_j - m_aj, and m = 0 before the first
round. After t rounds b_i depends on counts within 2t - 1 hops. On a tree, with s = 1, b_i is exact
after enough rounds. A grid has loops: there the AUC is a lower bound on what the counts within that
radius tell (Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, chapter 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from torch import Tensor

from gattn.data.synthetic import MINE_RATE
from gattn.data.task import Task

# Certainty is a finite log-odds, so that a message can be subtracted from the sum it is part of.
_CERTAIN = 30.0


class Attainable(NamedTuple):
    """The AUC on the test nodes by radius: mean and standard deviation over the splits."""

    rounds: int
    radius: int
    mean: float
    std: float


@dataclass(frozen=True, eq=False)
class _Factors:
    """The revealed counts `[A]` and the cells near each `[A, D]`, padded with `num_cells`."""

    count: np.ndarray
    near: np.ndarray
    num_cells: int
    largest: int


def attainable_auc(
    task: Task,
    rounds: Sequence[int] = (1, 2, 3, 4, 5, 6, 8, 10),
    *,
    damping: float = 0.3,
    prior: float = MINE_RATE,
) -> list[Attainable]:
    """The ROC AUC that belief propagation reaches on a minesweeper task, by the radius it sees.

    Args:
        task: minesweeper: features [unknown, count = 0, ..., count = largest], class 1 = mine.
        rounds: the numbers t of rounds to report; t rounds see 2t - 1 hops.
        damping: s, the share of the update in a new message.
        prior: the probability of a mine.

    Returns:
        One row per number of rounds, in the order given; AUC is a fraction.

    Raises:
        ValueError: if the task is no minesweeper task, or an argument is out of range.
    """
    if not rounds or min(rounds) < 1:
        raise ValueError(f"rounds: found {list(rounds)}, expected integers >= 1")
    if task.num_classes != 2:
        raise ValueError(f"task: found {task.num_classes} classes, expected 2: no mine and mine")
    steps = _beliefs(_factors(task.x, task.edge_index), damping, prior)
    after = dict(enumerate(islice(steps, max(rounds)), start=1))
    return [_row(task, t, after[t]) for t in rounds]


def mine_log_odds(
    x: Tensor,
    edge_index: Tensor,
    rounds: int,
    *,
    damping: float = 0.3,
    prior: float = MINE_RATE,
) -> np.ndarray:
    """The log-odds of a mine in every cell after some rounds of belief propagation.

    Args:
        x: `[N, F]`, the one-hot columns [unknown, count = 0, ..., count = largest].
        edge_index: `[2, E]` int64, both directions.
        rounds: t >= 1.
        damping: s, the share of the update in a new message, 0 < s <= 1.
        prior: the probability of a mine, 0 < prior < 1.

    Returns:
        `[N]` float64.

    Raises:
        ValueError: if an argument is out of range.
    """
    if rounds < 1:
        raise ValueError(f"rounds: found {rounds}, expected an integer >= 1")
    steps = _beliefs(_factors(x, edge_index), damping, prior)
    return next(islice(steps, rounds - 1, None))


def _factors(x: Tensor, edge_index: Tensor) -> _Factors:
    columns = x.detach().cpu().numpy()
    if columns.shape[1] < 3 or not np.array_equal(columns.sum(axis=1), np.ones(len(columns))):
        found = f"{columns.shape[1]} columns that are not one-hot"
        raise ValueError(f"x: found {found}, expected [unknown, count = 0, ..., count = largest]")
    cell, near = edge_index.cpu().numpy()[::-1]
    revealed = np.flatnonzero(columns[:, 0] == 0)
    count = columns[revealed, 1:].argmax(axis=1)
    table = _padded(cell, near, len(columns))[revealed]
    return _Factors(count, table, len(columns), largest=columns.shape[1] - 2)


def _padded(row: np.ndarray, value: np.ndarray, num_rows: int) -> np.ndarray:
    """`[num_rows, D]`: the values of each row, then `num_rows` up to the longest row's length."""
    order = np.argsort(row, kind="stable")
    length = np.bincount(row, minlength=num_rows)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    table = np.full((num_rows, length.max(initial=0)), num_rows)
    table[row[order], rank] = value[order]
    return table


def _beliefs(factors: _Factors, damping: float, prior: float) -> Iterator[np.ndarray]:
    """The log-odds `[N]` of a mine after 1, 2, ... rounds."""
    if not 0 < damping <= 1:
        raise ValueError(f"damping: found {damping}, expected 0 < damping <= 1")
    if not 0 < prior < 1:
        raise ValueError(f"prior: found {prior}, expected 0 < prior < 1")
    near, cells = factors.near, factors.num_cells
    message = np.zeros(near.shape)
    belief = np.full(cells + 1, np.log(prior) - np.log1p(-prior))
    start = belief[0]
    while True:
        cavity = np.clip(belief[near] - message, -_CERTAIN, _CERTAIN)
        mine = np.where(near < cells, 1 / (1 + np.exp(-cavity)), 0.0)
        message = (1 - damping) * message + damping * _update(factors, mine)
        belief = start + np.bincount(near.ravel(), message.ravel(), minlength=cells + 1)
        yield belief[:cells]


def _update(factors: _Factors, mine: np.ndarray) -> np.ndarray:
    """`[A, D]`: log P(count | this cell is a mine) - log P(count | it is none)."""
    others = _others(mine)
    with_mine = _likelihood(others, factors.count - 1, factors.largest - 1)
    without = _likelihood(others, factors.count, factors.largest)
    ratio = np.clip(np.log(with_mine) - np.log(without), -_CERTAIN, _CERTAIN)
    return np.where(factors.near < factors.num_cells, ratio, 0.0)


def _others(mine: np.ndarray) -> np.ndarray:
    """`[A, D, D + 1]`: P(k mines among the cells near a factor other than the d-th), k = 0..D."""
    degree = mine.shape[1]
    number = np.zeros((*mine.shape, degree + 1))
    number[..., 0] = 1.0
    for other in range(degree):
        chance = np.repeat(mine[:, other, None], degree, axis=1)[..., None]
        chance[:, other] = 0.0
        one_more = np.zeros_like(number)
        one_more[..., 1:] = number[..., :-1]
        number = number + chance * (one_more - number)
    return number


def _likelihood(others: np.ndarray, count: np.ndarray, largest: int) -> np.ndarray:
    """`[A, D]`: the chance of `count` mines among the others; `largest` stands for that or more."""
    tiny = np.finfo(np.float64).tiny
    padded = np.pad(others, ((0, 0), (0, 0), (1, largest + 1)))
    exactly = np.take_along_axis(padded, count[:, None, None] + 1, axis=2)[..., 0]
    at_least = others[..., max(largest, 0) :].sum(axis=2)
    return np.maximum(np.where((count == largest)[:, None], at_least, exactly), tiny)


def _row(task: Task, rounds: int, belief: np.ndarray) -> Attainable:
    label, masks = task.y.cpu().numpy() == 1, task.test_mask.cpu().numpy()
    areas = [_roc_auc(belief[mask], label[mask]) for mask in masks.T]
    return Attainable(rounds, 2 * rounds - 1, float(np.mean(areas)), float(np.std(areas)))


def _roc_auc(score: np.ndarray, label: np.ndarray) -> float:
    """The share of (mine, no mine) pairs in the right order, ties counting half."""
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]
    mines = int(label.sum())
    pairs = mines * (len(label) - mines)
    if pairs == 0:
        raise ValueError(
            f"task: found {mines} mines of {len(label)} test nodes, expected both kinds"
        )
    return float((rank[label].sum() - mines * (mines + 1) / 2) / pairs)

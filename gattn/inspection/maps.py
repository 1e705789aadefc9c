"""`AttentionMap`: the weights of one layer, and what they say about where its nodes look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from gattn import _check


class Neighbor(NamedTuple):
    """A source that a node attends to: its share of the attention, and its distance if known."""

    node: int
    share: float
    hop: int | None


@dataclass(frozen=True, eq=False)
class AttentionMap:
    r"""The weights of the pairs of one layer.

    All that is told of a row is told of its shares, which sum to one:

    $$ p_{ij} = \frac{|w_{ij}|}{\sum_k |w_{ik}|} $$

    After a softmax, sparsemax or entmax p is w. The weights of other normalisers need not sum to
    one (sigmoid) or may be negative (tanh, rings with a sign); then p says how much of what a node
    gathers comes through a pair, whatever its sign. A row without pairs, or with zeros alone, is
    empty: it has shares of 0 and an entropy of 0, and no mean counts it. What a layer gives to
    clusters is not among its pairs.

    Args:
        weights: `[E, H]`, before any dropout.
        edge_index: `[2, E]`, (source, target) of each pair.
        hop: `[E]` integers, the distance of each pair, or `None`.
        num_targets: N.
        num_sources: M.

    Raises:
        TypeError, ValueError, IndexError: a tensor has the wrong type, shape or range.
    """

    weights: Tensor
    edge_index: Tensor
    hop: Tensor | None
    num_targets: int
    num_sources: int

    def __post_init__(self) -> None:
        """Validate once."""
        _check.shape("weights", _check.floating("weights", self.weights), ["E", "H"])
        if not bool(self.weights.isfinite().all()):
            raise ValueError("weights: found some that are not finite, expected finite weights")
        pairs = self.weights.shape[0]
        _check.shape("edge_index", _check.integers("edge_index", self.edge_index), [2, pairs])
        for side, name in enumerate(("num_sources", "num_targets")):
            count = _check.integer(name, getattr(self, name), 0)
            _check.within(f"edge_index[{side}]", self.edge_index[side], count, name)
        if self.hop is not None:
            _check.shape("hop", _check.integers("hop", self.hop), [pairs])

    @property
    def heads(self) -> int:
        """H, the number of heads."""
        return self.weights.shape[1]

    @property
    def num_hops(self) -> int | None:
        """K, the largest distance of a pair; `None` without distances."""
        if self.hop is None:
            return None
        return int(self.hop.max()) if self.hop.numel() else 0

    def shares(self) -> Tensor:
        """p, `[E, H]`: of every pair in its row."""
        size = self.weights.abs()
        total = self._by_target(size)
        return size / total.masked_fill(total == 0, 1.0)[self.edge_index[1].long()]

    def filled(self) -> Tensor:
        """Which rows have anything to share, `[N, H]` bool."""
        return self._by_target(self.weights.abs()) > 0

    def entropy(self) -> Tensor:
        r"""How spread the attention of a node is, `[N, H]` in nats.

        $$ \eta_i = -\sum_j p_{ij} \log p_{ij} $$
        """
        share = self.shares()
        return -self._by_target(torch.special.xlogy(share, share))

    def effective_neighbors(self) -> Tensor:
        r"""How many equally weighed neighbours are as spread, $e^{\eta_i}$, `[N, H]`.

        1 for a node that attends to one other, and for an empty row.
        """
        return self.entropy().exp()

    def node_mass_by_hop(self) -> Tensor:
        """The share of each node's attention at each distance, `[N, K + 1, H]`.

        Raises:
            ValueError: the pairs have no distances.
        """
        if self.hop is None or self.num_hops is None:
            raise ValueError("hop: found none, expected the distances of the pairs")
        rings = self.num_hops + 1
        place = self.edge_index[1].long() * rings + self.hop.long()
        found = self._sums(self.shares(), place, self.num_targets * rings)
        return found.unflatten(0, (self.num_targets, rings))

    def mass_by_hop(self) -> Tensor:
        """The mean of that over the nodes whose rows are not empty, `[K + 1, H]`.

        Raises:
            ValueError: the pairs have no distances.
        """
        return self._mean(self.node_mass_by_hop())

    def mean_entropy(self) -> Tensor:
        """The mean entropy of the rows that are not empty, `[H]`."""
        return self._mean(self.entropy())

    def mean_effective_neighbors(self) -> Tensor:
        """The mean effective number of neighbours, likewise, `[H]`."""
        return self._mean(self.effective_neighbors())

    def top(self, node: int, k: int = 10, head: int | None = None) -> list[Neighbor]:
        """The sources that a node attends to most, the first the most; of equal ones the lower.

        Args:
            node: a target.
            k: how many at the most.
            head: one of the heads; `None` for the mean over them.

        Raises:
            ValueError: there is no such node or head.
        """
        _check.integer("node", node, 0, self.num_targets - 1)
        _check.integer("k", k, 1)
        share = self.shares().mean(1) if head is None else self._of_head(self.shares(), head)
        row = (self.edge_index[1] == node).nonzero()[:, 0]
        row = row[torch.argsort(self.edge_index[0, row])]
        row = row[torch.argsort(share[row], descending=True, stable=True)][:k]
        return [self._neighbor(int(pair), float(share[pair])) for pair in row if share[pair] > 0]

    def dense(self) -> Tensor:
        """The weights themselves as `[N, M, H]`; those of a pair that is there twice are added."""
        source, target = self.edge_index.long()
        place = target * self.num_sources + source
        found = self._sums(self.weights, place, self.num_targets * self.num_sources)
        return found.unflatten(0, (self.num_targets, self.num_sources))

    def mean_heads(self) -> AttentionMap:
        """One head in the place of all: the mean of their weights."""
        return replace(self, weights=self.weights.mean(1, keepdim=True))

    def adjacency(self) -> Tensor:
        """The mean over the heads of the shares, `[N, M]` sparse (COO): rows are targets."""
        size = (self.num_targets, self.num_sources)
        share = self.shares().mean(1)
        return torch.sparse_coo_tensor(
            self.edge_index.long().flip(0), share, size, check_invariants=False
        ).coalesce()

    def _neighbor(self, pair: int, share: float) -> Neighbor:
        hop = None if self.hop is None else int(self.hop[pair])
        return Neighbor(int(self.edge_index[0, pair]), share, hop)

    def _of_head(self, values: Tensor, head: int) -> Tensor:
        return values[:, _check.integer("head", head, 0, self.heads - 1)]

    def _mean(self, values: Tensor) -> Tensor:
        """The mean over filled rows of `[N, ..., H]`, for each head; 0 where all are empty."""
        filled = self.filled().to(values.dtype)
        filled = filled.view(filled.shape[0], *[1] * (values.dim() - 2), filled.shape[1])
        return (values * filled).sum(0) / filled.sum(0).clamp(min=1)

    def _by_target(self, values: Tensor) -> Tensor:
        return self._sums(values, self.edge_index[1].long(), self.num_targets)

    def _sums(self, values: Tensor, place: Tensor, count: int) -> Tensor:
        return values.new_zeros(count, values.shape[1]).index_add_(0, place, values)

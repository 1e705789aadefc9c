"""`expander` and `long_edges`: a few random edges that bring all nodes near one another."""

from __future__ import annotations

import torch
from torch import Tensor

from gattn import _check
from gattn.neighborhood._tensors import pointers
from gattn.neighborhood.build import checked_count, checked_edges, from_edge_index
from gattn.neighborhood.sparse import Sparse


def expander(num_nodes: int, degree: int, seed: int = 0) -> Sparse:
    r"""A random regular graph: every node attends to as many others, and all are near one another.

    The union of `degree` / 2 random Hamiltonian cycles without a common edge: symmetric, connected,
    no loops, no edge twice, N d pairs. With high probability the second eigenvalue is close to the
    smallest that a regular graph can have,

    $$ \lambda_2 \lesssim 2 \sqrt{d - 1} $$

    (Friedman, "A Proof of Alon's Second Eigenvalue Conjecture", 2003), so that a walk has forgotten
    where it began after about log N steps.

    Args:
        num_nodes: N, at least 3.
        degree: d, even; at most N / 2, and 2 in any case.
        seed: of the random cycles; torch's own generators are left alone.

    Returns:
        Pairs at hop 1.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """
    count = _check.integer("num_nodes", num_nodes, 3, 2**31 - 1)
    wanted = _check.integer("degree", degree, 2, max(2, count // 2))
    if wanted % 2:
        raise ValueError(f"degree: found {degree}, expected an even number: a cycle gives two")
    generator = torch.Generator().manual_seed(_check.integer("seed", seed, 0, 2**63 - 1))
    taken = torch.empty(0, dtype=torch.int64)
    for _ in range(wanted // 2):
        taken = torch.cat([taken, _keys(_cycle(count, taken, generator))])
    ends = torch.stack([taken // count, taken % count])
    return from_edge_index(torch.cat([ends, ends.flip(0)], dim=1), count)


def long_edges(
    edge_index: Tensor, num_nodes: int | None = None, degree: int = 4, seed: int = 0
) -> Sparse:
    r"""One hop, and beside it the long edges of an `expander`, told apart by their hop.

    Hop 0 is the node itself, hop 1 an edge of the graph, hop 2 a long edge that is none. A hop
    bias, or the level "hop", learns what each kind is worth; E + N (d + 1) pairs at the most.

    (Shirzad et al., "Exphormer: Sparse Transformers for Graphs", 2023, who add virtual nodes too.)

    Args:
        edge_index: `[2, E]` integers, (source, target); duplicates and loops change nothing.
        num_nodes: N; without it the largest index decides.
        degree: d, as in `expander`, and so is the last.
        seed: of the random cycles.

    Returns:
        The pairs of a row are sorted by hop, then by source; `num_hops` is 2.

    Raises:
        TypeError, ValueError, IndexError: an argument is out of range.
    """
    source, target, (count, _) = checked_edges(edge_index, num_nodes)
    for name, nodes in (("edge_index[0]", source), ("edge_index[1]", target)):
        _check.within(name, nodes, count, "num_nodes")
    far = expander(checked_count(count), degree, seed).to(edge_index.device)
    own = torch.arange(count, device=edge_index.device)
    kinds = [(own, own), (source, target), (far.col.long(), far.rows())]
    return _joined(kinds, count)


def _joined(kinds: list[tuple[Tensor, Tensor]], count: int) -> Sparse:
    """All pairs (source, target), each once, at the hop of the first kind that has it."""
    key = torch.cat([target * count + source for source, target in kinds])
    hop = torch.cat([torch.full_like(pair[0], k) for k, pair in enumerate(kinds)])
    order = torch.sort(key, stable=True).indices
    key, hop = key[order], hop[order]
    first = torch.ones_like(key, dtype=torch.bool)
    first[1:] = key[1:] != key[:-1]
    key, hop = key[first], hop[first]
    row = key // count
    by_hop = torch.sort(row * len(kinds) + hop, stable=True).indices
    rowptr = pointers(torch.bincount(row, minlength=count))
    col, hop = (key % count)[by_hop].int(), hop[by_hop].to(torch.uint8)
    return Sparse(rowptr, col, count, hop, None, len(kinds) - 1, hops_sorted=True)


def _keys(order: Tensor) -> Tensor:
    """The edges of the cycle that visits nodes in this order, a number for each."""
    ends = torch.stack([order, order.roll(-1)]).sort(dim=0).values
    return ends[0] * len(order) + ends[1]


def _cycle(count: int, taken: Tensor, generator: torch.Generator) -> Tensor:
    """A random cycle through all nodes without the edges that are taken, as an order of nodes."""
    order = torch.randperm(count, generator=generator)
    bad = torch.isin(_keys(order), taken).nonzero()[:, 0]
    while len(bad):
        # Turning round a part of a cycle leaves a cycle, with two other edges.
        ends = torch.stack([bad[0], torch.randint(count, (), generator=generator)]) + 1
        low, high = ends.sort().values.tolist()
        changed = torch.cat([order[:low], order[low:high].flip(0), order[high:]])
        found = torch.isin(_keys(changed), taken).nonzero()[:, 0]
        if len(found) <= len(bad):
            order, bad = changed, found
    return order

"""`k_hop`: every pair within k hops, once, with its distance."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal, overload

from torch import Tensor

from gattn import _check
from gattn.neighborhood._compress import compressed_rows
from gattn.neighborhood._tensors import BYTES_PER_PAIR, DEFAULT_MAX_PAIRS, MAX_HOPS, check_budget
from gattn.neighborhood.build import checked_count, checked_edges
from gattn.neighborhood.sparse import Sparse
from gattn.neighborhood.streamed import Streamed

_log = logging.getLogger(__name__)


@overload
def k_hop(
    edge_index: Tensor,
    num_hops: int,
    num_nodes: int | None = None,
    *,
    shells: Iterable[int] | None = None,
    complete: bool = False,
    streamed: Literal[False],
    max_pairs: int = DEFAULT_MAX_PAIRS,
) -> Sparse: ...
@overload
def k_hop(
    edge_index: Tensor,
    num_hops: int,
    num_nodes: int | None = None,
    *,
    shells: Iterable[int] | None = None,
    complete: bool = False,
    streamed: Literal[True],
    max_pairs: int = DEFAULT_MAX_PAIRS,
) -> Streamed: ...
@overload
def k_hop(
    edge_index: Tensor,
    num_hops: int,
    num_nodes: int | None = None,
    *,
    shells: Iterable[int] | None = None,
    complete: bool = False,
    streamed: bool | None = None,
    max_pairs: int = DEFAULT_MAX_PAIRS,
) -> Sparse | Streamed: ...
def k_hop(
    edge_index: Tensor,
    num_hops: int,
    num_nodes: int | None = None,
    *,
    shells: Iterable[int] | None = None,
    complete: bool = False,
    streamed: bool | None = None,
    max_pairs: int = DEFAULT_MAX_PAIRS,
) -> Sparse | Streamed:
    r"""Every pair at most `num_hops` edges apart, once, with its shortest-path distance.

    Node i attends to the nodes j from which i is reached along at most `num_hops` directed edges:

    $$ \mathcal B_K(i) = \{ j : d(j \to i) \le K \}, \qquad \text{hop}_{ij} = d(j \to i) $$

    with i itself at hop 0. The pairs of a row are sorted by hop, then by source.

    Args:
        edge_index: `[2, E]` integers, (source, target); loops and duplicates change nothing.
        num_hops: K, from 0 to 254.
        num_nodes: N; without it the largest index decides.
        shells: keep these distances only, instead of the whole ball `0 .. K`; for example
            `[2]` for the nodes exactly two hops away, `range(1, K + 1)` to leave out the node
            itself.
        complete: keep the pairs farther apart as well, at hop K + 1, "unreached".
        streamed: do not store the pairs: they are found again, a block of rows at a time, in every
            forward and backward. `None` does so where there are more than `max_pairs`, and logs a
            warning; `complete` pairs are streamed only if this is `True`.
        max_pairs: the number of pairs to store at the most.

    Raises:
        TypeError, ValueError, IndexError: an argument is out of range.
        ValueError: there are more pairs than `max_pairs`, and they are not to be streamed; the
            message has their number.
    """
    radius = _check.integer("num_hops", num_hops, 0, MAX_HOPS)
    if num_nodes is not None:
        checked_count(num_nodes)
    for name, switch in (("complete", complete), ("streamed", streamed)):
        if not isinstance(switch, bool) and (name, switch) != ("streamed", None):
            raise TypeError(f"{name}: found {switch!r}, expected True or False")
    source, target, (count, _) = checked_edges(edge_index, num_nodes)
    kept = _kept_hops(shells, radius, complete)
    budget = _check.integer("max_pairs", max_pairs, 0)
    if complete and shells is None and not streamed:
        what = f"the complete graph of {count:,} nodes"
        check_budget(what, count * count, budget, _ADVICE)
    edges = _edges(source, target, count)
    found = Streamed.of_graph(*edges, radius + complete, kept, complete)
    if _is_streamed(found, streamed, budget):
        return found.to(edge_index.device)
    what = f"the {radius}-hop neighbourhood of {count:,} nodes"
    check_budget(what, found.num_pairs, budget, _ADVICE)
    return found.expand(budget).to(edge_index.device)


_ADVICE = "use fewer hops or shells, raise max_pairs, or pass streamed=True"


def _is_streamed(found: Streamed, streamed: bool | None, budget: int) -> bool:
    if streamed is None and not found.complete and found.num_pairs > budget:
        _log.warning(
            "k_hop: %s pairs (about %.3g GB) are more than max_pairs = %s: they are streamed, and "
            "found again in every forward and backward (streamed=False refuses)",
            f"{found.num_pairs:,}",
            found.num_pairs * BYTES_PER_PAIR / 1e9,
            f"{budget:,}",
        )
        return True
    return bool(streamed)


def _kept_hops(shells: Iterable[int] | None, radius: int, complete: bool) -> tuple[int, ...]:
    farthest = radius + complete
    if shells is None:
        return tuple(range(farthest + 1))
    if not isinstance(shells, Iterable):
        raise TypeError(f"shells: found {shells!r}, expected distances, such as [2]")
    return tuple(sorted({_check.integer("shells", shell, 0, farthest) for shell in shells}))


def _edges(source: Tensor, target: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`rowptr` and `col` of the graph, rows being targets, on the CPU."""
    source, target = source.cpu(), target.cpu()
    for name, nodes in (("edge_index[0]", source), ("edge_index[1]", target)):
        _check.within(name, nodes, count, "num_nodes")
    rowptr, col, _, _ = compressed_rows(source, target, (count, count), None, per_pair=False)
    return rowptr, col

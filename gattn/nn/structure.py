"""What a layer accepts as its graph: a neighbourhood, or any of PyG's ways to write one hop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric import EdgeIndex
from torch_geometric.typing import (
    SparseTensor,  # type: ignore[attr-defined]  # a stand-in where torch_sparse is missing
)
from torch_geometric.utils import is_torch_sparse_tensor, to_edge_index

from gattn.neighborhood import Neighborhood, Span, Sparse, Streamed
from gattn.neighborhood.build import one_hop


def as_neighborhood(structure: Any, target: Tensor, source: Tensor) -> Neighborhood:
    """The neighbourhood itself, or the one hop of an `edge_index`.

    Args:
        structure: a neighbourhood; or `[2, E]` (source, target), a PyG `EdgeIndex`, a transposed
            `torch.sparse` or `SparseTensor` adjacency.
        target: `[..., N, F]`, features of the targets.
        source: `[..., M, F]`, features of the sources; the same tensor where they are the same
            nodes.

    Raises:
        TypeError: it is none of these.
        ValueError: a neighbourhood and the features do not have the same numbers of nodes.
    """
    num_targets, num_sources = target.shape[-2], source.shape[-2]
    if isinstance(structure, (Sparse, Span, Streamed)):
        _check_nodes(structure, num_targets, num_sources)
        return structure
    sizes = num_targets if target is source else (num_sources, num_targets)
    return stored_one_hop(structure, sizes)


# The neighbourhoods of an `EdgeIndex`, which says of itself that it does not change; with the
# version of its data, in case that it does.
_stored: Any = WeakTensorKeyDictionary()


def stored_one_hop(
    structure: Any, sizes: int | tuple[int, int], loops: int | None = None, per_pair: bool = True
) -> Sparse:
    """The one hop of edges; that of an `EdgeIndex` is made once and kept as long as it lives.

    Args:
        structure: as `as_neighborhood`.
        sizes: N, or `(M, N)` where sources are other nodes than targets.
        loops: as `gattn.neighborhood.build.one_hop`, and so is the last.
        per_pair: whether the order of the edges matters.
    """
    if not isinstance(structure, EdgeIndex) or not _counts_changes(structure):
        return one_hop(plain_edge_index(structure), sizes, loops, per_pair)
    # The wrapper and the tensor in it count their changes apart.
    version = structure._version, structure.as_tensor()._version
    if _stored.get(structure, (None,))[0] != version:
        _stored[structure] = version, {}
    kept, key = _stored[structure][1], (sizes, loops, per_pair)
    if key not in kept:
        kept[key] = one_hop(plain_edge_index(structure), sizes, loops, per_pair)
    return kept[key]


def _counts_changes(edges: EdgeIndex) -> bool:
    """An inference tensor does not, and what is compiled must not depend on it."""
    inference = edges.is_inference() or edges.as_tensor().is_inference()
    return not torch.compiler.is_compiling() and not inference


def plain_edge_index(structure: Any) -> Tensor:
    """`[2, E]` (source, target) as a plain tensor, of any of PyG's ways to write the edges.

    Raises:
        TypeError: it is none of them.
    """
    if isinstance(structure, SparseTensor):
        row, col, _ = structure.coo()
        return torch.stack([col, row])
    if not isinstance(structure, Tensor):
        found = type(structure).__name__
        raise TypeError(f"neighborhood: found {found}, expected a Neighborhood or an edge_index")
    if structure.layout == torch.sparse_coo:
        # PyG's conversion marks a COO tensor in place, which a backward pass may refuse.
        return structure._indices().flip(0)
    if is_torch_sparse_tensor(structure):
        return to_edge_index(structure)[0].flip(0)  # the adjacency is transposed: rows are targets
    as_tensor = getattr(structure, "as_tensor", None)  # EdgeIndex is a tensor with metadata
    return structure if as_tensor is None else as_tensor()


def _check_nodes(neighborhood: Neighborhood, num_targets: int, num_sources: int) -> None:
    expected = neighborhood.num_targets, neighborhood.num_sources
    if (num_targets, num_sources) != expected:
        swapped = (num_sources, num_targets) == expected
        hint = "; a pair of features is (x_target, x_source)" if swapped else ""
        raise ValueError(
            f"x: found {num_targets} targets and {num_sources} sources, expected {expected[0]} "
            f"and {expected[1]}, those of {neighborhood!r}{hint}"
        )

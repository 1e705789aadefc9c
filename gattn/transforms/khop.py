"""`KHop`: the pairs within k hops in place of the edges, or beside them as a neighbourhood."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from gattn import _check
from gattn.neighborhood import k_hop
from gattn.neighborhood._tensors import DEFAULT_MAX_PAIRS
from gattn.transforms._batches import cut_again, is_of_edges, slices_of, starts_of
from gattn.transforms.one_hop import edges_of

EdgeType = tuple[str, str, str]
_SAMPLED = ("e_id", "num_sampled_nodes", "num_sampled_edges")


class KHop(BaseTransform):
    """Replace the edges by the pairs within k hops, as `gattn.k_hop` finds them.

    `edge_index` becomes the pairs (source, target), target by target, each with its distance in
    `edge_hop` `[E]` int64; the node itself is at hop 0. Every other attribute of edges stays with
    its edges: a pair that was an edge keeps its row (of parallel edges the first), any other pair
    gets `fill_value`. `e_id` of a sampled graph goes, since pairs are no edges of the whole one,
    and so do `num_sampled_nodes` and `num_sampled_edges`, since pairs are not sorted by hop.

    For a layer of this library, `gattn.from_edge_index(data.edge_index, data.num_nodes,
    hop=data.edge_hop)` has them with their distances.

    For a layer that adds loops of its own, such as PyG's `GATConv`, say `add_self_loops=False` or
    leave the node out with `shells=range(1, num_hops + 1)`.

    Args:
        num_hops: K.
        shells: as in `gattn.k_hop`, and so are the next two.
        complete: keep the pairs farther apart as well, at hop K + 1.
        max_pairs: the number of pairs to store at the most; of each graph if `complete`.
        streamed: of a neighbourhood, as in `gattn.k_hop`; edges are always stored.
        attr: keep the edges as they are, and a neighbourhood under this name instead; with hops,
            and without a copy of the other attributes.
        edge_attr: "one_hot" appends the hop to `edge_attr`, as K + 1 features (K + 2 if
            `complete`); `None` leaves it to `edge_hop`.
        fill_value: what attributes hold for pairs that were no edges.
        edge_types: of a `HeteroData`, those to change; `None` = all, each of which must join nodes
            of one type then.

    Raises:
        TypeError, ValueError: a call, as `gattn.k_hop`; or the data has no such edges, or
            attributes of edges that are no tensors or are named as an index; or a batch does not
            say where its graphs begin.
    """

    def __init__(
        self,
        num_hops: int,
        *,
        shells: Iterable[int] | None = None,
        complete: bool = False,
        max_pairs: int = DEFAULT_MAX_PAIRS,
        streamed: bool | None = None,
        attr: str | None = None,
        edge_attr: str | None = None,
        fill_value: float = 0.0,
        edge_types: Iterable[EdgeType] | None = None,
    ) -> None:
        self.num_hops = num_hops
        # Read for every graph, which an iterator would allow only once.
        self.shells = list(shells) if isinstance(shells, Iterable) else shells
        self.complete = complete
        self.max_pairs = max_pairs
        self.streamed = streamed
        self.attr = attr
        if edge_attr is not None:
            _check.one_of("edge_attr", edge_attr, ("one_hot",))
        self.edge_attr = edge_attr
        self.fill_value = fill_value
        self.edge_types = None if edge_types is None else list(edge_types)

    def forward(self, data: Any) -> Any:
        """The data with pairs for edges, or with its neighbourhood.

        Args:
            data: a `Data`, a `HeteroData`, or a `Batch` of either, where no pair joins two graphs.
        """
        if isinstance(data, HeteroData):
            for kind in self._checked_types(data):
                edges = data[kind].edge_index, data[kind[0]].num_nodes
                self._change(data, kind, *edges)
        else:
            self._change(data, None, *edges_of(data))
        return data

    def _checked_types(self, data: HeteroData) -> list[EdgeType]:
        kinds = data.edge_types if self.edge_types is None else self.edge_types
        for kind in kinds:
            if kind not in data.edge_types:
                raise ValueError(f"edge_types: found {kind}, expected some of {data.edge_types}")
            if kind[0] != kind[2]:
                raise ValueError(
                    f"edge_types: found {kind}, expected those with one type of nodes at both ends"
                )
        return list(kinds)

    def _change(
        self, data: Any, kind: EdgeType | None, edge_index: Tensor, num_nodes: int | None
    ) -> None:
        store, nodes = (data, data) if kind is None else (data[kind], data[kind[0]])
        if self.attr is not None:
            options: Any = {"streamed": self.streamed, **self._options()}
            store[self.attr] = k_hop(edge_index, self.num_hops, num_nodes, **options)
            return
        starts = starts_of(data, nodes, num_nodes, self.complete)
        names = _edge_names(store, slices_of(data, kind), starts)
        written = self._replace(store, names, self._pairs(edge_index, num_nodes, starts))
        if starts is not None:
            cut_again(data, kind, store, written, starts)

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("shells", "complete", "max_pairs")}

    def _pairs(
        self, edge_index: Tensor, num_nodes: int | None, starts: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The pairs and their hops; those that no edges join are of one graph as well."""
        if starts is None or not self.complete:
            found = k_hop(edge_index, self.num_hops, num_nodes, streamed=False, **self._options())
            assert found.hop is not None
            return found.edge_index(), found.hop.long()
        many, edges = [], _plain(edge_index)
        for start, end in pairwise(starts.tolist()):
            own = edges[:, (edges[1] >= start) & (edges[1] < end)] - start
            pairs, hop = self._pairs(own, end - start, None)
            many.append((pairs + start, hop))
        return torch.cat([pairs for pairs, _ in many], 1), torch.cat([hop for _, hop in many])

    def _replace(self, store: Any, names: list[str], found: tuple[Tensor, Tensor]) -> list[str]:
        """Write pairs for edges, with their attributes; return the names of all of them."""
        edge, was_edge = _origin(store.edge_index, found[0])
        after = {
            name: _aligned(name, store[name], edge, was_edge, self.fill_value) for name in names
        }
        if self.edge_attr is not None and "edge_attr" in names and store.edge_attr.dim() != 1:
            _check.shape("edge_attr", store.edge_attr, ["E", "D"])
        after["edge_hop"] = found[1]
        if self.edge_attr is not None:
            after["edge_attr"] = self._with_hop(after.get("edge_attr"), found[1])
        for name in _SAMPLED:
            if name in store:
                del store[name]
        store.edge_index = found[0]
        for name, value in after.items():
            store[name] = value
        return ["edge_index", *after]

    def _with_hop(self, edge_attr: Tensor | None, hop: Tensor) -> Tensor:
        """The features of pairs, and their hop as further ones."""
        dtype = torch.get_default_dtype() if edge_attr is None else edge_attr.dtype
        found = F.one_hot(hop, self.num_hops + 1 + self.complete).to(dtype)
        if edge_attr is None:
            return found
        return torch.cat([edge_attr[:, None] if edge_attr.dim() == 1 else edge_attr, found], dim=1)

    def __repr__(self) -> str:
        """What it makes."""
        shells = "" if self.shells is None else f", shells={self.shells}"
        return f"KHop({self.num_hops}{shells}{', complete=True' if self.complete else ''})"


def _edge_names(store: Any, slices: dict[str, Any], starts: Tensor | None) -> list[str]:
    """The attributes of edges other than the edges; links to predict are none."""
    never, names = ("edge_index", "face", *_SAMPLED), store.keys()
    names = [name for name in names if name not in never and not name.startswith("edge_label")]
    found = [name for name in names if is_of_edges(store, name, slices, starts)]
    for name in found:
        # PyG joins graphs along the last axis there, and adds numbers of nodes to the values.
        if "index" in name and (store[name].dim() != 2 or len(store[name]) != 2):
            shape = list(store[name].shape)
            raise ValueError(
                f"{name}: found shape {shape}, expected [2, E] or no index in the name"
            )
    return [name for name in found if "index" not in name]


def _plain(edge_index: Tensor) -> Tensor:
    as_tensor = getattr(edge_index, "as_tensor", None)  # PyG's EdgeIndex wraps a tensor
    return (edge_index if as_tensor is None else as_tensor()).long()


def _origin(edge_index: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Which edge each pair was, the first of parallel ones, and whether it was one at all."""
    edges = _plain(edge_index)
    if not edges.numel() or not pairs.numel():
        return torch.zeros_like(pairs[0]), torch.zeros_like(pairs[0], dtype=torch.bool)
    size = 1 + int(torch.maximum(edges.max(), pairs.max()))
    keys, order = torch.sort(edges[1] * size + edges[0], stable=True)
    wanted = pairs[1] * size + pairs[0]
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return order[place], keys[place] == wanted


def _aligned(name: str, value: Any, edge: Tensor, was_edge: Tensor, fill: float) -> Tensor:
    """An attribute of edges as one of pairs."""
    found = _check.tensor(name, value)
    if not len(found):
        return found.new_full((len(edge), *found.shape[1:]), fill)
    rows = was_edge.view(-1, *[1] * (found.dim() - 1))
    return torch.where(rows, found[edge], torch.full_like(found[:1], fill))

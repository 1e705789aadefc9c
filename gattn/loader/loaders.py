"""`KHopLoader` and `KHopLinkLoader`: PyG's loaders with the sampler of this package."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.sampler.base import NegativeSampling, SubgraphType

from gattn.loader.keys import Batch, KeyedLoader
from gattn.loader.sampler import FanOut, KHopSampler

_UNSUPPORTED = {
    "input_time": None,
    "edge_label_time": None,
    "time_attr": None,
    "weight_attr": None,
    "temporal_strategy": "uniform",
    "directed": True,
}
_OF_SAMPLER = {
    "num_neighbors": None,
    "replace": False,
    "subgraph_type": "directional",
    "disjoint": False,
}


class KHopLoader(NodeLoader, KeyedLoader):  # type: ignore[misc]  # torch's is more precise
    """Mini-batches around nodes, as PyG's `NeighborLoader` makes them, from a plain installation.

    Two runs with the same seed give the same batches, for any number of workers and threads; two
    epochs of one run differ. A batch has what a `NeighborLoader` puts into it: `n_id`, `e_id`,
    `input_id`, `batch_size`, `num_sampled_nodes`, `num_sampled_edges`, and `batch` if disjoint.

    Args:
        data: a `Data` or `HeteroData`. It needs no edges where `neighbor_sampler` has them; batches
            then have edges, but no features of edges. If it has some, they are those of the
            sampler, in the same order.
        num_neighbors: as in `KHopSampler`, and so are `replace`, `subgraph_type` and `disjoint`.
        input_nodes: the seeds: indices or a mask, a type, or `(type, indices or mask)`; None = all.
        replace: whether an edge may be picked twice.
        subgraph_type: "directional", "bidirectional" or "induced".
        disjoint: every seed has a subgraph of its own.
        seed: of the picks and of `shuffle`; None takes numbers of torch's generator.
        transform: is given every batch.
        transform_sampler_output: is given what the sampler found.
        filter_per_worker: gather features in the workers; None = if they are on the CPU.
        neighbor_sampler: a sampler that is there already, instead of making one; it has its own
            `num_neighbors`, `replace`, `subgraph_type` and `disjoint`.
        kwargs: of the `DataLoader`, such as `batch_size`, `shuffle`, `num_workers`. Those of a
            `NeighborLoader` about time and weights are refused; `is_sorted` is found out.

    Raises:
        TypeError, ValueError, IndexError: an argument is out of range, or asks for what is not
            there.
    """

    def __init__(
        self,
        data: Data | HeteroData,
        num_neighbors: FanOut | None = None,
        input_nodes: Any = None,
        *,
        replace: bool = False,
        subgraph_type: SubgraphType | str = "directional",
        disjoint: bool = False,
        seed: int | None = None,
        transform: Callable[[Any], Any] | None = None,
        transform_sampler_output: Callable[[Any], Any] | None = None,
        filter_per_worker: bool | None = None,
        neighbor_sampler: KHopSampler | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = _supported(kwargs)
        sampler = _sampler(
            neighbor_sampler, data, num_neighbors, replace, subgraph_type, disjoint, seed
        )
        if isinstance(data, HeteroData):
            _check_nodes(data, input_nodes)
        super().__init__(
            data=_with_edges(data, sampler),
            node_sampler=sampler,
            input_nodes=input_nodes,
            transform=transform,
            transform_sampler_output=transform_sampler_output,
            filter_per_worker=filter_per_worker,
            seed=sampler.seed if seed is None else seed,
            **kwargs,
        )

    def collate_fn(self, index: Any) -> Any:
        """The sample of a batch; with features, where workers gather them."""
        batch = index if isinstance(index, Batch) else Batch(index)
        out = self.sampled(batch)
        return self.filter_fn(out) if self.filter_per_worker else out

    def sampled(self, batch: Batch) -> Any:
        """What the sampler finds for a batch."""
        sampler = cast(KHopSampler, self.node_sampler)
        return sampler.sample_from_nodes(self.input_data[batch.index], key=batch.key)


class KHopLinkLoader(LinkLoader, KeyedLoader):  # type: ignore[misc]
    """Mini-batches around edges, as PyG's `LinkNeighborLoader` makes them; else as `KHopLoader`.

    Negatives follow from the seed, too. As in PyG, some of them may be edges after all.

    Args:
        data: as in `KHopLoader`, and so are all that are not named here.
        num_neighbors: as in `KHopSampler`.
        edge_label_index: `[2, n]` pairs, a type of edges, or `(type, pairs)`; None = all edges.
        edge_label: `[n, ...]` labels of the pairs.
        neg_sampling: a `NegativeSampling`, its mode, or its arguments.
        neg_sampling_ratio: the same as a "binary" one of this amount.
        replace: whether an edge may be picked twice.
        subgraph_type: "directional", "bidirectional" or "induced".
        disjoint: every pair has a subgraph of its own.
        seed: of picks, negatives and `shuffle`.
        transform: is given every batch.
        transform_sampler_output: is given what the sampler found.
        filter_per_worker: gather features in the workers.
        neighbor_sampler: a sampler that is there already.
        kwargs: of the `DataLoader`.

    Raises:
        TypeError, ValueError, IndexError: as `KHopLoader`.
    """

    def __init__(
        self,
        data: Data | HeteroData,
        num_neighbors: FanOut | None = None,
        edge_label_index: Any = None,
        edge_label: Tensor | None = None,
        *,
        neg_sampling: NegativeSampling | Any = None,
        neg_sampling_ratio: float | None = None,
        replace: bool = False,
        subgraph_type: SubgraphType | str = "directional",
        disjoint: bool = False,
        seed: int | None = None,
        transform: Callable[[Any], Any] | None = None,
        transform_sampler_output: Callable[[Any], Any] | None = None,
        filter_per_worker: bool | None = None,
        neighbor_sampler: KHopSampler | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = _supported(kwargs)
        sampler = _sampler(
            neighbor_sampler, data, num_neighbors, replace, subgraph_type, disjoint, seed
        )
        _check_pairs(data, edge_label_index)
        super().__init__(
            data=_with_edges(data, sampler),
            link_sampler=sampler,
            edge_label_index=edge_label_index,
            edge_label=edge_label,
            neg_sampling=neg_sampling,
            neg_sampling_ratio=neg_sampling_ratio,
            transform=transform,
            transform_sampler_output=transform_sampler_output,
            filter_per_worker=filter_per_worker,
            seed=sampler.seed if seed is None else seed,
            **kwargs,
        )

    def collate_fn(self, index: Any) -> Any:
        """The sample of a batch; with features, where workers gather them."""
        batch = index if isinstance(index, Batch) else Batch(index)
        sampler, inputs = cast(KHopSampler, self.link_sampler), self.input_data[batch.index]
        negatives = cast(NegativeSampling | None, self.neg_sampling)
        out = sampler.sample_from_edges(inputs, negatives, batch.key)
        return self.filter_fn(out) if self.filter_per_worker else out


def _supported(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the `DataLoader`; those of PyG's loader that mean nothing here are refused."""
    for name, usual in _UNSUPPORTED.items():
        found = kwargs.get(name, usual)
        if found is not usual and found != usual:
            raise ValueError(f"{name}: found {_short(found)}, expected {usual!r}: not supported")
    known = {*_UNSUPPORTED, "is_sorted"}
    return {name: value for name, value in kwargs.items() if name not in known}


def _short(value: Any) -> str:
    return "a tensor" if isinstance(value, Tensor) else repr(value)


def _check_nodes(data: HeteroData, given: Any) -> None:
    """PyG asserts what seeds of a heterogeneous graph are, and says nothing."""
    is_pair = isinstance(given, (list, tuple)) and len(given) == 2
    kind = given[0] if is_pair else given
    if not isinstance(kind, str):
        found = "None" if given is None else type(given).__name__
        raise TypeError(f"input_nodes: found {found}, expected a type, or (type, nodes)")
    if kind not in data.node_types:
        known = ", ".join(data.node_types)
        raise ValueError(f"input_nodes: found type {kind!r}, expected one of {known}")


def _check_pairs(data: Data | HeteroData, given: Any) -> None:
    """Pairs are given, or the data has edges to take them from."""
    if isinstance(data, Data):
        if given is None and _edges_of(data, None) is None:
            raise ValueError("edge_label_index: found None, expected pairs: the data has no edges")
        return
    if not isinstance(given, (list, tuple)) or not (len(given) == 2 or _is_type(given)):
        found = "None" if given is None else type(given).__name__
        raise TypeError(f"edge_label_index: found {found}, expected a type, or (type, pairs)")
    kind, pairs = (given, None) if _is_type(given) else given
    if pairs is None and _edges_of(data, data._to_canonical(*kind)) is None:
        raise ValueError(f"edge_label_index: found {kind}, expected pairs: the data has no edges")


def _is_type(given: Sequence[Any]) -> bool:
    return all(isinstance(part, str) for part in given)


def _sampler(
    given: KHopSampler | None,
    data: Data | HeteroData,
    num_neighbors: FanOut | None,
    replace: bool,
    subgraph_type: SubgraphType | str,
    disjoint: bool,
    seed: int | None,
) -> KHopSampler:
    kinds = {"replace": replace, "subgraph_type": subgraph_type, "disjoint": disjoint}
    if given is not None:
        _check_alone(given, {"num_neighbors": num_neighbors, **kinds})
        _check_given(given, data)
        return given
    if num_neighbors is None:
        raise TypeError("num_neighbors: found None, expected one number for each hop")
    if not isinstance(data, (Data, HeteroData)):
        raise TypeError(f"data: found {type(data).__name__}, expected a Data or a HeteroData")
    return KHopSampler(data, num_neighbors, **kinds, seed=seed)  # type: ignore[arg-type]


def _check_alone(sampler: KHopSampler, given: dict[str, Any]) -> None:
    """A sampler that is there comes without the arguments to make one."""
    if not isinstance(sampler, KHopSampler):
        found = type(sampler).__name__
        raise TypeError(f"neighbor_sampler: found {found}, expected a KHopSampler")
    for name, usual in _OF_SAMPLER.items():
        found = getattr(given[name], "value", given[name])
        if found is not usual and found != usual:
            raise TypeError(f"{name}: found {found!r}, expected {usual!r}: the sampler has it")


def _check_given(sampler: KHopSampler, data: Data | HeteroData) -> None:
    types = data.node_types if isinstance(data, HeteroData) else None
    count = {k: data[k].num_nodes for k in types} if types else data.num_nodes
    if count != sampler.num_nodes:
        raise ValueError(f"data: found {count} nodes, expected {sampler.num_nodes} of the sampler")
    for name, edges in sampler.graph.edges.items():
        found = _edges_of(data, name)
        if found is not None and not edges.are_probably(found):
            raise ValueError("data: found other edges, expected those of the sampler, in its order")


def _edges_of(data: Data | HeteroData, name: Any) -> Tensor | None:
    """The edges of a type, if the data has some."""
    if isinstance(data, HeteroData):
        # To ask it for a type that it has not would add the type.
        return data[name].get("edge_index", None) if name in data.edge_types else None
    return data.edge_index if "edge_index" in data else None


def _with_edges(data: Data | HeteroData, sampler: KHopSampler) -> Data | HeteroData:
    """PyG writes edges into a batch only where the data has some; the user's is left alone."""
    missing = [name for name in sampler.graph.edges if _edges_of(data, name) is None]
    if missing:
        data = copy.copy(data)
    for name in missing:
        store = data[name] if isinstance(data, HeteroData) else data
        store.edge_index = torch.empty(2, 0, dtype=torch.int64)
    return data

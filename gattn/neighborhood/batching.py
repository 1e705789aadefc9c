"""The disjoint union of neighbourhoods: a batch of graphs or sequences is one of them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, overload

import torch
from torch import Tensor

from gattn.neighborhood.clustering import Clusters
from gattn.neighborhood.span import Span
from gattn.neighborhood.sparse import Sparse
from gattn.neighborhood.streamed import Streamed, joined

T = TypeVar("T")

_KINDS = (Sparse, Span, Streamed, Clusters)


@overload
def batch(neighborhoods: Sequence[Clusters]) -> Clusters: ...
@overload
def batch(
    neighborhoods: Sequence[Sparse] | Sequence[Span] | Sequence[Streamed],
) -> Sparse | Span | Streamed: ...
def batch(
    neighborhoods: Sequence[Sparse] | Sequence[Span] | Sequence[Streamed] | Sequence[Clusters],
) -> Sparse | Span | Streamed | Clusters:
    """The disjoint union: rows and sources one behind the other, no pair across.

    Args:
        neighborhoods: all of one kind, `Sparse`, `Span`, `Streamed` or `Clusters`; nodes of the
            result are numbered as in the features `torch.cat([x0, x1, ...])`.

    Raises:
        ValueError: there are none, or they differ in what must be common.
        TypeError: kinds are mixed (`span.expand()` gives a `Sparse`).
    """
    if isinstance(neighborhoods, _KINDS):
        raise TypeError("neighborhoods: found one neighbourhood, expected a sequence of them")
    items = list(neighborhoods)
    if len({item.device for item in items if isinstance(item, _KINDS)}) > 1:
        raise ValueError("neighborhoods: found several devices, expected one")
    if not items:
        raise ValueError("neighborhoods: found an empty sequence, expected at least one")
    if all(isinstance(item, Sparse) for item in items):
        return _sparse(items)  # type: ignore[arg-type]
    if all(isinstance(item, Span) for item in items):
        return _span(items)  # type: ignore[arg-type]
    if all(isinstance(item, Streamed) for item in items):
        return _streamed(items)  # type: ignore[arg-type]
    if all(isinstance(item, Clusters) for item in items):
        return _clusters(items)  # type: ignore[arg-type]
    names = ", ".join(sorted({type(item).__name__ for item in items}))
    raise TypeError(f"neighborhoods: found {names}, expected all of one kind")


def _streamed(items: list[Streamed]) -> Streamed:
    _common("hops", [(item.num_hops, item.shells, item.groups) for item in items])
    if len(items) > 1 and any(item.complete for item in items):
        raise ValueError(
            "neighborhoods: found complete=True, expected False: pairs of different graphs would "
            "be unreached ones"
        )
    return joined(items)


def _clusters(items: list[Clusters]) -> Clusters:
    pool = _sparse([item.pool for item in items])
    return Clusters(pool, batch([item.look for item in items]))  # type: ignore[arg-type]


def _sparse(items: list[Sparse]) -> Sparse:
    groups = _common("groups", [item.groups for item in items])
    hops = _common("hops (present or not)", [item.hop is not None for item in items])
    pairs = _offsets([item.num_pairs for item in items])
    sources = _offsets([item.num_sources for item in items])
    rowptr = [item.rowptr[:-1] + pair for item, pair in zip(items, pairs, strict=False)]
    perms = [_positions(item) + pair for item, pair in zip(items, pairs, strict=False)]
    return Sparse(
        torch.cat([*rowptr, items[0].rowptr.new_tensor([pairs[-1]])]),
        torch.cat([item.col + source for item, source in zip(items, sources, strict=False)]),
        sources[-1],
        torch.cat([item.hop for item in items]) if hops else None,  # type: ignore[misc]
        None if all(item.perm is None for item in items) else torch.cat(perms),
        max(item.num_hops for item in items) if hops else None,  # type: ignore[type-var]
        all(item.hops_sorted for item in items),
        groups,
    )


def _positions(item: Sparse) -> Tensor:
    return torch.arange(item.num_pairs, device=item.device) if item.perm is None else item.perm


def _span(items: list[Span]) -> Span:
    windows = _common("kinds (window or not)", [item.is_window for item in items])
    kind = items[0].kind if len(items) == 1 else "packed_window" if windows else "packed"
    shape = _common("window", [(item.radius, item.causal, item.signed) for item in items])
    sources = _offsets([item.num_sources for item in items])
    start = [item.start + source for item, source in zip(items, sources, strict=False)]
    stop = [item.stop + source for item, source in zip(items, sources, strict=False)]
    return Span(torch.cat(start), torch.cat(stop), sources[-1], kind, *shape)


def _common(name: str, found: list[T]) -> T:
    if len(set(found)) != 1:
        raise ValueError(f"neighborhoods: found different {name} {sorted(map(str, set(found)))}")
    return found[0]


def _offsets(sizes: list[int]) -> list[int]:
    return [0, *torch.tensor(sizes).cumsum(0).tolist()]

"""Everything that kernels are compiled differently for, and few calls that have any two together.

Nothing here computes a number: the calls are made for the kernels that they ask for.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import gattn
from gattn import forms, normalizers
from gattn.neighborhood import Neighborhood
from gattn.ops import block_loop, triton
from gattn.ops.problem import Problem
from gattn.ops.triton import search, tiles

Variant = dict[str, Any]

WANTED = {
    "everything": (),
    "nodes": ("left", "right", "value"),
    "tables": ("weight", "source_bias", "target_bias", "hop_bias", "pair_weight", "pair_value"),
    "pairs": ("pair_bias", "pair_features"),
    "a weight": ("pair_weight",),
}
NORMALIZERS = {
    "softmax": normalizers.Softmax(),
    "sigmoid": normalizers.Sigmoid(),
    "top-k": normalizers.TopK(2),
    "hard": normalizers.Hard(),
    "halves": normalizers.Sparsemax(),
}
DTYPES = {
    "float32": (torch.float32,) * 3,
    "float64": (torch.float64,) * 3,
    "bfloat16": (torch.bfloat16,) * 3,
    "mixed": (torch.bfloat16, torch.float32, torch.float16),
    "wider": (torch.float32, torch.float64, torch.bfloat16),
}
"""Of query and key, of the value, and of all else."""

AXES: dict[str, tuple[Any, ...]] = {
    "form": ("product", "of sources", "of targets", "leaky", "tanh"),
    "normalizer": tuple(NORMALIZERS),
    "dtype": tuple(DTYPES),
    "sizes": ((3, 5, 7, 2), (1, 1, 1, 1), (40, 64, 32, 3), (2, 8192, 0, 1), (4, 0, 8, 2)),
    "wanted": tuple(WANTED),
    "features": (None, "weight", "value", "both"),
    "around": ("rows", "rings", "streamed"),
    "dropout": (0.0, 0.3, 0.8),
    "pair_bias": (None, "of pairs", "of heads"),
    "statistic": ("unused", "used", "alone"),
    "shared": (False, True),
    "hop_bias": (False, True),
    "cut": (False, True),
    "dense": (False, True),
    "huge": (False, True),
}
"""What a call may differ in.

`sizes` are H, C, D and F; `shared`: the value is the key; `cut`: rows are long enough to be cut;
`dense`: many pairs for each row, which have larger tiles; `huge`: sizes are beyond int32; a
dropout above 0.5 has a threshold that is.
"""


def possible(variant: Variant) -> bool:
    """Streamed pairs have nothing of their own, and a sigmoid has no statistic."""
    streamed = variant.get("around") == "streamed"
    own = variant.get("pair_bias") or variant.get("features") or variant.get("huge")
    no_statistic = variant.get("normalizer") == "sigmoid"
    return not (streamed and own) and not (
        no_statistic and variant.get("statistic", "unused") != "unused"
    )


def pairs_of(variant: Variant) -> set[tuple[Any, ...]]:
    """Every two choices of a variant."""
    return set(combinations(variant.items(), 2))


def every_pair() -> set[tuple[Any, ...]]:
    """Every two choices that a call can make together."""
    return {
        ((one, a), (other, b))
        for one, other in combinations(AXES, 2)
        for a in AXES[one]
        for b in AXES[other]
        if possible({one: a, other: b})
    }


def cover() -> Iterator[Variant]:
    """Variants in which every two choices occur together, greedily few."""
    draw, left = random.Random(0), every_pair()
    while left:
        wanted = dict(draw.choice(sorted(left, key=str)))
        drawn = ({n: draw.choice(AXES[n]) for n in AXES} | wanted for _ in range(200))
        best = max(filter(possible, drawn), key=lambda v: len(pairs_of(v) & left))
        left -= pairs_of(best)
        yield best


def ask(variant: Variant) -> None:
    """Make a call, forward and backward."""
    around, cut = _around(variant), tiles.Cut.numbers
    problem = _problem(variant, around)
    with (
        mock.patch.object(triton, "reasons", lambda problem: []),
        mock.patch.object(tiles, "LONG", 3 if variant["cut"] else 1 << 20),
        mock.patch.object(block_loop, "MOST_PAIRS", 14),
        mock.patch.object(tiles.Cut, "numbers", _beyond(cut) if variant["huge"] else cut),
    ):
        out, statistic = triton.forward(problem)
        total = torch.zeros(()) if variant["statistic"] == "alone" else out.sum()
        if statistic is not None and variant["statistic"] != "unused":
            total = total + statistic.sum()
        if total.requires_grad:
            total.backward()


def _beyond(numbers: Any) -> Any:
    return lambda cut: {name: size + (1 << 32) for name, size in numbers(cut).items()}


def _around(variant: Variant) -> Neighborhood:
    draw = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 6, (2, 90 if variant["dense"] else 20), generator=draw)
    if variant["around"] == "streamed":
        return gattn.k_hop(edges, 2, 6, streamed=True)
    if variant["around"] == "rings":
        return gattn.k_hop(edges, 2, 6).rings()
    return gattn.k_hop(edges, 2, 6) if variant["hop_bias"] else gattn.from_edge_index(edges, 6)


def _problem(variant: Variant, around: Neighborhood) -> Problem:
    tensors = _Tensors(variant, around)
    form = _form(variant, tensors)
    options = {name: tensors(name) for name in _options(variant)}
    if variant["dropout"]:
        options |= {"dropout": variant["dropout"], "seed": torch.tensor(5)}
    value = None if variant["shared"] else tensors("value")
    normalizer, used = NORMALIZERS[variant["normalizer"]], variant["statistic"] != "unused"
    return Problem(form, value, around, normalizer, wants_statistic=used, **options)


def _form(variant: Variant, tensors: _Tensors) -> forms.Form:
    left, right, kind = tensors("left"), tensors("right"), variant["form"]
    if kind in ("leaky", "tanh"):
        act = "tanh" if kind == "tanh" else "leaky_relu"
        return forms.Additive(left, right, tensors("weight"), act)
    of_sources = tensors("source_bias") if kind == "of sources" else None
    of_targets = tensors("target_bias") if kind == "of targets" else None
    return forms.Multiplicative(left, right, 0.3, of_sources, of_targets)


def _options(variant: Variant) -> Iterator[str]:
    if variant["hop_bias"]:
        yield "hop_bias"
    if variant["pair_bias"]:
        yield "pair_bias"
    if variant["features"]:
        yield "pair_features"
    if variant["features"] in ("weight", "both"):
        yield "pair_weight"
    if variant["features"] in ("value", "both"):
        yield "pair_value"


class _Tensors:
    """The tensors of a variant by name."""

    def __init__(self, variant: Variant, around: Neighborhood) -> None:
        self.variant, (heads, key, width, features) = variant, variant["sizes"]
        width = key if variant["shared"] else width
        nodes = {"left": around.num_targets, "right": around.num_sources}
        of_pair = (heads,) if variant["pair_bias"] == "of heads" else ()
        self.sizes = {
            "left": (nodes["left"], heads, key),
            "right": (nodes["right"], heads, key),
            "value": (nodes["right"], heads, width),
            "weight": (heads, key),
            "source_bias": (nodes["right"], heads),
            "target_bias": (nodes["left"], heads),
            "hop_bias": (3, heads),
            "pair_bias": (around.num_pairs, *of_pair),
            "pair_features": (around.num_pairs, features),
            "pair_weight": (features, heads, key),
            "pair_value": (features, heads, width),
        }

    def __call__(self, name: str) -> Tensor:
        of_nodes, of_value, other = DTYPES[self.variant["dtype"]]
        dtype = {"left": of_nodes, "right": of_nodes, "value": of_value}.get(name, other)
        wanted = WANTED[self.variant["wanted"]]
        made = torch.zeros(self.sizes[name], dtype=dtype)
        return made.requires_grad_(not wanted or name in wanted)


def ask_for_a_search() -> None:
    """Make the searches of streamed pairs, of few words and of many."""
    for nodes in (6, 1200):
        edges = torch.randint(0, nodes, (2, 3 * nodes))
        around = gattn.k_hop(edges, 2, nodes, streamed=True)
        search.Search(around, torch.device("cpu"))(0, nodes)

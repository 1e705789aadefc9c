"""`predict`: what every breadth would cost in each of four ways, before any of it is done."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gattn import _check, _memory
from gattn.cost import memory
from gattn.cost.calibration import OneHop, Rates, Sizes, calibrate
from gattn.cost.text import size
from gattn.neighborhood import Estimate, Interval, estimate
from gattn.neighborhood._tensors import MAX_HOPS
from gattn.neighborhood.estimating import by_target

WAYS = ("stored", "streamed", "diffusion", "sampled")
"""What a cost is predicted for, in the order of the columns."""


@dataclass(frozen=True)
class Way:
    """What one way costs.

    Args:
        seconds: of a step, forward and backward, over all nodes; for "sampled" of all batches.
        bytes: held at the peak of it, with features, gradients and neighbourhood.
        pairs: that are attended to.
        building: seconds before the first step, once.
    """

    seconds: float
    bytes: float
    pairs: float
    building: float = 0.0


@dataclass(frozen=True)
class Breadth:
    """What one breadth costs.

    Args:
        num_hops: K.
        pairs: within K hops.
        ways: by the names of `WAYS`.
        counted: the pairs are exact, not estimated.
    """

    num_hops: int
    pairs: Interval
    ways: dict[str, Way]
    counted: bool = False


@dataclass(frozen=True)
class Costs:
    """What the breadths of a graph cost.

    Args:
        num_nodes: N.
        num_edges: E.
        heads: H.
        channels: C, of each head.
        threads: of torch.
        fan_out: edges that a sampled node picks at each hop.
        batch_size: seeds of a sampled batch.
        breadths: one for each, ascending.
    """

    num_nodes: int
    num_edges: int
    heads: int
    channels: int
    threads: int
    fan_out: int
    batch_size: int
    breadths: tuple[Breadth, ...]


def predict(
    edge_index: Tensor,
    breadths: Iterable[int],
    num_nodes: int | None = None,
    *,
    heads: int = 4,
    channels: int = 64,
    fan_out: int = 10,
    batch_size: int = 1024,
    seed: int = 0,
) -> Costs:
    r"""Seconds and bytes of one layer at every breadth, in float32 on the CPU, four ways.

    - "stored": `attend` over the pairs of `k_hop`;
    - "streamed": the same over pairs that are found again in every forward and backward;
    - "diffusion": one attention over one hop, and K rounds with its weights;
    - "sampled": batches of seeds, around which a node picks `fan_out` edges at each hop, and one
      layer of one hop for each hop; all nodes are seeds once.

    The pairs are those of `estimate`. The seconds of a pair are measured in this call, with N nodes
    of random features and balls of this graph, and scaled:

    $$ t(P) = t_0 + \frac{t(P_\text{sample}) - t_0}{P_\text{sample}} P $$

    with $t_0$ for no pairs at all. A neighbourhood of at most a million pairs is measured as it is.
    "sampled" is scaled from one hop, without the time that sampling itself takes. Bytes follow from
    formulas, those of `gattn.cost.memory`. A call takes seconds.

    Args:
        edge_index: `[2, E]` integers, (source, target).
        breadths: K of each, in hops, from 1.
        num_nodes: N; without it the largest index decides.
        heads: H.
        channels: C, of each head.
        fan_out: edges that a sampled node picks at each hop.
        batch_size: seeds of a sampled batch.
        seed: of all samples.

    Raises:
        TypeError, ValueError, IndexError: an argument is out of range, or the features and their
            gradients, with which pairs are measured, take more memory than is free.
    """
    wanted = _wanted(breadths)
    sizes = Sizes(_check.integer("heads", heads, 1), _check.integer("channels", channels, 1))
    _check.integer("fan_out", fan_out, 1)
    _check.integer("batch_size", batch_size, 1)
    rowptr, col = map(torch.from_numpy, by_target(edge_index, num_nodes))
    _check_room(len(rowptr) - 1, sizes)
    found = estimate(edge_index, wanted[-1], num_nodes, seed=seed)
    rates, one_hop = calibrate((rowptr, col), found, wanted, sizes, seed)
    picks = fan_out, batch_size
    ways = {
        hops: _ways(hops, found, len(col), rates[hops], one_hop, sizes, picks) for hops in wanted
    }
    return Costs(
        found.num_nodes,
        len(col),
        heads,
        channels,
        torch.get_num_threads(),
        *picks,
        tuple(Breadth(k, found.pairs[k], ways[k], k <= found.counted) for k in wanted),
    )


def _wanted(breadths: Iterable[int]) -> list[int]:
    if not isinstance(breadths, Iterable):
        raise TypeError(f"breadths: found {breadths!r}, expected numbers of hops, such as [1, 2]")
    wanted = sorted({_check.integer("breadths", hops, 1, MAX_HOPS) for hops in breadths})
    if not wanted:
        raise ValueError("breadths: found none, expected at least one")
    return wanted


def _check_room(nodes: int, sizes: Sizes) -> None:
    """There are nodes, and memory for what is measured with."""
    if not nodes:
        raise ValueError("num_nodes: found 0, expected a graph with nodes")
    needed, free = memory.features(nodes, sizes), _memory.available()
    if free is not None and needed > free:
        raise ValueError(
            f"num_nodes: found {nodes:,}, whose features and gradients alone take {size(needed)}, "
            f"expected no more than the {size(free)} that are free"
        )


def _ways(
    hops: int,
    found: Estimate,
    edges: int,
    rates: Rates,
    one_hop: OneHop,
    sizes: Sizes,
    picks: tuple[int, int],
) -> dict[str, Way]:
    nodes, pairs, near = found.num_nodes, found.pairs[hops].value, found.pairs[1].value
    return {
        "stored": Way(
            rates.stored(pairs), memory.stored(nodes, pairs, sizes), pairs, rates.building * pairs
        ),
        "streamed": Way(
            rates.streamed(pairs),
            memory.streamed(nodes, edges, pairs, sizes),
            pairs,
            rates.counting * pairs,
        ),
        "diffusion": Way(
            one_hop.weights(near) + hops * one_hop.round(near),
            memory.diffusion(nodes, near, hops, sizes),
            near,
        ),
        "sampled": _sampled(hops, nodes, near, one_hop, sizes, picks),
    }


def _sampled(
    hops: int, nodes: int, near: float, one_hop: OneHop, sizes: Sizes, picks: tuple[int, int]
) -> Way:
    fan_out, batch_size = picks
    seeds = min(batch_size, nodes)
    arrived, edges = _batch(hops, nodes, seeds, min(fan_out, near / nodes))
    # Edges of hop l serve all layers but the last l - 1.
    attended = sum(count * (hops - place) for place, count in enumerate(edges))
    batches = math.ceil(nodes / seeds)
    one = one_hop.attention
    seconds = batches * (one.base * hops * arrived / nodes + one.each * attended)
    held = memory.sampled(arrived, sum(edges), hops, sizes)
    return Way(seconds, held, batches * attended)


def _batch(hops: int, nodes: int, seeds: int, picked: float) -> tuple[float, list[float]]:
    """Nodes of a batch, and its edges by hop; sources are taken to be uniform among all nodes."""
    arrived = newest = float(seeds)
    edges = []
    for _ in range(hops):
        edges.append(newest * picked)
        newest = (nodes - arrived) * -math.expm1(-edges[-1] / nodes)
        arrived += newest
    return arrived, edges

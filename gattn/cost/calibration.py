"""What a pair costs on this machine: measured on a sample of the graph itself, in a few seconds.

Nothing is kept on disk. What a pair costs depends on the graph, on whether `[N, H, C]` fits in a
cache and on what else uses it now, so numbers of another day or graph would mislead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gattn.cost import clock
from gattn.cost.sample import Sample, draw, transposing
from gattn.diffusion import aggregate
from gattn.functional import attend, attention_weights
from gattn.neighborhood import Estimate, Sparse

# Pairs of a sample: so many that what is kept for each does not fit in a cache either. A
# neighbourhood with no more is measured as it is.
_MOST_PAIRS = 1 << 20
# A step is timed twice, short ones up to here.
_SECONDS = 0.05
_MOST_REPEATS = 10


@dataclass(frozen=True)
class Line:
    """Seconds as a straight line.

    Args:
        base: seconds without any pair: what is done for each node.
        each: seconds of a pair.
    """

    base: float
    each: float

    def __call__(self, pairs: float) -> float:
        """Seconds of so many pairs."""
        return self.base + self.each * pairs


@dataclass(frozen=True)
class Rates:
    """What a breadth costs.

    Args:
        stored: a step, forward and backward, over stored pairs.
        streamed: a step over streamed pairs, which are found twice and transposed once.
        counting: seconds to count a pair, once.
        building: seconds to count, find and transpose a pair, once.
    """

    stored: Line
    streamed: Line
    counting: float
    building: float


@dataclass(frozen=True)
class OneHop:
    """What is done over one hop costs, forward and backward.

    Args:
        attention: all of it.
        weights: the weights alone, which diffusion computes once.
        round: the sum alone, which is each of its rounds.
    """

    attention: Line
    weights: Line
    round: Line


@dataclass(frozen=True)
class Sizes:
    """Of a layer.

    Args:
        heads: H.
        channels: C, of each head.
    """

    heads: int
    channels: int


def calibrate(
    rows: tuple[Tensor, Tensor], found: Estimate, breadths: Iterable[int], sizes: Sizes, seed: int
) -> tuple[dict[int, Rates], OneHop]:
    """Rates of every breadth, and those of one hop.

    Args:
        rows: `rowptr` and `col` of the edges by target.
        found: the pairs.
        breadths: which are wanted.
        sizes: of the layer.
        seed: of the samples and features.
    """
    rng = np.random.default_rng(seed)
    samples = {hops: _sample(rows, found, hops, rng) for hops in (1, *breadths)}
    empty = _step(_without_pairs(found.num_nodes, found.num_nodes), sizes)
    partial = [sample for sample in samples.values() if not sample.whole]
    # Pair for pair the balls of all breadths cost the same to attend to: the widest is measured.
    shared = _each(partial[-1].apart(rng), empty, sizes) if partial else 0.0
    rates = {hops: _rates(samples[hops], empty, shared, sizes) for hops in breadths}
    return rates, _one_hop(samples[1], sizes, rng)


def _sample(
    rows: tuple[Tensor, Tensor], found: Estimate, hops: int, rng: np.random.Generator
) -> Sample:
    """All of it, or so many targets that they have about as many pairs as are wanted."""
    pairs = found.pairs[hops].value if hops < len(found.pairs) else 0.0
    if pairs <= _MOST_PAIRS:
        return draw(*rows, hops, found.num_nodes, _MOST_PAIRS * 2, rng)
    wanted = max(1, int(_MOST_PAIRS / found.mean_ball[hops]))
    return draw(*rows, hops, wanted, _MOST_PAIRS * 2, rng)


def _rates(sample: Sample, empty: float, shared: float, sizes: Sizes) -> Rates:
    together, pairs = sample.together(), max(sample.num_pairs, 1)
    transposed = transposing(together)
    alone = empty
    if not sample.whole:
        alone = _step(_without_pairs(together.num_targets, sample.num_nodes), sizes)
    block = max(_step(together, sizes) - alone, 0.0)
    streamed = (block + 2 * sample.finding + transposed) / pairs
    building = (sample.counting + sample.finding + transposed) / pairs
    stored = block / pairs if sample.whole else shared
    return Rates(Line(empty, stored), Line(empty, streamed), sample.counting / pairs, building)


def _one_hop(sample: Sample, sizes: Sizes, rng: np.random.Generator) -> OneHop:
    square = sample.together() if sample.whole else sample.apart(rng)
    empty, pairs = _without_pairs(sample.num_nodes, sample.num_nodes), max(square.num_pairs, 1)
    lines = []
    for step in (_step, _weights, _round):
        base = step(empty, sizes)
        lines.append(Line(base, max(step(square, sizes) - base, 0.0) / pairs))
    return OneHop(*lines)


def _each(around: Sparse, empty: float, sizes: Sizes) -> float:
    """Seconds of a pair in a step."""
    return max(_step(around, sizes) - empty, 0.0) / max(around.num_pairs, 1)


def _without_pairs(targets: int, sources: int) -> Sparse:
    return Sparse(torch.zeros(targets + 1, dtype=torch.int64), torch.empty(0).int(), sources)


def _step(around: Sparse, sizes: Sizes) -> float:
    """Seconds of forward and backward."""
    query, key, value = (
        _features(count, sizes)
        for count in (around.num_targets, around.num_sources, around.num_sources)
    )
    return _timed(lambda: attend(query, key, value, around), (query, key, value))


def _weights(around: Sparse, sizes: Sizes) -> float:
    """Seconds of the weights that diffusion goes on with."""
    query, key = (_features(n, sizes) for n in (around.num_targets, around.num_sources))
    return _timed(lambda: attention_weights(query, key, around), (query, key))


def _round(around: Sparse, sizes: Sizes) -> float:
    """Seconds of a round of diffusion: sums with weights that are there already."""
    value = _features(around.num_sources, sizes)
    weights = torch.ones(around.num_pairs, sizes.heads).requires_grad_()
    return _timed(lambda: aggregate(weights, value, around), (weights, value))


def _features(count: int, sizes: Sizes) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, sizes.heads, sizes.channels, generator=generator).requires_grad_()


def _timed(forward: Callable[[], Tensor], leaves: tuple[Tensor, ...]) -> float:
    """The least seconds of a few steps; the first, which compiles and touches memory, is none."""

    def step() -> float:
        begin = clock.now()
        out = forward()
        torch.autograd.grad(out, leaves, out.detach())
        return clock.now() - begin

    step()
    taken = [step(), step()]
    while sum(taken) < _SECONDS and len(taken) < _MOST_REPEATS:
        taken.append(step())
    return min(taken)

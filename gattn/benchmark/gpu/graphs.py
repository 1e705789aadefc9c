"""Graphs that are made on the device itself, fast, from a seed: any size up to what fits there.

Edges go both ways and are sorted by source, then by target, as PyG's datasets come. Neighbours are
drawn at random all over the graph, without any locality: the honest worst case for a gather, since
real graphs, whose neighbours are often near in number, find more of them in a cache.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gattn.benchmark.graphs import Graph


def power_law(num_nodes: int, num_edges: int, largest: int, seed: int, device: str) -> Graph:
    r"""Return an undirected graph with degrees that fall with the rank of the node.

    $$ \mathbb E[\deg(r)] \propto (r + 1)^{1 - s} - r^{1 - s}, \qquad
       s = 1 + \frac{\ln(d_{\max} / E)}{\ln N} $$

    so that the first rank has $d_{\max}$ expected neighbours. There are no loops; a pair may come
    twice. The same seed gives the same graph on the same kind of device.

    Args:
        num_nodes: N.
        num_edges: E, exactly, both directions counted: even.
        largest: expected largest degree.
        seed: of everything random.
        device: where it is made, and stays.
    """
    generator = _generator(seed, device)
    node_of_rank = torch.randperm(num_nodes, generator=generator, device=device)
    power = math.log(num_edges / largest) / math.log(num_nodes)
    one, other = (
        node_of_rank[_ranks(num_nodes, num_edges // 2, power, generator, device)] for _ in range(2)
    )
    return _both_ways(one, other, num_nodes)


def _ranks(
    num_nodes: int, count: int, power: float, generator: torch.Generator, device: str
) -> Tensor:
    """Ranks of which the first have most, by the inverse of their distribution."""
    # float32 has 24 bits: too few to reach every one of millions of nodes.
    drawn = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
    return drawn.pow_(1 / power).mul_(num_nodes).long().clamp_(max=num_nodes - 1)


def hub(num_nodes: int, num_edges: int, seed: int, device: str) -> Graph:
    """Return a power law beside one node that everyone is linked to, both ways.

    Args:
        num_nodes: N; the hub has N - 1 pairs in and N - 1 out.
        num_edges: E, exactly: 6 N makes a third of all pairs the hub's.
        seed: of everything random.
        device: where it is made, and stays.
    """
    bonds = num_edges // 2 - (num_nodes - 1)
    rest = power_law(num_nodes, 2 * bonds, max(2, num_nodes // 1000), seed, device)
    source, target = rest.edge_index[:, rest.edge_index[0] < rest.edge_index[1]]
    others = torch.arange(num_nodes, device=device)
    center = num_nodes // 2
    others = others[others != center]
    ends = torch.cat([source, others]), torch.cat([target, torch.full_like(others, center)])
    return _both_ways(*ends, num_nodes)


def regular(num_nodes: int, degree: int, seed: int, device: str) -> Graph:
    """Return a random graph with the same number of pairs in and out of every node.

    It is the union of rings through all nodes in random order.

    Args:
        num_nodes: N, at least 3.
        degree: of every node, even.
        seed: of everything random.
        device: where it is made, and stays.
    """
    generator = _generator(seed, device)
    rings = [
        torch.randperm(num_nodes, generator=generator, device=device) for _ in range(degree // 2)
    ]
    following = torch.cat([ring.roll(-1) for ring in rings])
    return _both_ways(torch.cat(rings), following, num_nodes)


def molecules(count: int, seed: int, device: str) -> Graph:
    """Return a batch of small graphs like molecules: trees of 15 to 35 atoms with a few rings.

    The sizes are spread evenly, so that every seed makes 25 atoms on average, and 2.2 pairs for
    each; an atom is bound to one of the three before it, and one in seven of those that can to the
    fifth before it.

    Args:
        count: how many.
        seed: of everything random.
        device: where it is made, and stays.
    """
    generator = _generator(seed, device)
    order = torch.randperm(count, generator=generator, device=device)
    sizes = torch.linspace(15, 35, count, device=device).round().long()[order]
    first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    atom = torch.arange(len(first), device=device)
    inside = atom - first
    back = torch.randint(1, 4, (len(atom),), generator=generator, device=device)
    bound = atom[inside > 0]
    parent = torch.maximum(atom - back, first)[inside > 0]
    able = atom[inside >= 5]
    drawn = torch.randperm(len(able), generator=generator, device=device)
    closing = able[drawn[: len(atom) // 7]]
    return _both_ways(torch.cat([bound, closing]), torch.cat([parent, closing - 5]), len(atom))


def _both_ways(one: Tensor, other: Tensor, num_nodes: int) -> Graph:
    """Every bond as two pairs, sorted; who is bound to itself takes the next node."""
    other = torch.where(one == other, (other + 1) % num_nodes, other)
    both = torch.cat([one * num_nodes + other, other * num_nodes + one]).sort().values
    source = both.div(num_nodes, rounding_mode="floor")
    return Graph(torch.stack([source, both - source * num_nodes]), num_nodes)


def _generator(seed: int, device: str) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)

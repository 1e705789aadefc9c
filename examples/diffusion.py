"""Four ways to be broad in one layer: a ball, rounds of diffusion, tokens of hops, long edges.

    python examples/diffusion.py [--smoke]

Nodes stand in rings. One node of a ring knows the class of them all, and the others have to hear
of it, from as far as half a ring away. What each way costs is printed beside what it learns.
"""

import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F
from torch_geometric.data import Data

import gattn
from gattn.nn import DiffusionAttention, GraphAttention, HopTokenAttention
from gattn.transforms import HopTokens

CLASSES, WIDTH = 4, 16


def rings(count, length, seed=0):
    """Features (class of the one who knows; noise), edges, and the class of each node's ring."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.arange(length)
    ring = torch.stack([place, (place + 1) % length])
    both = torch.cat([ring, ring.flip(0)], dim=1)
    edges = torch.cat([both + k * length for k in range(count)], dim=1)
    label = torch.randint(CLASSES, (count,), generator=generator)
    x = torch.zeros(count * length, CLASSES + 2)
    who = torch.randint(length, (count,), generator=generator) + torch.arange(count) * length
    x[who, label] = 1.0
    x[:, CLASSES:] = torch.randn(count * length, 2, generator=generator)
    return x, edges, label.repeat_interleave(length)


def ways(x, edges, length):
    """By name: a layer, what it is called with, and the pairs of a call."""
    count, hops = len(x), length // 2
    ball, near = (gattn.k_hop(edges, k, count) for k in (hops, 1))
    far = gattn.long_edges(edges, count, degree=4)
    tokens = HopTokens(hops)(Data(x=x, edge_index=edges)).hop_tokens
    sizes, score = (x.shape[1], WIDTH, 2), gattn.scores.GATv2
    broad = DiffusionAttention(*sizes, rounds=hops, restart=0.05, score=score)
    over_ball = GraphAttention(*sizes, hop_bias=hops, score=score)
    over_far = GraphAttention(*sizes, hop_bias=2, score=score)
    return {
        "one hop": (GraphAttention(*sizes, score=score), (x, near), near.num_pairs),
        "ball": (over_ball, (x, ball), ball.num_pairs),
        "diffusion": (broad, (x, near), near.num_pairs),
        "hop tokens": (HopTokenAttention(*sizes), (tokens,), count * (hops + 1) ** 2),
        "long edges": (over_far, (x, far), far.num_pairs),
    }


def fit(layer, inputs, labels, train, epochs):
    """Test accuracy, and milliseconds of an epoch."""
    model = nn.Sequential(nn.LayerNorm(2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, CLASSES))
    parameters = [*layer.parameters(), *model.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    layer(*inputs).sum().backward()  # the first call compiles
    start = time.perf_counter()
    for _ in range(epochs):
        optimizer.zero_grad()
        F.cross_entropy(model(layer(*inputs))[train], labels[train]).backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    right = model(layer(*inputs)).argmax(-1) == labels
    return float(right[~train].float().mean()), 1000 * seconds / epochs


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    count, length, epochs = (6, 8, 3) if args.smoke else (200, 16, 150)
    x, edges, labels = rings(count, length)
    train = torch.arange(count * length) < count * length // 2  # whole rings are held out
    torch.manual_seed(0)
    for name, (layer, inputs, pairs) in ways(x, edges, length).items():
        test, cost = fit(layer, inputs, labels, train, epochs)
        print(f"{name:<11} {pairs:7,d} pairs  {cost:6.1f} ms an epoch  accuracy {test:.3f}")


if __name__ == "__main__":
    main()

"""Breadth: the same layer, looking one, two and three hops far, on a task that needs exactly two.

    python examples/k_hop.py [--smoke]

Every node carries a token; its label is the majority token among the nodes exactly two hops away.
A layer learns a bias for each hop, so it can find out which ring matters; what it found is printed.
"""

import argparse

import torch
import torch.nn.functional as F

import gattn
from gattn.data import load
from gattn.nn import AttentionGNN


def accuracy(model, task, neighborhood, mask):
    model.eval()
    with torch.no_grad():
        right = model(task.x, neighborhood).argmax(-1) == task.y
    return float(right[mask].float().mean())


def fit(task, num_hops, epochs):
    torch.manual_seed(0)
    neighborhood = gattn.k_hop(task.edge_index, num_hops, task.num_nodes)
    model = AttentionGNN(task.x.shape[1], 32, 1, task.num_classes, heads=2, hop_bias=num_hops)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train, _, test = task.split(0)
    for _ in range(epochs):
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(task.x, neighborhood)[train], task.y[train]).backward()
        optimizer.step()
    return model, neighborhood, accuracy(model, task, neighborhood, test)


def mass_by_hop(model, task, neighborhood):
    """How much of its attention an average node spends at each distance."""
    block = model.blocks[0]
    x = block.norm_attention(model.lin_in(task.x))
    weights = block.attention.attention_weights(x, neighborhood).mean(-1)
    mass = torch.zeros(neighborhood.num_hops + 1).index_add(0, neighborhood.hop.long(), weights)
    return (mass / neighborhood.num_targets).tolist()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    nodes, epochs = (60, 3) if args.smoke else (1000, 150)
    task = load("shell-majority", num_nodes=nodes, num_hops=2)
    for num_hops in (1, 2, 3):
        model, neighborhood, test = fit(task, num_hops, epochs)
        with torch.no_grad():
            mass = "  ".join(
                f"hop {d}: {m:.2f}" for d, m in enumerate(mass_by_hop(model, task, neighborhood))
            )
        print(f"{num_hops} hops  {neighborhood.num_pairs:6d} pairs  accuracy {test:.3f}  ({mass})")


if __name__ == "__main__":
    main()

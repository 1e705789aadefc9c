"""Mini-batches of a graph: PyG's GraphSAGE and an attention, trained on sampled neighbourhoods.

    python examples/neighbor_loading.py [--smoke]                      # a generated graph
    python examples/neighbor_loading.py --dataset photo --root DATA    # Amazon Photo

`KHopLoader` has the arguments of PyG's `NeighborLoader` and needs neither pyg-lib nor torch-sparse.
In training every node picks 10 neighbours at each of two hops; the attention normalises over those.
In the test all neighbours are there (-1), so both models say what they would on the whole graph.

The generated graph has five communities: seven of ten edges stay within one, and the features of a
node alone tell its community about every second time.
"""

import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GraphSAGE

from gattn.data import load
from gattn.loader import KHopLoader
from gattn.nn import GraphAttention
from gattn.transforms import OneHop


def communities(num_nodes, degree=14, classes=5, channels=16):
    """A stochastic block model with noisy features."""
    y = torch.randint(classes, (num_nodes,))
    members = [(y == c).nonzero().flatten() for c in range(classes)]
    source = torch.randint(num_nodes, (num_nodes * degree // 2,))
    target = torch.randint(num_nodes, source.shape)
    for c, inside in enumerate(members):
        stays = (y[source] == c) & (torch.rand(source.shape) < 0.7)
        target[stays] = inside[torch.randint(len(inside), (int(stays.sum()),))]
    means = F.one_hot(torch.arange(classes), channels).float()
    edges = torch.stack([torch.cat([source, target]), torch.cat([target, source])])
    return means[y] + torch.randn(num_nodes, channels), edges, y


def graph(args):
    """The data, and how many classes there are."""
    if args.dataset is not None:
        task = load(args.dataset, args.root)
        parts = dict(zip(("train", "val", "test"), task.split(0), strict=True))
        return Data(x=task.x, edge_index=task.edge_index, y=task.y, **parts), task.num_classes
    x, edge_index, y = communities(500 if args.smoke else 20_000)
    part = torch.rand(len(y))
    return Data(x=x, edge_index=edge_index, y=y, train=part < 0.1, test=part > 0.5), 5


class Sage(nn.Module):
    """PyG's model, on a batch."""

    def __init__(self, channels, classes):
        super().__init__()
        self.layers = GraphSAGE(channels, 64, 2, classes, dropout=0.5)

    def forward(self, batch):
        """Logits of all nodes of a batch."""
        return self.layers(batch.x, batch.edge_index)


class Attention(nn.Module):
    """Every node adds what it finds among the neighbours that it has in the batch."""

    def __init__(self, channels, classes, hidden=64, heads=4):
        super().__init__()
        self.lin_in, self.lin_out = nn.Linear(channels, hidden), nn.Linear(hidden, classes)
        self.layers = nn.ModuleList(GraphAttention(hidden, hidden // heads, heads) for _ in "12")

    def forward(self, batch):
        """Logits of all nodes of a batch."""
        x = F.elu(self.lin_in(batch.x))
        for layer in self.layers:
            x = x + F.elu(layer(F.dropout(x, 0.5, self.training), batch.neighborhood))
        return self.lin_out(x)


def fit(model, loader, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    for _ in range(epochs):
        for batch in loader:
            optimizer.zero_grad()
            seeds = slice(batch.batch_size)
            F.cross_entropy(model(batch)[seeds], batch.y[seeds]).backward()
            optimizer.step()


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = [(model(b).argmax(-1) == b.y)[: b.batch_size] for b in loader]
    return float(torch.cat(right).float().mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default=None)
    parser.add_argument("--root", default=None)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    data, classes = graph(args)
    given = {"batch_size": 512, "transform": OneHop(), "num_workers": args.workers, "seed": 0}
    train = KHopLoader(data, [10, 10], data.train, shuffle=True, **given)
    test = KHopLoader(data, [-1, -1], data.test, **given)
    for model in (Sage(data.num_features, classes), Attention(data.num_features, classes)):
        start = time.perf_counter()
        fit(model, train, 2 if args.smoke else 20)
        seconds = time.perf_counter() - start
        print(f"{type(model).__name__:10s} {seconds:6.1f} s  test {accuracy(model, test):.3f}")


if __name__ == "__main__":
    main()

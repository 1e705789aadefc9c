"""What `test_distributed.py` starts in two processes: a training in float64, its outcome a file."""

import sys

import torch
from torch import nn

import gattn
from gattn.data import load
from gattn.nn import AttentionGNN
from gattn.train import OPTIMIZERS, BatchStructure, Settings, fit, seed_everything
from gattn.train.distributed import session, together


class Model(nn.Module):
    """In float64, with a parameter that takes no part and one that only costs."""

    def __init__(self, width, dropout):
        super().__init__()
        self.model = AttentionGNN(width, 8, 1, 2, heads=2, hop_bias=2, dropout=dropout).double()
        self.unused = nn.Parameter(torch.ones(3))
        self.priced = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x, structure):
        return self.model(x.double(), structure)

    def penalty(self):
        return 0.1 * self.priced


def two_hops(edge_index, num_nodes):
    return gattn.k_hop(edge_index, 2, num_nodes)


def train(batch_size, dropout, **arguments):
    """The losses and the parameters, and the metrics."""
    task = load("minesweeper", size=10)
    seed_everything(0)
    model = Model(task.x.size(1), dropout)
    OPTIMIZERS["sgd"] = torch.optim.SGD
    settings = Settings(epochs=4, lr=0.5, optimizer="sgd", clip=1.0, batch_size=batch_size)
    result = fit(model, task, BatchStructure(two_hops, 2), settings=settings, **arguments)
    del OPTIMIZERS["sgd"]
    losses = [(epoch.loss, epoch.val_loss) for epoch in result.history]
    return {"losses": losses, "metrics": result.metrics, "model": model.state_dict()}


def main(out, batch_size, dropout):
    with session() as world:
        found = train(int(batch_size) or None, float(dropout), checkpoint=f"{out}.checkpoint")
        if world.rank == 0:
            torch.save(found, out)


def fail(_out):
    """One process runs out of something; the other waits for it."""
    with session() as world, together():
        if world.rank == 1:
            raise RuntimeError("out of\nsomething")
        world.mean(torch.ones(()))


if __name__ == "__main__":
    (main if len(sys.argv) > 2 else fail)(*sys.argv[1:])

"""The GAT of the paper on Cora, with gattn's layer in the place of PyG's: one import differs.

    python examples/gat_drop_in.py --root DATA        # Cora, downloaded where there is a network
    python examples/gat_drop_in.py --smoke            # a generated graph, a few epochs

Two layers, 8 heads of 8 channels, dropout 0.6 on features and weights, Adam at 0.005 with weight
decay 5e-4, 200 epochs, the test accuracy at the best validation epoch.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

from gattn.data import load
from gattn.nn import GATConv  # instead of: from torch_geometric.nn import GATConv


class GAT(nn.Module):
    """The two layers of the paper."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int, heads: int):
        super().__init__()
        self.inner = GATConv(in_channels, hidden, heads, dropout=0.6)
        self.outer = GATConv(hidden * heads, out_channels, heads=1, concat=False, dropout=0.6)

    def forward(self, x, edge_index):
        """Logits of every node."""
        x = F.dropout(x, p=0.6, training=self.training)
        x = F.elu(self.inner(x, edge_index))
        x = F.dropout(x, p=0.6, training=self.training)
        return self.outer(x, edge_index)


def train(model, optimizer, task, mask):
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(task.x, task.edge_index)[mask], task.y[mask])
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def accuracies(model, task, masks):
    model.eval()
    right = model(task.x, task.edge_index).argmax(-1) == task.y
    return [float(right[mask].float().mean()) for mask in masks]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--dataset", default="cora")
    parser.add_argument("--root", default=None)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    if args.smoke:
        task, args.epochs = load("minesweeper", size=10), 3
    else:
        task = load(args.dataset, root=args.root)

    masks = task.split(0)
    model = GAT(task.x.shape[1], 8, task.num_classes, heads=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005, weight_decay=5e-4)
    best_val = test = 0.0
    for epoch in range(1, args.epochs + 1):
        loss = train(model, optimizer, task, masks[0])
        _, val, now = accuracies(model, task, masks)
        if val > best_val:
            best_val, test = val, now
        if epoch % 20 == 0 or epoch == args.epochs:
            print(f"epoch {epoch:3d}  loss {loss:.3f}  val {val:.3f}  test at best val {test:.3f}")


if __name__ == "__main__":
    main()

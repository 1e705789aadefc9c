"""Depth or breadth: a layer that has both, and a gate for each node that says which it takes.

    python examples/depth_and_breadth.py [--smoke]

Every node of a random graph carries a token, and half of them a flag. The label of a node is the
commonest token among its neighbours; with the flag, among the nodes exactly two hops away. The fine
branch of `DepthBreadth` weighs rings within one hop, the broad branch sees two hops at once. Nobody
tells the gate which node needs what; after training, `inspect` shows what it found. Beside it
stand the same layer with two branches that see one hop, and with two that see two.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

import gattn
from gattn.data import load
from gattn.nn import DepthBreadth

FAR = 2


class Net(nn.Module):
    """One `DepthBreadth` between a linear layer and a classifier."""

    def __init__(self, in_channels, num_classes, channels=16, heads=2):
        super().__init__()
        self.lin = nn.Linear(in_channels, channels)
        fine, broad = {"levels": ("node", "hop"), "hop_bias": FAR}, {"hop_bias": FAR}
        self.balance = DepthBreadth(channels, channels // heads, heads, fine=fine, broad=broad)
        self.classes = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, num_classes)
        )

    def forward(self, x, near, far):
        """Scores of the tokens, `[N, num_classes]`."""
        x = self.lin(x)
        return self.classes(x + self.balance(x, near, far))

    @torch.no_grad()
    def gate(self, x, near, far):
        """1 where a node takes the fine branch, 0 where it takes the broad one, `[N]`."""
        return self.balance.inspect(self.lin(x), near, far)["gate"].mean(-1)


def fit(x, y, train, sides, num_classes, steps):
    torch.manual_seed(0)
    model, losses = Net(x.shape[1], num_classes), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(steps):
        loss = F.cross_entropy(model(x, *sides)[train], y[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    nodes, steps = (200, 20) if args.smoke else (2000, 200)
    one, two = (load("shell-majority", num_nodes=nodes, num_hops=hops) for hops in (1, FAR))
    assert torch.equal(one.x, two.x)  # one graph, one draw of tokens, and two questions
    flag = torch.rand(nodes, generator=torch.Generator().manual_seed(0)) < 0.5
    x = torch.cat([one.x, flag[:, None].float()], dim=1)
    y = torch.where(flag, two.y, one.y)
    near, far = (gattn.k_hop(one.edge_index, hops, nodes) for hops in (1, FAR))
    train, _, test = one.split(0)

    print("accuracy on nodes that were not trained on, and the mean gate of all nodes")
    print("                      label near      label far       gate near, far")
    commonest = y[test] == y[train].mode().values
    parts = [float(commonest[flag[test] == far_off].float().mean()) for far_off in (False, True)]
    print(f"commonest token       {parts[0]:<15.1%} {parts[1]:.1%}")
    pairs = {"near and near": (near, near), "far and far": (far, far), "near and far": (near, far)}
    for name, sides in pairs.items():
        model, losses = fit(x, y, train, sides, one.num_classes, steps)
        with torch.no_grad():
            score = model(x, *sides)
        assert score.shape == (nodes, one.num_classes)
        assert sum(losses[-3:]) < sum(losses[:3])
        right, gate = (score.argmax(-1) == y).float(), model.gate(x, *sides)
        parts = [float(right[test & kind].mean()) for kind in (~flag, flag)]
        gates = ", ".join(f"{float(gate[kind].mean()):.2f}" for kind in (~flag, flag))
        print(f"{name:21s} {parts[0]:<15.1%} {parts[1]:<15.1%} {gates}")


if __name__ == "__main__":
    main()

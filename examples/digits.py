"""Images: handwritten digits as graphs of 8 x 8 pixels.

    python examples/digits.py [--smoke]

A pixel attends to the pixels at most two steps away (a king's steps), with a bias for each
distance: window attention in two dimensions. All images share one neighbourhood, so a batch is
`[B, 64, F]`. The images come with scikit-learn.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.utils import grid

import gattn
from gattn.nn import AttentionBlock

try:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
except ImportError as error:
    raise SystemExit("digits.py needs scikit-learn: pip install scikit-learn") from error

SIZE, RADIUS = 8, 2


class Reader(nn.Module):
    """Attention among nearby pixels, then the largest of every channel."""

    def __init__(self, channels=32, heads=4, num_layers=2):
        super().__init__()
        self.around = gattn.k_hop(grid(SIZE, SIZE)[0], RADIUS, SIZE * SIZE)
        self.ink, self.place = nn.Linear(1, channels), nn.Embedding(SIZE * SIZE, channels)
        self.blocks = nn.ModuleList(
            AttentionBlock(channels, heads, hop_bias=RADIUS) for _ in range(num_layers)
        )
        self.norm, self.digit = nn.LayerNorm(channels), nn.Linear(channels, 10)

    def forward(self, image):
        """Scores of the ten digits, `[B, 10]`, for images `[B, 64]`."""
        x = self.ink(image[..., None]) + self.place.weight
        for block in self.blocks:
            x = block(x, self.around)
        return self.digit(self.norm(x).amax(-2))


def fit(model, image, digit, epochs):
    losses, steps = [], epochs * -(-len(image) // 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.005, total_steps=steps)
    for _ in range(epochs):
        for drawn in torch.randperm(len(image)).split(64):
            loss = F.cross_entropy(model(image[drawn]), digit[drawn])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    pixels, digits = load_digits(return_X_y=True)
    image = torch.tensor(pixels, dtype=torch.float32) / 16
    digit = torch.tensor(digits)
    order = torch.randperm(len(image))
    held, train = order[: len(order) // 4], order[len(order) // 4 :]
    train = train[:320] if args.smoke else train
    model = Reader()
    losses = fit(model, image[train], digit[train], 2 if args.smoke else 25)
    with torch.no_grad():
        score = model(image[held])
    assert score.shape == (len(held), 10)
    assert sum(losses[-3:]) < sum(losses[:3])
    right = float((score.argmax(-1) == digit[held]).float().mean())
    commonest = float((digit[held] == digit[train].mode().values).float().mean())
    linear = LogisticRegression(max_iter=1000).fit(image[train].numpy(), digit[train].numpy())
    regression = linear.score(image[held].numpy(), digit[held].numpy())
    print(f"{len(held)} digits that were not trained on, how many are read right:")
    print(f"  always the commonest digit      {commonest:.1%}")
    print(f"  logistic regression on pixels   {regression:.1%}")
    print(f"  attention within {RADIUS} steps        {right:.1%}")


if __name__ == "__main__":
    main()

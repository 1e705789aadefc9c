"""Time series: where is a pendulum a second from now, told from noisy measurements so far?

    python examples/time_series.py [--smoke]

The signal is generated, by the equation of the pendulum, so no file is needed:

    angle'' = -(g / length) * sin(angle) - friction * angle'

Length, angle and speed at the start are others in each series, and wide swings take longer than
small ones. Every moment attends to itself and the `radius` moments before it, with a bias for each
distance; a batch of series `[B, N, 1]` shares one window. The model is compared with one of radius
1, with persistence (the pendulum stays where it was measured), and with the linear forecast that
fits best, from all measurements that two layers reach.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

import gattn
from gattn.nn import AttentionBlock

LENGTH, AHEAD, NOISE = 128, 5, 0.2
RADIUS = 24


def pendulums(count, draw):
    """Noisy angles so far and true angles `AHEAD` moments later, `[count, LENGTH, 1]` each."""
    angle, speed, pull = torch.rand(3, count, generator=draw).unbind()
    angle, speed, pull = 5.6 * angle - 2.8, 2 * speed - 1, 1 + 3 * pull
    moments = []
    for _ in range(LENGTH + AHEAD):
        moments.append(angle)
        for _ in range(10):  # ten steps of 0.02 s between two measurements
            speed = speed + 0.02 * (-pull * angle.sin() - 0.05 * speed)
            angle = angle + 0.02 * speed
    true = torch.stack(moments, 1)[..., None]
    seen = true + NOISE * torch.randn(true.shape, generator=draw)
    return seen[:, :LENGTH], true[:, AHEAD:]


class Forecast(nn.Module):
    """Attention blocks over a causal window; what comes out is the change from now."""

    def __init__(self, radius, channels=32, heads=8, num_layers=2):
        super().__init__()
        self.span = gattn.window(LENGTH, radius, causal=True, signed=True)
        self.measured, self.change = nn.Linear(1, channels), nn.Linear(channels, 1)
        self.blocks = nn.ModuleList(
            AttentionBlock(channels, heads, hop_bias=2 * radius) for _ in range(num_layers)
        )

    def forward(self, seen):
        """The angle `AHEAD` moments after each, `[B, N, 1]`."""
        x = self.measured(seen)
        for block in self.blocks:
            x = block(x, self.span)
        return seen + self.change(x)


def error(forecast, true):
    """The root of the mean squared error, where there is a whole window to look at."""
    return float((forecast - true)[:, 2 * RADIUS :].square().mean().sqrt())


def fit(radius, seen, true, steps, batch):
    torch.manual_seed(0)
    model, losses = Forecast(radius), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.005, total_steps=steps)
    for _ in range(steps):
        drawn = torch.randint(len(seen), (batch,))
        loss = F.mse_loss(model(seen[drawn]), true[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return model, losses


def linear(train, seen):
    """Least squares on the last `2 * RADIUS + 1` measurements: two layers reach as far."""
    past = [
        F.pad(x[..., 0], (2 * RADIUS, 0)).unfold(1, 2 * RADIUS + 1, 1) for x in (train[0], seen)
    ]
    here = slice(2 * RADIUS, None)
    weight = torch.linalg.lstsq(past[0][:, here].flatten(0, 1), train[1][:, here].flatten(0, 1))
    return past[1] @ weight.solution


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    series, steps, batch = (32, 20, 8) if args.smoke else (1024, 400, 32)
    draw = torch.Generator().manual_seed(0)
    train, (seen, true) = pendulums(series, draw), pendulums(series // 2, draw)
    print(f"error of the forecast for {len(true)} pendulums that were not trained on, in radians")
    print(f"  persistence                {error(seen, true):.3f}")
    print(f"  linear, {2 * RADIUS + 1} measurements    {error(linear(train, seen), true):.3f}")
    for radius in (1, RADIUS):
        model, losses = fit(radius, *train, steps, batch)
        with torch.no_grad():
            forecast = model(seen)
        assert forecast.shape == true.shape
        assert sum(losses[-5:]) < sum(losses[:5])
        print(f"  attention, radius {radius:2d}       {error(forecast, true):.3f}")


if __name__ == "__main__":
    main()

"""Draw the pictures of docs/concepts.md, all of them from what the library computes.

python docs/pictures/draw.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap, PowerNorm

import gattn
from gattn.data.graphs import king_grid
from gattn.nn import GraphAttention

INK, GREY = "#1f2933", "#d5dbe1"
HOPS = ("#d1662f", "#3b6fb6", "#7fa8d9", "#c3d7ee")


def bands(folder: Path) -> Path:
    """Who attends to whom in a sequence of twelve: the pairs of four spans, and of a graph."""
    ptr = torch.tensor([0, 3, 7, 12])
    spans = {
        "full(12)": gattn.full(12),
        "full(ptr=[0, 3, 7, 12])": gattn.full(ptr=ptr),
        "window(12, 2)": gattn.window(12, 2),
        "window(12, None, causal=True)": gattn.window(12, None, causal=True),
        "window(ptr=..., radius=1)": gattn.window(ptr=ptr, radius=1),
    }
    figure, axes = plt.subplots(1, len(spans), figsize=(13, 3))
    for axis, (name, span) in zip(axes, spans.items(), strict=True):
        seen = torch.full((12, 12), -1.0)
        pairs = span.expand()
        source, target = pairs.edge_index()
        hop = torch.ones(pairs.num_pairs) if pairs.hop is None else pairs.hop.clamp(max=3)
        seen[target, source] = hop.float()
        axis.imshow(seen.numpy(), cmap=ListedColormap(["white", *HOPS]), vmin=-1, vmax=3)
        axis.set(title=name, xlabel="source", xticks=[], yticks=[])
        axis.title.set_fontsize(9)
    axes[0].set_ylabel("row (target)")
    return _saved(figure, folder / "bands.png")


def rings(folder: Path) -> Path:
    """The rings of one cell of a grid, and how a layer may weigh them."""
    size, centre = 9, 40
    ball = gattn.k_hop(king_grid(size), 3, size * size)
    row = slice(int(ball.rowptr[centre]), int(ball.rowptr[centre + 1]))
    assert ball.hop is not None
    hop = torch.full((size * size,), -1.0)
    hop[ball.col[row].long()] = ball.hop[row].float()
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
    shown = hop.view(size, size).numpy()
    axes[0].imshow(shown, cmap=ListedColormap([GREY, *HOPS]), vmin=-1, vmax=3)
    axes[0].set_title("k_hop(grid, 3): the rings of one node", fontsize=10)
    for axis, (title, weight) in zip(axes[1:], _weights(ball, size * size).items(), strict=True):
        mass = torch.zeros(size * size)
        mass[ball.col[row].long()] = weight[row]
        axis.imshow(mass.view(size, size).numpy(), cmap="Blues", norm=PowerNorm(0.5, vmin=0))
        axis.set_title(title, fontsize=10)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    return _saved(figure, folder / "rings.png")


def _weights(ball: gattn.Sparse, nodes: int) -> dict[str, torch.Tensor]:
    """Weights of pairs: all in one row, and inside the rings, which are weighed alike."""
    torch.manual_seed(0)
    x = torch.randn(nodes, 4)
    flat, nested = (
        GraphAttention(4, 4, hop_bias=3, levels=levels) for levels in (("node",), ("node", "hop"))
    )
    nested.load_state_dict(flat.state_dict(), strict=False)
    with torch.no_grad():
        found = nested.inspect(x, ball)
        alike = found["node"][:, 0] / 4  # each ring a quarter, whatever its size
        return {
            "depth 1: every pair competes": flat.attention_weights(x, ball)[:, 0],
            "depth 2: every ring may count alike": alike,
        }


def levels(folder: Path) -> Path:
    """The four levels of a layer on a small graph: what attends to what."""
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2))
    drawings: dict[str, Any] = {
        "feature: tokens of a node": _tokens,
        "node: the pairs of a target": _star,
        "hop: the rings of a target": _ring_of_rings,
        "cluster: the clusters of a graph": _clusters,
    }
    for axis, (title, draw) in zip(axes, drawings.items(), strict=True):
        draw(axis)
        axis.set_title(title, fontsize=10)
        axis.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), xticks=[], yticks=[], aspect="equal")
    return _saved(figure, folder / "levels.png")


def _circle(count: int, radius: float) -> torch.Tensor:
    turn = torch.arange(count) * (2 * torch.pi / max(count, 1))
    return radius * torch.stack([turn.sin(), turn.cos()], 1)


def _dots(axis: Any, places: torch.Tensor, colour: str, size: float = 60) -> None:
    axis.scatter(*places.t().numpy(), c=colour, s=size, zorder=2, edgecolors="white")


def _lines(axis: Any, start: torch.Tensor, stop: torch.Tensor, colour: str = GREY) -> None:
    for one, other in zip(start.tolist(), stop.tolist(), strict=True):
        axis.plot([one[0], other[0]], [one[1], other[1]], c=colour, lw=1.2, zorder=1)


def _tokens(axis: Any) -> None:
    places = _circle(4, 0.8)
    pairs = torch.combinations(torch.arange(4))
    _lines(axis, places[pairs[:, 0]], places[pairs[:, 1]], HOPS[1])
    _dots(axis, places, HOPS[0], 160)


def _star(axis: Any) -> None:
    places = _circle(7, 1.0)
    _lines(axis, torch.zeros_like(places), places, HOPS[1])
    _dots(axis, places, HOPS[1])
    _dots(axis, torch.zeros(1, 2), HOPS[0], 160)


def _ring_of_rings(axis: Any) -> None:
    for hop, count in ((1, 5), (2, 9), (3, 13)):
        axis.add_patch(plt.Circle((0, 0), 0.38 * hop, fill=False, color=HOPS[hop], lw=3))
        _dots(axis, _circle(count, 0.38 * hop), HOPS[hop])
    _dots(axis, torch.zeros(1, 2), HOPS[0], 160)


def _clusters(axis: Any) -> None:
    centres = _circle(4, 0.85)
    _lines(axis, torch.zeros_like(centres), centres, HOPS[1])
    for centre in centres:
        members = centre + _circle(6, 0.28)
        _lines(axis, centre.expand_as(members), members)
        _dots(axis, members, HOPS[2], 30)
    _dots(axis, centres, HOPS[1], 130)
    _dots(axis, torch.zeros(1, 2), HOPS[0], 160)


def _saved(figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path


def main(folder: Path) -> list[Path]:
    """Draw all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return [bands(folder), rings(folder), levels(folder)]


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    print("\n".join(str(path) for path in main(where)))

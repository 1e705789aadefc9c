"""Still pictures: the surroundings of one node, and mass by hop."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

_HOPS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#d1662f", "#8b5fbf")
_CLASSES = ("#3b6fb6", "#d1662f", "#4f9d69", "#8b5fbf", "#b8860b", "#c2497a", "#4a9cb0", "#7b8794")


def draw_ego(data: dict[str, Any], path: str | os.PathLike[str]) -> Path:
    """Draw a node with what it attends to, a panel for each layer: rings are hops, widths shares.

    Args:
        data: of `egos`.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure

    own, layers = data["nodes"][str(data["node"])], data["layers"]
    count = max(len(layers), 1)
    figure = Figure(figsize=(5.2 * count, 5.4))
    axes: Any = figure.subplots(1, count, squeeze=False)
    for axis, layer, near in zip(axes[0], layers, own["near"], strict=False):
        _panel(axis, data, near)
        axis.set_title(layer["name"], fontsize=11)
    for axis in axes[0]:
        axis.set_aspect("equal")
        axis.axis("off")
    said = f"node {data['node']}, class {own['y']}, predicted {own['p']}"
    figure.suptitle(f"{said}; width: mean share of the heads, colour: class")
    return _saved(figure, path)


def draw_hop_mass(data: dict[str, Any], path: str | os.PathLike[str]) -> Path:
    """Draw the attention by hop of every layer and head, as bars that sum to one.

    Args:
        data: of `egos`.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure

    layers: list[dict[str, Any]] = [layer for layer in data["layers"] if layer["mass"]]
    bars = [
        (f"{layer['name']}, head {head}", [share / data["scale"] for share in mass])
        for layer in layers
        for head, mass in enumerate(layer["mass"])
    ]
    figure: Any = Figure(figsize=(8, 1.2 + 0.32 * len(bars)))
    axis: Any = figure.subplots()
    hops = max((len(mass) for _, mass in bars), default=0)
    for hop in range(hops):
        left = [sum(mass[:hop]) for _, mass in bars]
        width = [mass[hop] if hop < len(mass) else 0.0 for _, mass in bars]
        colour = _HOPS[hop % len(_HOPS)]
        axis.barh(range(len(bars)), width, left=left, color=colour, label=f"hop {hop}")
    axis.set_yticks(range(len(bars)), [name for name, _ in bars])
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of the attention, mean over nodes")
    if hops:
        axis.legend(
            ncols=min(hops, 6), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False
        )
    return _saved(figure, path)


def _panel(axis: Any, data: dict[str, Any], near: list[list[int]]) -> None:
    rings = max((entry[1] for entry in near), default=1) or 1
    for ring in range(1, rings + 1):
        angle = [2 * math.pi * step / 96 for step in range(97)]
        line = [ring * math.cos(a) for a in angle], [ring * math.sin(a) for a in angle]
        axis.plot(*line, color="#d5dbe1", linewidth=0.8, zorder=0)
    for hop in range(-1, rings + 1):
        ring = [entry for entry in near if entry[1] == hop and entry[0] != data["node"]]
        for number, entry in enumerate(ring):
            _spoke(axis, data, entry, 2 * math.pi * number / len(ring) + 0.5 * hop, rings)
    _dot(axis, data, data["node"], 0.0, 0.0, 320)


def _spoke(axis: Any, data: dict[str, Any], entry: list[int], angle: float, rings: int) -> None:
    share = sum(entry[2:]) / len(entry[2:]) / data["scale"]
    radius = entry[1] if entry[1] > 0 else rings
    x, y = radius * math.cos(angle), radius * math.sin(angle)
    axis.plot([0, x], [0, y], color="#54606d", linewidth=0.4 + 14 * share, alpha=0.7, zorder=1)
    _dot(axis, data, entry[0], x, y, 150)


def _dot(axis: Any, data: dict[str, Any], node: int, x: float, y: float, size: float) -> None:
    known = data["nodes"].get(str(node))
    colour = _CLASSES[known["p"] % len(_CLASSES)] if known else "#ffffff"
    edge = _CLASSES[known["y"] % len(_CLASSES)] if known else "#54606d"
    axis.scatter([x], [y], s=size, color=colour, edgecolors=edge, linewidths=2, zorder=2)
    below = -(size**0.5) / 2 - 2
    place: Any = {"xytext": (0, below), "textcoords": "offset points"}
    axis.annotate(str(node), (x, y), **place, fontsize=7, ha="center", va="top", zorder=3)


def _saved(figure: Any, path: str | os.PathLike[str]) -> Path:
    figure.savefig(path, dpi=130, bbox_inches="tight", facecolor="white")
    return Path(path)

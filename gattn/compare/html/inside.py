"""What trained models attend to, where rows say so: mass by hop, gates, radii."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from gattn._page import Markup, tag
from gattn._page.colours import GOOD, colour, ink_on
from gattn.compare.html.shown import Shown

_WRITTEN = 0.08  # a share that has room for its number


def hop_mass(found: Sequence[Shown]) -> Markup | None:
    """Return bars of where the attention goes, by hop, for every layer of every cell.

    Args:
        found: of `shown`.

    Returns:
        None where no row has a `hop_mass`.
    """
    drawn = [(each, layers) for each in found if (layers := _mean_mass(each))]
    if not drawn:
        return None
    hops = max(len(layer) for _, layers in drawn for layer in layers.values())
    parts = [_bars(each, layers, hops) for each, layers in drawn]
    return tag("div", _legend(hops), tag("div", *parts, class_="bars"))


def gates(found: Sequence[Shown]) -> Markup | None:
    """Return a histogram of the gate of every cell that has one, else None.

    Args:
        found: of `shown`.
    """
    drawn = [(each, kept) for each in found if (kept := _column(each, "gate"))]
    if not drawn:
        return None
    return tag("div", *(_histogram(each, kept) for each, kept in drawn), class_="small-charts")


def radii(found: Sequence[Shown]) -> Markup | None:
    """Return the learned radii of every head, by layer and seed, None where there are none.

    Args:
        found: of `shown`.
    """
    heads = ("setting", "seed", "layer", "learned radius of each head (hops)")
    lines = []
    for each in found:
        for row in each.cell.rows:
            layers: list[Any] = row.get("radius") or []
            for number, layer in enumerate(layers, start=1):
                said = ", ".join(f"{value:.2g}" for value in layer or ())
                link = tag("a", each.name, href=f"#{each.anchor}")
                lines.append((link, row.get("seed"), number, said))
    if not lines:
        return None
    top = tag("tr", *(tag("th", head, scope="col") for head in heads))
    body = [tag("tr", *(tag("td", value) for value in line)) for line in lines]
    return tag("div", tag("table", tag("thead", top), tag("tbody", *body)), class_="scroll")


def _column(each: Shown, name: str) -> list[Any]:
    return [row[name] for row in each.cell.rows if row.get(name)]


def _mean_mass(each: Shown) -> dict[int, list[float]]:
    """Mass by hop of every layer that has hops, averaged over seeds."""
    found = {}
    columns: Iterable[tuple[Any, ...]] = zip_longest(*_column(each, "hop_mass"))
    for number, layers in enumerate(columns, start=1):
        kept = [layer for layer in layers if layer]
        if kept:
            found[number] = [statistics.fmean(hop) for hop in zip_longest(*kept, fillvalue=0.0)]
    return found


def _bars(each: Shown, layers: dict[int, list[float]], hops: int) -> Markup:
    lines = [
        tag("div", tag("span", f"layer {number}", class_="soft"), _bar(layer, hops), class_="line")
        for number, layer in layers.items()
    ]
    head = tag("figcaption", tag("a", each.name, href=f"#{each.anchor}"))
    return tag("figure", head, *lines, class_="figure")


def _bar(layer: Sequence[float], hops: int) -> Markup:
    parts = []
    for hop, share in enumerate(layer):
        background = _hop_colour(hop, hops)
        style = f"width:{100 * share:.2f}%;background:{background};color:{ink_on(background)}"
        written = f"{100 * share:.0f}" if share >= _WRITTEN else None
        parts.append(tag("span", written, style=style, title=f"hop {hop}: {100 * share:.1f} %"))
    said = ", ".join(f"hop {hop} {100 * share:.0f} %" for hop, share in enumerate(layer))
    return tag("div", *parts, class_="bar", role="img", aria_label=said)


def _legend(hops: int) -> Markup:
    keys = [
        tag("span", tag("i", style=f"background:{_hop_colour(hop, hops)}"), f"hop {hop}")
        for hop in range(hops)
    ]
    return tag("p", *keys, class_="legend")


def _hop_colour(hop: int, hops: int) -> str:
    return colour(GOOD, 0.12 + 0.8 * hop / max(hops - 1, 1))


def _histogram(each: Shown, kept: Sequence[dict]) -> Markup:
    counts = [sum(column) for column in zip(*(gate["histogram"] for gate in kept), strict=True)]
    top, width = max(*counts, 1), 200 / len(counts)
    bars = [
        tag(
            "rect",
            x=round(10 + number * width, 1),
            y=round(90 - 80 * count / top, 1),
            width=round(width - 2, 1),
            height=round(80 * count / top, 1),
            class_="column",
        )
        for number, count in enumerate(counts)
    ]
    ticks = [
        tag("text", name, x=10 + 200 * share, y=106, class_="tick x")
        for share, name in ((0, "0"), (0.5, "0.5"), (1, "1"))
    ]
    mean = statistics.fmean(gate["mean"] for gate in kept)
    label = f"{each.name}: gate, mean {mean:.2f}"
    image = tag(
        "svg", *bars, *ticks, viewBox="0 0 220 112", class_="chart", role="img", aria_label=label
    )
    head = tag("figcaption", tag("a", each.name, href=f"#{each.anchor}"), f", mean {mean:.2f}")
    return tag("figure", head, image, class_="figure")

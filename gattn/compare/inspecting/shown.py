"""The findings as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gattn.compare.inspecting.numbers import Findings

if TYPE_CHECKING:
    from rich.table import Table


def print_findings(found: Findings) -> None:
    """Print where layers look, how spread their attention is, and which heads matter.

    Args:
        found: of `findings`.
    """
    from rich.console import Console

    console = Console(highlight=False)
    for table in tables(found):
        console.print(table)


def tables(found: Findings) -> list[Table]:
    """The tables, those that have something to say.

    Args:
        found: of `findings`.
    """
    numbers = found.numbers
    made = [_layers(numbers["layers"])]
    titles = {
        "radii": "Learned radii (hops)",
        "gates": "Gates (mean over nodes)",
        "clusters": "Share of the clusters",
    }
    for name, title in titles.items():
        lines = [(layer, _written(_head_means(each))) for layer, each in numbers[name].items()]
        made += [_table(title, ("layer", "of each head"), lines)] if lines else []
    made.append(_heads(numbers))
    return made + ([_pruned(numbers)] if numbers["pruned"] else [])


def _head_means(value: Any) -> Sequence[float]:
    return value["mean"] if isinstance(value, dict) else value


def _layers(layers: Sequence[dict[str, Any]]) -> Table:
    hops = max((len(each["mass_by_hop"][0]) for each in layers if each["mass_by_hop"]), default=0)
    head = ("layer", "head", *(f"hop {hop}" for hop in range(hops)), "entropy", "eff. neighbours")
    lines = []
    for each in layers:
        for number in range(each["heads"]):
            mass = each["mass_by_hop"][number] if each["mass_by_hop"] else []
            shares = [f"{100 * share:.1f} %" for share in mass] + [""] * (hops - len(mass))
            spread = f"{each['entropy'][number]:.2f}", f"{each['effective_neighbors'][number]:.1f}"
            lines.append((each["name"] if number == 0 else "", str(number), *shares, *spread))
    return _table("Where layers look: attention by hop, mean over nodes", head, lines)


def _heads(numbers: dict[str, Any]) -> Table:
    metric = numbers["trial"]["dataset"]
    title = f"Which heads matter: validation nodes of {metric}, split {numbers['split']}"
    head = ("layer", "head", "metric lost (points)", "loss gained")
    lines = [
        (
            each["layer"],
            str(each["head"]),
            f"{100 * each['drop']:+.2f}",
            f"{each['loss_rise']:+.4f}",
        )
        for each in numbers["heads"]
    ]
    return _table(title, head, lines)


def _pruned(numbers: dict[str, Any]) -> Table:
    pruned = numbers["pruned"]
    heads = "; ".join(f"{name}: {_written(each)}" for name, each in pruned["heads"].items())
    lines = [
        ("heads removed", heads),
        (
            "parameters saved",
            f"{pruned['parameters_saved']:,} ({100 * pruned['share_saved']:.1f} %)",
        ),
        (
            "forward pass",
            f"{1e3 * pruned['seconds_before']:.1f} ms, then {1e3 * pruned['seconds_after']:.1f} ms",
        ),
        ("validation", f"{100 * numbers['val']:.2f}, then {100 * pruned['val']:.2f}"),
        ("test", f"{100 * numbers['test']:.2f}, then {100 * pruned['test']:.2f}"),
    ]
    return _table("Without the heads that matter least", ("", ""), lines)


def _written(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


def _table(title: str, head: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in head:
        left = name in ("layer", "", "of each head")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table

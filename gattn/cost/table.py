"""The table of costs for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gattn.cost.advice import SHARE, advice
from gattn.cost.prediction import WAYS, Breadth, Costs
from gattn.cost.text import counted, duration, size

if TYPE_CHECKING:
    from rich.table import Table

HEAD = ("breadth", "pairs", "95 % interval", "each node", *WAYS)


def rich_table(costs: Costs, limit: float | None) -> Table:
    """Return a line for each breadth; what does not fit is marked.

    Args:
        costs: of the breadths.
        limit: bytes that are free; `None` = not known.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in HEAD:
        table.add_column(name, justify="right")
    for breadth in costs.breadths:
        table.add_row(*map(Text, _texts(breadth, costs.num_nodes, limit)))
    return table


def print_costs(costs: Costs, limit: float | None) -> None:
    """Print the table, what its numbers are, and the advice.

    Args:
        costs: of the breadths.
        limit: bytes that are free; `None` = not known.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=130)  # a file has no width
    console.print(rich_table(costs, limit))
    console.print(_legend(costs, limit))
    for sentence in advice(costs, limit):
        console.print(f"\n{sentence}")


def _texts(breadth: Breadth, nodes: int, limit: float | None) -> list[str]:
    pairs = breadth.pairs
    interval = "counted" if breadth.counted else f"{counted(pairs.low)} to {counted(pairs.high)}"
    room = float("inf") if limit is None else limit * SHARE
    ways = [
        f"{duration(way.seconds)}, {size(way.bytes)}{'' if way.bytes <= room else ' !'}"
        for way in (breadth.ways[name] for name in WAYS)
    ]
    each = counted(pairs.value / nodes)
    return [str(breadth.num_hops), counted(pairs.value), interval, each, *ways]


def _legend(costs: Costs, limit: float | None) -> str:
    free = "" if limit is None else f"; {size(limit)} are free, ! = more than {SHARE:.0%} of it"
    plural = "" if costs.threads == 1 else "s"
    return (
        "Seconds (of the processor, with one thread) and peak memory of one layer, forward and "
        f"backward, {costs.heads} heads of {costs.channels} channels in float32, {costs.threads} "
        f"thread{plural}{free}. stored: the pairs are kept; streamed: found "
        "again in every step; diffusion: one hop of attention and as many rounds as hops; "
        f"sampled: as many layers of one hop as hops, {costs.fan_out} edges for each node and "
        f"hop, batches of {costs.batch_size:,} seeds, all nodes once, sampling "
        "itself not counted."
    )

"""What the rows of a GPU say: a table, and what was aimed at beside what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from gattn._rows import Row
from gattn.benchmark.gpu.providers import STORED, is_ours
from gattn.benchmark.rows import latest
from gattn.benchmark.table import duration, size

HEAD = ("problem", "layer", "pass", "provider", "time", "by pyg", "by compiled", "by anemoi")
MORE = ("of floor", "memory", "note")

LEGEND = (
    "time: median of the rounds (95 % of them); by pyg, by compiled, by anemoi: their time by this "
    "one, above 1 is faster; of floor: the time of the bytes that have to move, at the bandwidth "
    "of a copy, by this one; memory: the most that was allocated above what was there before."
)

_LINE = ("problem", "layer", "pass", "provider", "quick", "device")
_STEPS = ("gate", "tests", "warm", "end", "case")


def lines(rows: Iterable[Row]) -> list[dict[str, Row]]:
    """Return the last rows of every provider and pass, by what they measure.

    Args:
        rows: of a file.
    """
    found: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in latest(rows):
        if row["measure"] not in _STEPS:
            found.setdefault(tuple(row[name] for name in _LINE), {})[row["measure"]] = row
    return list(found.values())


def table(rows: Iterable[Row]) -> str:
    """Return a Markdown table; "by" is how often ours fits into the time of another.

    Args:
        rows: of a file.
    """
    rows = list(rows)
    head = (*HEAD, *MORE)
    body = [_cells(line) for line in lines(rows)]
    cells = [head, ("---",) * len(head), *body]
    text = "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in cells
    )
    steps = [_step(row) for row in latest(rows) if row["measure"] in _STEPS]
    return "\n".join([text, "", LEGEND, "", *steps])


def _cells(line: dict[str, Row]) -> tuple[str, ...]:
    some = next(iter(line.values()))
    time = line.get("time", {})
    names = [str(some[name]) for name in HEAD[:4]]
    by = [_times(faster(time, other)) for other in ("pyg", "pyg-compile", "anemoi")]
    peak = line.get("memory", {}).get("peak_bytes")
    floor = f"{time['of_floor']:.0%}" if "of_floor" in time else ""
    return (*names, _time(time), *by, floor, "" if peak is None else size(peak), _note(line))


def _time(row: Row) -> str:
    if "seconds" not in row:
        return "-"
    return f"{duration(row['seconds'])} ({duration(row['low'])} to {duration(row['high'])})"


def _times(factor: float | None) -> str:
    return "" if factor is None else f"{factor:.2f}"


def faster(row: Row, other: str) -> float | None:
    """Return how often the time of a row fits into that of another provider."""
    found = row.get("ratios", {}).get(other)
    return None if found is None else 1 / found[0]


def _note(line: dict[str, Row]) -> str:
    said = [f"{row['status']}: {row['reason']}" for row in line.values() if "reason" in row]
    if "repeat" in line and line["repeat"]["status"] == "ok":
        said.append("same bits" if line["repeat"]["equal"] else "other bits in a second run")
    return "; ".join(dict.fromkeys(said))


def _step(row: Row) -> str:
    names = (row["problem"], row["layer"]) if row["measure"] == "case" else (row["measure"],)
    more = row.get("reason") or row.get("summary") or ""
    rate = row.get("measured_copy_bytes_per_second")
    copied = "" if rate is None else f", copies {rate / 1e9:.0f} GB/s"
    return f"- {' '.join(names)}: {row['status']}{f', {more}' if more else ''}{copied}"


@dataclass(frozen=True)
class Aim:
    """Something that was aimed at.

    Args:
        text: what it is.
        value: of a line of the table; `None` where the line says nothing about it.
        met: whether a value is good enough.
        form: how a value is written.
    """

    text: str
    value: Callable[[dict[str, Row]], float | None]
    met: Callable[[float], bool]
    form: str = "{:.2f}"


def _both(line: dict[str, Row], other: str) -> float | None:
    """How much faster a layer of ours is, forward and backward."""
    row = line.get("time", {})
    wanted = is_ours(str(row.get("provider"))) and row.get("pass") == "forward+backward"
    return faster(row, other) if wanted else None


def _floor(line: dict[str, Row]) -> float | None:
    row = line.get("time", {})
    wanted = row.get("pass") == "forward" and row.get("problem") == "arxiv"
    return row.get("of_floor") if wanted and is_ours(row["provider"]) else None


def _hub(line: dict[str, Row]) -> float | None:
    row = line.get("time", {})
    return row.get("ratio") if row.get("problem") == "hub" else None


AIMS = (
    Aim("forward+backward, PyG's time by ours, aim 8", lambda r: _both(r, "pyg"), lambda v: v >= 8),
    Aim(
        "forward+backward, compiled PyG's time by ours, aim 2",
        lambda r: _both(r, "pyg-compile"),
        lambda v: v >= 2,
    ),
    Aim(
        "forward+backward, anemoi's time by ours, aim 1",
        lambda r: _both(r, "anemoi"),
        lambda v: v > 1,
    ),
    Aim("forward on arxiv, of the floor, aim 65 %", _floor, lambda v: v >= 0.65, "{:.0%}"),
    Aim("hub by a regular graph, aim at most 1.5", _hub, lambda v: v <= 1.5),
)


def aims(rows: Iterable[Row]) -> list[str]:
    """Return a line for every aim: the least, the median and the largest that was found.

    Args:
        rows: of a file.
    """
    found = lines(rows)
    said = [
        _aimed(aim, [v for line in found if (v := aim.value(line)) is not None]) for aim in AIMS
    ]
    shares = list(_memory_shares(found))
    share = Aim("memory by PyG's, aim at most 0.1", lambda line: None, lambda v: v <= 0.1)
    same = [line["repeat"]["equal"] for line in found if "equal" in line.get("repeat", {})]
    bits = f"two runs bitwise equal: {sum(same)} of {len(same)}"
    return [*said, _aimed(share, shares), bits]


def _aimed(aim: Aim, values: list[float]) -> str:
    if not values:
        return f"{aim.text}: not measured"
    low, middle, high = (aim.form.format(f(values)) for f in (min, median, max))
    met = sum(map(aim.met, values))
    return f"{aim.text}: {low} to {high}, median {middle}; met by {met} of {len(values)}"


def _memory_shares(found: list[dict[str, Row]]) -> Iterator[float]:
    """Ours by PyG's, of the layers that both have."""
    peaks = {
        tuple(row[name] for name in _LINE): row["peak_bytes"]
        for line in found
        if (row := line.get("memory", {})).get("peak_bytes")
    }
    for (problem, layer, passed, provider, *where), peak in peaks.items():
        other = peaks.get((problem, layer, passed, "pyg", *where))
        if other and is_ours(str(provider)) and not str(provider).endswith(STORED):
            yield peak / other

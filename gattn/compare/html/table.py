"""The table of all cells, which the page's script sorts and copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gattn._page import Markup, joined, tag
from gattn.compare.html import text
from gattn.compare.html.shown import (
    Shown,
    Spread,
    by_dataset,
    cells_of,
    described,
    metric_of,
    names,
    spaced,
)
from gattn.compare.statistics import Comparison, compare_to_best, p_text, verdicts


@dataclass(frozen=True)
class Column:
    """One column: its head, the names of its numbers in a CSV file, what it says of a cell."""

    head: str
    csv: tuple[str, ...]
    write: Callable[[Shown], str]
    values: Callable[[Shown], Sequence[Any]]
    number: bool = True


def table(found: Sequence[Shown], recommended: set[str]) -> Markup:
    """Return the table with a line for each cell.

    A head says in `data-csv` which columns it has in a CSV file, a field in `data-v` their values.

    Args:
        found: of `shown`.
        recommended: anchors of the cells to mark.
    """
    columns = _columns(found)
    top = tag("tr", *(_head(column) for column in columns))
    lines = [_line(each, columns, each.anchor in recommended) for each in found]
    made = tag("table", tag("thead", top), tag("tbody", *lines), id="table", class_="sortable")
    return tag("div", made, class_="scroll")


def verdict(found: Sequence[Shown]) -> Markup | None:
    """Return in words which settings differ from the best by validation, and which do not.

    Args:
        found: of `shown`.
    """
    data = [name for name in ("dataset", "options") if name in names(cells_of(found))]
    parts = []
    for group in by_dataset(found):
        where = described(group[0].cell.settings, data)
        for sentence in verdicts(compare_to_best(cells_of(group))):
            parts.append(tag("li", tag("b", f"{where}: ") if where else None, sentence))
    return tag("ul", joined(parts), class_="soft verdict") if parts else None


def _head(column: Column) -> Markup:
    button = tag("button", column.head, type="button")
    return tag(
        "th",
        button,
        scope="col",
        aria_sort="none",
        class_="number" if column.number else None,
        data_csv=json.dumps(column.csv),
    )


def _line(each: Shown, columns: Sequence[Column], recommended: bool) -> Markup:
    first, *rest = columns
    link = tag("a", first.write(each), href=f"#{each.anchor}")
    fields = [_field(each, first, link), *(_field(each, c, c.write(each)) for c in rest)]
    return tag("tr", *fields, class_="recommended" if recommended else None)


def _field(each: Shown, column: Column, content: object) -> Markup:
    values = json.dumps([*column.values(each)], ensure_ascii=False)
    return tag("td", content, data_v=values, class_="number" if column.number else None)


def _columns(found: Sequence[Shown]) -> list[Column]:
    metric = metric_of(found)
    return [
        *(_of_setting(name, found) for name in names([each.cell for each in found])),
        Column("seeds", ("seeds",), lambda e: str(len(e.cell.rows)), lambda e: [len(e.cell.rows)]),
        _of_spread("test", metric),
        Column(
            "95 % interval",
            ("test_low", "test_high"),
            lambda each: text.interval(each.spread("test"), 2),
            lambda each: _ends(each.spread("test")),
        ),
        *_of_comparison({id(item.cell): item for item in compare_to_best(cells_of(found))}),
        _of_spread("val", metric),
        _of_mean("s / epoch", "seconds_per_epoch", lambda value: f"{value:.3f}"),
        _of_mean("seconds", "seconds", lambda value: f"{value:,.1f}"),
        _of_mean("memory (MiB)", "peak_memory_bytes", lambda value: f"{value / 2**20:,.0f}"),
        _of_mean("pairs", "pairs", text.count),
        _of_mean("parameters", "parameters", text.count),
        *([_OUTCOME] if any(len(e.rows) > len(e.cell.rows) for e in found) else []),
    ]


def _of_setting(name: str, found: Sequence[Shown]) -> Column:
    values = [each.cell.settings[name] for each in found]
    numeric = all(isinstance(value, (int, float)) or value is None for value in values)

    def write(each: Shown) -> str:
        value = each.cell.settings[name]
        return text.NOTHING if value is None or value == "" else str(value)

    return Column(spaced(name), (name,), write, lambda e: [e.cell.settings[name]], numeric)


def _of_spread(name: str, metric: str) -> Column:
    return Column(
        f"{name} {metric} (%)",
        (name, f"{name}_std"),
        lambda each: text.spread(each.spread(name), 2),
        lambda each: _middle(each.spread(name)),
    )


def _of_mean(head: str, name: str, write: Callable[[float], str]) -> Column:
    def written(each: Shown) -> str:
        value = each.mean(name)
        return text.NOTHING if value is None else write(value)

    return Column(head, (name,), written, lambda each: [each.mean(name)])


def _of_comparison(tests: dict[int, Comparison]) -> list[Column]:
    """Test metric minus that of the best by validation, and the corrected p value."""

    def difference(each: Shown) -> float | None:
        found = tests.get(id(each.cell))
        return found.paired.difference if found and found.paired else None

    def p_value(each: Shown) -> float | None:
        found = tests.get(id(each.cell))
        return found.corrected if found else None

    def written(each: Shown) -> str:
        value = difference(each)
        return text.NOTHING if value is None else f"{100 * value:+.2f}"

    def judged(each: Shown) -> str:
        found, p = tests.get(id(each.cell)), p_value(each)
        if found is None or p is None:
            return "best" if any(each.cell is cell for cell in best) else text.NOTHING
        return f"p {p_text(p)}" + ("" if found.found else ", no difference found")

    best = [item.best for item in tests.values()]
    if not tests:
        return []
    return [
        Column("to the best", ("difference",), written, lambda each: [difference(each)]),
        Column("difference", ("p_corrected",), judged, lambda each: [p_value(each)], False),
    ]


def _middle(found: Spread | None) -> list[float | None]:
    return [None, None] if found is None else [found.mean, found.std]


def _ends(found: Spread | None) -> list[float | None]:
    return [None, None] if found is None else [found.low, found.high]


def _others(each: Shown) -> str:
    """How many trials did not finish, by status."""
    statuses = [row["status"] for row in each.rows if row["status"] != "ok"]
    return ", ".join(f"{statuses.count(name)} {name}" for name in dict.fromkeys(statuses))


_OUTCOME = Column("not finished", ("not_finished",), _others, lambda e: [_others(e)], False)

"""The first thing on the page: the setting that is recommended, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gattn._page import Markup, tag
from gattn.compare.html import text
from gattn.compare.html.shown import (
    AXES,
    Shown,
    anchor_of,
    by_dataset,
    described,
    metric_of,
    names,
)
from gattn.compare.html.trials import facts
from gattn.compare.recommend import recommendations

_OTHERS = 4  # that are named


@dataclass(frozen=True)
class Choice:
    """The cell that is recommended for one dataset, why, and what is as good by validation."""

    cell: Shown
    why: str
    others: tuple[Shown, ...] = ()


def choices(found: Sequence[Shown]) -> list[Choice]:
    """Return what is recommended, a choice for each dataset that has finished trials.

    Args:
        found: of `shown`.
    """
    by_anchor = {each.anchor: each for each in found}
    rows = [row for each in found for row in each.rows]
    return [
        Choice(
            by_anchor[anchor_of(item.settings)],
            _why(item.why),
            tuple(by_anchor[anchor_of(cell.settings)] for cell in item.alternatives),
        )
        for item in recommendations(rows)
    ]


def answer(found: Sequence[Shown], chosen: Sequence[Choice]) -> Markup:
    """Return the recommendation as a card for each dataset.

    Args:
        found: of `shown`.
        chosen: of `choices`.
    """
    if not chosen:
        said = "No trial is finished, so there is nothing to recommend."
        return tag("div", tag("p", said, class_="large"), class_="card")
    return tag("div", *(_card(choice, found) for choice in chosen), class_="cards")


def _why(sentence: str) -> str:
    """The reason alone: the setting stands above it."""
    for start in (", the cheapest", ", the best"):
        name, found, rest = sentence.partition(start)
        if found and name.startswith("Recommended: "):
            return start[2].upper() + start[3:] + rest
    return sentence


def _card(choice: Choice, found: Sequence[Shown]) -> Markup:
    differing = names([each.cell for each in found])
    data = [name for name in ("dataset", "options") if name in differing]
    where = described(choice.cell.cell.settings, data)
    others = [name for name in _differing(choice, found) if name not in (*AXES, *data)]
    return tag(
        "article",
        tag("p", f"Recommended{f' for {where}' if where else ''}", class_="soft"),
        tag("p", tag("a", *_setting(choice.cell), href=f"#{choice.cell.anchor}"), class_="large"),
        tag("p", described(choice.cell.cell.settings, others)) if others else None,
        tag("p", choice.why),
        _numbers(choice.cell),
        _alternatives(choice),
        class_="card",
    )


def _differing(choice: Choice, found: Sequence[Shown]) -> list[str]:
    """The settings in which the cells of the same dataset differ."""
    group = next(group for group in by_dataset(found) if choice.cell in group)
    return names([each.cell for each in group])


def _setting(each: Shown) -> list[Markup]:
    return [tag("span", f"{name} ", tag("b", each.cell.settings[name])) for name in AXES]


def _numbers(each: Shown) -> Markup:
    metric, test = metric_of([each]), each.spread("test")
    said = [
        (f"test {metric}", f"{text.spread(test)} %"),
        ("95 % interval", text.interval(test)),
        ("time per epoch", text.seconds(each.mean("seconds_per_epoch"))),
        ("peak memory", text.memory(each.mean("peak_memory_bytes"))),
        ("seeds", text.count(len(each.cell.rows))),
    ]
    return facts([(name, value) for name, value in said if value != text.NOTHING])


def _alternatives(choice: Choice) -> Markup | None:
    if not choice.others:
        return None
    named: list[object] = ["As good by validation: "]
    for number, other in enumerate(choice.others[:_OTHERS]):
        time = text.seconds(other.mean("seconds_per_epoch"))
        said = f" (test {text.percent(other.mean('test'))} %, {time} per epoch)"
        link = tag("a", other.name, href=f"#{other.anchor}")
        named += [*(["; "] if number else []), link, said]
    rest = len(choice.others) - _OTHERS
    return tag("p", *named, f"; and {rest} more." if rest > 0 else ".", class_="soft others")

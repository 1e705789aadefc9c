"""The first thing on the page: the setting that is recommended, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gattn._page import Markup, tag
from gattn.compare.html import text
from gattn.compare.html.shown import AXES, Shown, by_dataset, described, metric_of, names
from gattn.compare.html.trials import facts


@dataclass(frozen=True)
class Choice:
    """The cell that is recommended for one dataset, why, and what else would do."""

    cell: Shown
    why: str
    others: tuple[str, ...] = ()


def choices(found: Sequence[Shown]) -> list[Choice]:
    """Return what is recommended, a choice for each dataset that has finished trials.

    Args:
        found: of `shown`.
    """
    groups = ([each for each in group if each.cell.rows] for group in by_dataset(found))
    return [_choice(group) for group in groups if group]


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


def _choice(group: Sequence[Shown]) -> Choice:
    best = max(group, key=lambda each: each.mean("val") or 0.0)
    why = f"It has the best validation {metric_of(group)} of {text.plural(len(group), 'setting')}."
    return Choice(best, why)


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
    return tag("ul", *(tag("li", other) for other in choice.others), class_="soft")

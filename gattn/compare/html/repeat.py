"""The commands that make the rows again, and what they were made with."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gattn.compare.cells import SETTINGS
from gattn.compare.html.text import plural, seconds, when
from gattn.compare.models import MODELS
from gattn.compare.trial import Row, Trial

_SEVERAL = ("dataset", "model", "breadth", "depth", "score", "normalizer", "encoding")
"""Options of `gattn compare` that take several values."""

_Command = dict[str, list[Any]]

_VERSIONS = ("gattn", "torch", "torch_geometric", "python", "device", "threads")


def commands(rows: Iterable[Row], out: str = "results/") -> list[str]:
    """Return calls of `gattn compare` that together train the settings of the rows, and no other.

    What a model has by itself is not written out.

    Args:
        rows: of `read_rows`.
        out: the folder to write.
    """
    cells: dict[str, tuple[Row, set[int]]] = {}
    for row in rows:
        name = repr([row.get(setting) for setting in SETTINGS])
        cells.setdefault(name, (row, set()))[1].add(int(row.get("seed") or 0))
    alike: dict[str, list[Row]] = {}
    fixed: dict[str, list[str]] = {}
    for row, seeds in cells.values():
        for first, count in _runs(seeds):
            options = [*_own(row), *_seeds(first, count), *_place(row)]
            fixed.setdefault(repr(options), options)
            alike.setdefault(repr(options), []).append(row)
    return [
        _written(axes, fixed[name], out)
        for name, members in alike.items()
        for axes in _products(members, list(_SEVERAL))
    ]


def versions(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return with what, where and when rows were made, as names and values.

    Args:
        rows: of `read_rows`.
    """
    said = [(name.replace("_", " "), _listed(row.get(name) for row in rows)) for name in _VERSIONS]
    statuses = [row["status"] for row in rows]
    counted = [f"{statuses.count(s)} {_STATUS.get(s, s)}" for s in dict.fromkeys(statuses)]
    spent = sum(row.get("seconds") or 0.0 for row in rows)
    said.append(("trials", f"{plural(len(rows), 'row')}: {', '.join(counted)}"))
    said.append(("training time", seconds(spent) if spent else ""))
    said.append(("finished", when(str(row["finished_at"]) for row in rows if "finished_at" in row)))
    return [(name, value) for name, value in said if value]


_STATUS = {"ok": "finished"}


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _products(rows: Sequence[Row], splits: list[str]) -> list[_Command]:
    """The values of the options, as few commands as have no combination that is not a row."""
    axes = {name: _distinct(row.get(name) for row in rows) for name in _SEVERAL}
    if not splits or len(rows) == math.prod(map(len, axes.values())):
        return [axes]
    name, *rest = splits
    parts = ([row for row in rows if row.get(name) == value] for value in axes[name])
    return [axes for part in parts for axes in _products(part, rest)]


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _written(axes: _Command, fixed: Sequence[str], out: str) -> str:
    words = ["gattn", "compare"]
    usual = [_usual(str(model)) for model in axes["model"]]
    for name, values in axes.items():
        if name == "dataset" or any([own.get(name)] != values for own in usual):
            words += [f"--{name}", *("none" if value is None else str(value) for value in values)]
    return shlex.join([*words, *fixed, "--out", out])


def _usual(model: str) -> Mapping[str, Any]:
    """What a trial of a model has where nothing is said."""
    own = MODELS[model].recipe if model in MODELS else {}
    return {**_DEFAULTS, **own}


_DEFAULTS = {
    name: field.default for name, field in Trial.__dataclass_fields__.items() if name != "dataset"
}


def _own(row: Row) -> list[str]:
    """Options of one value that are not the model's own."""
    usual = _usual(str(row.get("model")))
    words = _dataset_options(row.get("options") or "")
    for name in SETTINGS:
        value = row.get(name)
        if name in _SEVERAL or name == "options" or value is None or value == usual.get(name):
            continue
        several = value if isinstance(value, (list, tuple)) else [value]
        option = _OPTIONS.get(name, name.replace("_", "-"))
        words += [f"--{option}", *map(str, several)]
    return words


_OPTIONS = {"judged_by": "metric", "scheduler": "lr-scheduler"}
"""Settings whose option has another name."""


def _dataset_options(text: str) -> list[str]:
    return ["--option", *text.split(" ")] if text else []


def _runs(seeds: set[int]) -> list[tuple[int, int]]:
    """The first of each run of seeds without a gap, and how many follow."""
    starts = sorted(seed for seed in seeds if seed - 1 not in seeds)
    ends = sorted(seed for seed in seeds if seed + 1 not in seeds)
    return [(first, last - first + 1) for first, last in zip(starts, ends, strict=True)]


def _seeds(first: int, count: int) -> list[str]:
    return ["--seeds", str(count), *(["--first-seed", str(first)] if first else [])]


def _place(row: Row) -> list[str]:
    device = row.get("device")
    where = ["--device", "cuda"] if device not in (None, "cpu") else []
    threads = row.get("threads")
    return [*where, *([] if threads is None else ["--threads", str(threads)])]

"""The trials of a study: every combination of what is asked for, each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from gattn.compare.breadth import Breadth
from gattn.compare.trial import Trial

# One layer, so that breadth is the only way to see farther. The other settings were chosen on the
# validation nodes of the first split. A hop bias starts at zero and has to grow by several units,
# and Adam moves a parameter by about lr in a step: hence the large lr. Tensors are so small that a
# second thread gains little, and costs a multiple where another program wants the core.
PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "dataset": ["minesweeper"],
        "options": (("size", 40),),
        "model": ["attention"],
        "breadth": [1, 2, 3],
        "depth": [1, 2],
        "seeds": 2,
        "layers": 1,
        "dropout": 0.3,
        "epochs": 250,
        "lr": 0.02,
        "threads": 1,
    },
}
"""Ready-made studies for the command line: arguments of `grid`, and `threads` of torch."""


def grid(
    *,
    dataset: Iterable[str],
    model: Iterable[str] = ("attention",),
    breadth: Iterable[Breadth] = (1,),
    depth: Iterable[int] = (1,),
    score: Iterable[str] | None = None,
    normalizer: Iterable[str] | None = None,
    encoding: Iterable[str | None] | None = None,
    seeds: int = 1,
    first_seed: int = 0,
    **settings: Any,
) -> list[Trial]:
    """Return the trials of a study, each once, those of one breadth side by side.

    A combination that no model can have, such as depth 2 with the breadth `full`, which tells no
    distances apart, is left out where each of its values occurs in another one, and refused where
    one of them would not occur at all.

    Args:
        dataset: names of datasets.
        model: names of models.
        breadth: hops that a node looks, or words: see `gattn.compare.breadth`.
        depth: nested attentions of a layer.
        score: names of scores; None takes the model's usual one.
        normalizer: names of normalisers; None likewise.
        encoding: names of encodings of positions, or None among them, for features alone.
        seeds: how many seeds.
        first_seed: the first of them.
        **settings: other fields of a trial, such as `heads=4`, or a list of values, `heads=[1, 4]`;
            what is not given is the model's.

    Raises:
        ValueError: an unknown name, a number out of range, a depth that a model cannot have.
    """
    if seeds < 1:
        raise ValueError(f"seeds: found {seeds}, expected at least 1")
    axes: dict[str, Any] = {"dataset": dataset, "breadth": breadth, "depth": depth, "score": score}
    axes |= {"normalizer": normalizer, "encoding": encoding}
    axes |= {name: value for name, value in settings.items() if isinstance(value, list)}
    fixed = {name: value for name, value in settings.items() if not isinstance(value, list)}
    chosen = {name: list(values) for name, values in axes.items() if values is not None}
    found = list(_combinations({**chosen, "model": list(model)}, fixed))
    _refuse_lost(found)
    trials = [trial for _, trial, _ in found if trial is not None]
    several = range(first_seed, first_seed + seeds)
    return list(dict.fromkeys(replace(trial, seed=seed) for trial in trials for seed in several))


_Found = tuple[dict[str, Any], Trial | None, ValueError | None]


def _combinations(axes: Mapping[str, list[Any]], fixed: Mapping[str, Any]) -> Iterator[_Found]:
    """Every combination with its trial, or with what is wrong about it."""
    for values in product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        try:
            yield cell, Trial.of(**cell, **fixed), None
        except ValueError as error:
            yield cell, None, error


def _refuse_lost(found: Iterable[_Found]) -> None:
    """Raise what is wrong about the first value that no trial has."""
    kept, lost = [], []
    for cell, trial, error in found:
        (lost if trial is None else kept).append((cell, error))
    for cell, error in lost:
        if any(all(cell[name] != other[name] for other, _ in kept) for name in cell):
            assert error is not None  # it has no trial
            raise error

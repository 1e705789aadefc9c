"""What layers learn about breadth, and rings with a sign: `python -m gattn.compare.learned`.

Rows go to one `rows.jsonl`, so that a run which was stopped goes on; then the tables of a page and
a figure are made from them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gattn import _check as check
from gattn._arguments import prepare
from gattn._rows import append_row, check_writable
from gattn.compare.known import filled
from gattn.compare.learned_shown import TABLES, draw
from gattn.compare.models import MODELS, Setting
from gattn.compare.run import read_rows
from gattn.compare.trial import Row, Structure, Trial, build_structure, circumstances, load_task
from gattn.data import Task
from gattn.metrics import METRICS
from gattn.nn import HopLevel, LearnedSpan
from gattn.train import Epoch, fit, seed_everything

FILE = "rows.jsonl"
REACH = 5
"""Hops that a layer may look, where it learns how many it needs."""

_EVERY = 5
_SPAN: dict[str, Setting] = {"span": "learned", "span_price": 0.01}
_MIXINGS = ("softmax", "gate", "signed")
_OTHER: dict[str, Any] = {"layers": 1, "heads": 4, "dropout": 0.3, "epochs": 100}


@dataclass(frozen=True)
class Case:
    """One training: a trial, and what its layers have that a trial has no name for.

    Args:
        study: a name of `gattn.compare.learned_shown.TABLES`.
        line: where it stands in the table of the study.
        column: likewise.
        trial: what is trained.
        more: further arguments of `GraphAttention`.
    """

    study: str
    line: str
    column: str
    trial: Trial
    more: tuple[tuple[str, Setting], ...] = ()

    def key(self) -> str:
        """Return 16 hexadecimal digits that stand for all settings."""
        text = json.dumps([self.trial.key(), sorted(self.more)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def row(self) -> Row:
        """Return what is trained as a flat JSON object."""
        place = {"key": self.key(), "study": self.study, "line": self.line, "column": self.column}
        more = " ".join(f"{name}={value}" for name, value in self.more)
        return {**self.trial.row(), **place, "attention": more}


def cases(names: Iterable[str], seeds: int, first_seed: int = 0) -> list[Case]:
    """Return the trainings of some studies.

    Args:
        names: of `gattn.compare.learned_shown.TABLES`.
        seeds: how many seeds of each.
        first_seed: the first of them.
    """
    kinds = {"breadth": _breadth, "ramp": _ramp, "far-heterophily": _heterophily, "other": _other}
    chosen = range(first_seed, first_seed + check.integer("seeds", seeds, 1))
    return [case for name in names for seed in chosen for case in kinds[name](seed)]


def _breadth(seed: int) -> Iterator[Case]:
    for hops in range(1, REACH):
        common: dict[str, Any] = {"options": (("degree", 3), ("num_hops", hops)), "seed": seed}
        for line, reach, heads, more in (
            ("learned", REACH, 1, _SPAN),
            ("learned, four heads", REACH, 4, _SPAN),
            ("all hops", REACH, 1, {}),
            ("the right hops", hops, 1, {}),
        ):
            trial = Trial.of("shell-majority", "layer", breadth=reach, heads=heads, **common)
            yield Case("breadth", line, str(hops), trial, tuple(more.items()))


def _ramp(seed: int) -> Iterator[Case]:
    """The same with the fading out spread over two hops."""
    for case in _breadth(seed):
        if case.line == "learned":
            yield replace(case, study="ramp", line="ramp 2", more=(*case.more, ("span_ramp", 2.0)))


def _heterophily(seed: int) -> Iterator[Case]:
    for line in _MIXINGS:
        for heads, column in ((1, "one head"), (2, "two heads")):
            common: dict[str, Any] = {"breadth": 2, "depth": 2, "heads": heads, "seed": seed}
            trial = Trial.of("far-heterophily", "layer", **common)
            yield Case("far-heterophily", line, column, trial, (("hop_mixing", line),))


def _other(seed: int) -> Iterator[Case]:
    for dataset, options in (("chameleon-filtered", ()), ("minesweeper", (("size", 40),))):
        for line in _MIXINGS:
            trial = Trial.of(dataset, breadth=3, depth=2, options=options, seed=seed, **_OTHER)
            yield Case("other", line, dataset, trial, (("hop_mixing", line),))


def train(case: Case, task: Task, structure: Structure) -> Row:
    """Train one case and return its row.

    Args:
        case: what to train.
        task: the dataset of its trial.
        structure: of `build_structure`.

    Returns:
        The settings; "val" and "test" of the best epoch, "last" of the test nodes after the last
        epoch. Of learned spans, for each: "radius" `[H]` and "span" `[H]` after the last epoch and
        "path", `[H]` for every fifth. Of signed rings "ring_bias", `[K + 1, H]` for each layer, at
        the best epoch.
    """
    trial, split = case.trial, case.trial.seed % task.num_splits
    seed_everything(trial.seed)
    build = MODELS[trial.model].build
    model = build(trial, task.x.size(1), task.num_classes, **dict(case.more))
    track = _Track(model, task, structure, split, trial.epochs)
    settings, seed = trial.settings(), trial.seed
    result = fit(model, task, structure, settings=settings, seed=seed, split=split, progress=track)
    levels = [module for module in model.modules() if isinstance(module, HopLevel)]
    return {
        **case.row(),
        "status": "ok",
        "split": split,
        "metric": task.metric,
        "val": result.val,
        "test": result.test,
        "best_epoch": result.best_epoch,
        "epochs_run": result.epochs,
        "seconds": result.seconds,
        **track.found,
        "ring_bias": [each.ring_bias.tolist() for each in levels if each.ring_bias is not None],
        **circumstances("cpu"),
    }


class _Track:
    """Watches a training: radii as they go, and the test nodes after the last epoch."""

    def __init__(
        self, model: nn.Module, task: Task, structure: Structure, split: int, epochs: int
    ) -> None:
        self.model, self.task, self.structure, self.epochs = model, task, structure, epochs
        self.test = task.split(split)[2]
        self.spans = [module for module in model.modules() if isinstance(module, LearnedSpan)]
        self.path: list[list[list[float]]] = []
        self.found: Row = {}

    def __call__(self, epoch: Epoch) -> None:
        if epoch.number % _EVERY == 0:
            self.path.append(self._radius())
        if epoch.number + 1 == self.epochs:
            self.found = {"last": self._last(), "span": self._radius(), "path": self.path}
            self.found["radius"] = [span.radii().tolist() for span in self.spans]

    def _radius(self) -> list[list[float]]:
        return [[round(z, 4) for z in span.radius().tolist()] for span in self.spans]

    @torch.no_grad()
    def _last(self) -> float:
        logits = self.model(self.task.x, self.structure)
        return METRICS[self.task.metric](logits[self.test], self.task.y[self.test])


def run(wanted: Sequence[Case], path: Path, root: str | None = None) -> None:
    """Train the cases that have no row yet, each row on the disk before the next begins.

    Args:
        wanted: what to train.
        path: the file of rows.
        root: of the datasets.
    """
    check_writable(path)
    done = {row["key"] for row in read_rows(path)}
    pending = [case for case in wanted if case.key() not in done]
    for number, case in enumerate(pending, start=1):
        task = load_task(case.trial, root)
        row = train(case, task, build_structure(case.trial, task))
        append_row(path, row)
        where = f"{case.study}: {case.line}, {case.column}, seed {case.trial.seed}"
        print(f"{number}/{len(pending)} {where}: test {row['test']:.4f}", flush=True)


def write(out: Path, into: Path | None = None) -> Mapping[str, str]:
    """Write the figure `learned.png`, and return the tables.

    Args:
        out: the folder of the rows.
        into: a page to renew the tables of.
    """
    rows = read_rows(out / FILE)
    tables = {name: table(rows) for name, table in TABLES.items()}
    if into is not None:
        into.write_text(filled(into.read_text(encoding="utf-8"), tables), encoding="utf-8")
    if any(row.get("path") for row in rows):
        draw(rows, out / "learned.png")
    return tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the studies named on the command line, and print their tables."""
    found = _parser().parse_args(arguments)
    names = found.study or list(TABLES)
    try:
        for name in names:
            check.one_of("study", name, tuple(TABLES))
        prepare("cpu", found.threads)
        wanted = cases(names, found.seeds, found.first_seed)
        if not found.table:
            run(wanted, found.out / FILE, found.root)
        for name, text in write(found.out, found.page).items():
            print(f"{name}\n\n{text}")
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gattn.compare.learned", description=__doc__)
    add = parser.add_argument
    add("study", nargs="*", help=f"all, if none is named: {', '.join(TABLES)}")
    add("--out", type=Path, required=True, help="folder of rows and the figure")
    add("--seeds", type=int, default=5, help="how many seeds")
    add("--first-seed", type=int, default=0, help="the first of them")
    add("--root", help="folder of the datasets")
    add("--threads", type=int, help="threads of torch")
    add("--table", action="store_true", help="train nothing: make all again from the rows")
    add("--page", type=Path, help="a Markdown page to renew the tables of")
    return parser


if __name__ == "__main__":
    main()

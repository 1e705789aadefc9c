"""The one runner: builds, checks agreement, times in turns, then measures memory apart.

Rows come one by one, each as soon as it is measured. A provider that cannot run leaves a row with
the status "unavailable", one that fails or disagrees one with "failed"; the others go on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from gattn._rows import Row
from gattn.benchmark import rows
from gattn.benchmark.agree import disagreements, results
from gattn.benchmark.memory import measure_apart
from gattn.benchmark.passes import PASSES, Model
from gattn.benchmark.plan import Case, Entry, Plan
from gattn.benchmark.problems import Inputs
from gattn.benchmark.providers import provider
from gattn.benchmark.timing import interleave

# What libraries raise when they cannot do something; a benchmark goes on with the next.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)

Say = Callable[[str], object]


def run(plan: Plan, say: Say = lambda text: None) -> Iterator[Row]:
    """Measure a plan, and yield a row whenever one is finished.

    Args:
        plan: what to measure.
        say: told in a few words what comes next.
    """
    common = {"run": secrets.token_hex(4), "quick": plan.quick, "seed": plan.seed}
    common |= rows.circumstances(plan.device)
    for case in plan.cases():
        for row in (_alone if case.problem.alone else _together)(case, say):
            finished = {**row, **common, "finished_at": rows.now()}
            yield {"key": rows.key(finished), **finished}


def _row(case: Case, entry: Entry, passed: str, status: str, **fields: object) -> Row:
    names = {"problem": entry.problem.name, "layer": case.layer.name}
    return {**names, "pass": passed, "provider": entry.provider.name, "status": status, **fields}


def _failed(case: Case, entry: Entry, passed: str, measure: str, error: BaseException) -> Row:
    reason = rows.reason_of(error)
    return _row(case, entry, passed, "failed", measure=measure, reason=reason)


def _lost(case: Case, entry: Entry, status: str, reason: str) -> Iterator[Row]:
    """Rows of an entry that is not measured at all, one for each pass."""
    for passed in case.passes:
        yield _row(case, entry, passed, status, measure="time", reason=reason)


def _able(case: Case) -> tuple[list[Entry], list[Row]]:
    """Entries that may run, and rows of the others."""
    device, able, lost = torch.device(case.plan.device), [], []
    for entry in case.entries():
        reasons = entry.provider.reasons(case.layer, device)
        if reasons:
            lost += _lost(case, entry, "unavailable", "; ".join(reasons))
        else:
            able.append(entry)
    return able, lost


def _together(case: Case, say: Say) -> Iterator[Row]:
    """Time the providers in turns in this process, then measure their memory apart."""
    entries, lost = _able(case)
    yield from lost
    say(f"{case.problem.name} {case.layer.name}: checking that the providers agree")
    models, sizes, lost = _agreeing(case, entries)
    yield from lost
    entries = [entry for entry in entries if entry.label in models]
    for passed in case.passes if entries else ():
        say(f"{case.problem.name} {case.layer.name} {passed}: timing {', '.join(models)}")
        yield from _timed(case, passed, entries, models, sizes)
    models.clear()
    for passed in case.passes if case.plan.memory else ():
        for entry in entries:
            say(f"{case.problem.name} {case.layer.name} {passed}: memory of {entry.label}")
            yield _measured(case, entry, passed, sizes)


Sizes = dict[str, dict[str, int]]


def _agreeing(case: Case, entries: Sequence[Entry]) -> tuple[dict[str, Model], Sizes, list[Row]]:
    """Models by label, those that fail or disagree left out; sizes by problem; rows of the rest."""
    models: dict[str, Model] = {}
    sizes: Sizes = {}
    lost: list[Row] = []
    for problem in {entry.problem.name: entry.problem for entry in entries}.values():
        inputs = case.inputs(problem)
        sizes[problem.name] = {"nodes": inputs.num_nodes, "pairs": inputs.num_pairs}
        expected = results(provider(problem.reference).build(inputs))
        for entry in (entry for entry in entries if entry.problem is problem):
            model, reason = _tried(entry, inputs, expected)
            if model is None:
                lost += _lost(case, entry, "failed", reason)
            else:
                models[entry.label] = model
    return models, sizes, lost


def _tried(
    entry: Entry, inputs: Inputs, expected: Mapping[str, torch.Tensor]
) -> tuple[Model | None, str]:
    """The model if it runs and agrees, else None and why not."""
    try:
        model = entry.provider.build(inputs)
        wrong = disagreements(results(model), expected)
    except _FAILURES as error:
        return None, rows.reason_of(error)
    if wrong:
        believed = entry.problem.reference
        return None, f"not timed, it disagrees with {believed}: {'; '.join(wrong)}"
    return model, ""


def _timed(
    case: Case, passed: str, entries: Iterable[Entry], models: Mapping[str, Model], sizes: Sizes
) -> Iterator[Row]:
    """Rows of a pass; who fails in it takes no turns."""
    steps: dict[str, Callable[[], object]] = {}
    running = []
    for entry in entries:
        step = partial(PASSES[passed], models[entry.label])
        try:
            step()
        except _FAILURES as error:
            yield _failed(case, entry, passed, "time", error)
            continue
        steps[entry.label] = step
        running.append(entry)
    taken = interleave(steps, case.plan.rounds, torch.device(case.plan.device))
    for entry in running:
        fields = rows.time_row(taken, entry.label, entry.base)
        yield _row(case, entry, passed, "ok", **fields, **sizes[entry.problem.name])


def _measured(case: Case, entry: Entry, passed: str, sizes: Sizes) -> Row:
    try:
        found = measure_apart(case.spec(entry, passed))
    except RuntimeError as error:
        return _failed(case, entry, passed, "memory", error)
    fields = rows.memory_row(found)
    return _row(case, entry, passed, "ok", **fields, **sizes[entry.problem.name])


def _alone(case: Case, say: Say) -> Iterator[Row]:
    """Time and memory from one fresh process for each provider, after a check on the tiny graph."""
    tiny = replace(case, plan=replace(case.plan, quick=True))
    entries, lost = _able(case)
    models, _, failed = _agreeing(tiny, entries)
    yield from (*lost, *failed)
    for passed in case.passes:
        for entry in (entry for entry in entries if entry.label in models):
            say(f"{case.problem.name} {case.layer.name} {passed}: {entry.label}, alone")
            yield from _lonely(case, entry, passed)


def _lonely(case: Case, entry: Entry, passed: str) -> Iterator[Row]:
    try:
        found = measure_apart(case.spec(entry, passed, case.plan.rounds))
    except RuntimeError as error:
        yield _failed(case, entry, passed, "time", error)
        return
    sizes = {name: found[name] for name in ("nodes", "pairs")}
    fields = rows.time_row({entry.label: found["rounds"]}, entry.label, None)
    yield _row(case, entry, passed, "ok", **fields, **sizes)
    yield _row(case, entry, passed, "ok", **rows.memory_row(found), **sizes)

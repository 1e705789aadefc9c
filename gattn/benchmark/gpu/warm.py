"""Compiling beforehand, in many processes at once: what is compiled is kept on the disk.

A case would wait for its kernels one after the other, for seconds each. Here each process runs the
operator of one kind and dtype on graphs with as many pairs for each node as the ones that are
measured, or compiles one of PyG's layers; the measuring process finds the results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from gattn._rows import Row
from gattn.benchmark.gpu.measure import Bench
from gattn.benchmark.gpu.problems import PROBLEMS, Case
from gattn.benchmark.gpu.providers import providers_of
from gattn.benchmark.gpu.session import Session, step_row
from gattn.benchmark.passes import PASSES, Model
from gattn.benchmark.problems import Inputs
from gattn.benchmark.providers import provider

_AT_ONCE = 16


@dataclass(frozen=True)
class Job:
    """What one process compiles.

    Args:
        name: of the job.
        cases: whose code it is; more than one are operators.
    """

    name: str
    cases: tuple[Case, ...]


def jobs_of(cases: Sequence[Case], compiles: int) -> list[Job]:
    """Return the jobs of a plan: the slow ones, PyG's layers, first.

    Args:
        cases: of the plan.
        compiles: how many layers are compiled at most.
    """
    compiled = [Job(case.name, (case,)) for case in cases if case.compiled][:compiles]
    kinds: dict[str, list[Case]] = {}
    for case in cases:
        if case.is_operator and not case.captured:
            kinds.setdefault(f"{case.layer.kind} {case.layer.precision}", []).append(case)
    return compiled + [Job(name, tuple(found)) for name, found in kinds.items()]


def warm(session: Session, job: Job) -> None:
    """Run everything of a job once, so that its code is on the disk.

    Args:
        session: of the run.
        job: one of `jobs_of`.
    """
    if job.cases[0].compiled:
        return _compile(session, job.cases[0])
    bench = Bench(session)
    for case in job.cases:
        problem = PROBLEMS[case.problem]
        problem = replace(problem, make=problem.like or problem.make)
        inputs = bench.inputs(case.layer, problem)
        for chosen in providers_of(case, session.backend):
            if not chosen.reasons(case.layer, session.where):
                _run(chosen.build, inputs)


def _compile(session: Session, case: Case) -> None:
    """On the graph itself: the code is for its shapes only."""
    chosen = provider("pyg-compile")
    _run(chosen.build, Bench(session).inputs(case.layer, PROBLEMS[case.problem]))


def _run(build: Callable[[Inputs], Model], inputs: Inputs) -> None:
    model = build(inputs)
    for run in PASSES.values():
        run(model)


def warm_all(jobs: Sequence[Job], start: Callable[[int], int | None]) -> Row:
    """Run all jobs at once and return a row of how each ended.

    Args:
        jobs: what is compiled.
        start: runs the job of that place in a process; returns its exit code, `None` if it was
            stopped.
    """
    since = time.monotonic()

    def timed(place: int) -> Row:
        code = start(place)
        return {"name": jobs[place].name, "code": code, "seconds": time.monotonic() - since}

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(timed, range(len(jobs))))
    return step_row("warm", "ok", jobs=found, seconds=time.monotonic() - since)

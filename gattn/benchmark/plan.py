"""What a run measures: a plan of names, the cases it comes to, and who takes turns in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from gattn import _check as check
from gattn.benchmark.memory import Spec
from gattn.benchmark.passes import PASSES
from gattn.benchmark.problems import PROBLEMS, Inputs, Layer, Problem, make_inputs
from gattn.benchmark.providers import Provider, provider


@dataclass(frozen=True)
class Plan:
    """What to measure, and how.

    Args:
        problems: names of `PROBLEMS`.
        providers: names; None takes those of each problem.
        layers: names; None takes all of each problem.
        passes: names of `PASSES`; None takes all of each problem.
        rounds: turns of every provider.
        seed: of graphs, features and weights.
        device: where everything runs.
        quick: tiny graphs of the same kinds.
        memory: measure the peaks as well.

    Raises:
        TypeError, ValueError: an unknown name, or a number out of range.
    """

    problems: tuple[str, ...]
    providers: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None
    passes: tuple[str, ...] | None = None
    rounds: int = 7
    seed: int = 0
    device: str = "cpu"
    quick: bool = False
    memory: bool = True

    def __post_init__(self) -> None:
        for name in self.problems:
            check.one_of("problem", name, tuple(PROBLEMS))
        for name in self.providers or ():
            provider(name)
        known = {layer.name: None for name in self.problems for layer in PROBLEMS[name].layers}
        for name in self.layers or ():
            check.one_of("layer", name, tuple(known))
        for name in self.passes or ():
            check.one_of("pass", name, tuple(PASSES))
        check.integer("rounds", self.rounds, 1)
        check.integer("seed", self.seed, 0)

    def cases(self) -> Iterator[Case]:
        """Yield what is measured together, problem by problem, layer by layer."""
        for problem in (PROBLEMS[name] for name in self.problems):
            for layer in problem.layers:
                if self.layers is None or layer.name in self.layers:
                    yield Case(self, problem, layer)


@dataclass(frozen=True)
class Entry:
    """One provider on one graph: one who takes turns."""

    problem: Problem
    provider: Provider
    label: str
    base: str | None


@dataclass(frozen=True)
class Case:
    """One layer on one problem: all providers that run it, and all passes."""

    plan: Plan
    problem: Problem
    layer: Layer

    @property
    def passes(self) -> tuple[str, ...]:
        """The passes that are measured."""
        wanted = self.plan.passes
        return tuple(p for p in self.problem.passes if wanted is None or p in wanted)

    def entries(self) -> list[Entry]:
        """Return who takes turns, in that order; the base of a pair comes before it."""
        found = []
        for name in self.plan.providers or self.problem.providers:
            chosen, against = provider(name), self.problem.against
            if against is None:
                base = None if name == self.problem.reference else self.problem.reference
                found.append(Entry(self.problem, chosen, name, base))
                continue
            other = f"{name}@{against}"
            found.append(Entry(PROBLEMS[against], chosen, other, None))
            found.append(Entry(self.problem, chosen, name, other))
        return found

    def inputs(self, problem: Problem) -> Inputs:
        """Make the inputs of a problem, on its tiny graph where the plan wants that."""
        plan = self.plan
        graph = (problem.quick if plan.quick else problem.graph)(plan.seed)
        return make_inputs(problem, self.layer, graph, plan.seed, plan.device)

    def spec(self, entry: Entry, passed: str, steps: int = 1) -> Spec:
        """Say in names and numbers what a fresh process has to measure."""
        plan, threads = self.plan, torch.get_num_threads()
        names = (entry.problem.name, self.layer.name, passed, entry.provider.name)
        return Spec(*names, plan.seed, plan.device, threads, plan.quick, steps)

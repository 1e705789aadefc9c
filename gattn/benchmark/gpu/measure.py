"""One case: who can is built, has to agree, is timed, and its memory measured.

Nobody's failure stops the others: it is a row with the reason, and what it held is freed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

import gattn
from gattn._memory import PeakMemory
from gattn._rows import Row
from gattn.benchmark import rows
from gattn.benchmark.agree import TOLERANCE, disagreements, results
from gattn.benchmark.gpu import operators
from gattn.benchmark.gpu.floor import Sizes, bytes_moved
from gattn.benchmark.gpu.problems import AGREEMENT, PROBLEMS, Case, Problem
from gattn.benchmark.gpu.providers import baseline_of, believed, free, is_ours, providers_of
from gattn.benchmark.gpu.session import Session, case_row
from gattn.benchmark.passes import PASSES, Model, clear, synchronize
from gattn.benchmark.problems import Inputs, Layer, layer_inputs
from gattn.benchmark.providers import Provider
from gattn.benchmark.timing import interleave

HALF_TOLERANCE = 2e-2
"""Norm of a difference by norm of what is expected, of operators in half types."""

LAYER_HALF_TOLERANCE = 0.15
"""The same of layers: gradients of some parameters nearly cancel in the sum over all nodes, and
what is left of their terms is rounding. PyG's own layer binds nobody in half types: it is timed
whatever it is."""

SAMPLED_ROWS = 64
_ROUNDS_ALONE = 3
_FAR = 1e9  # stands for NaN, which JSON does not have
_OFF = "not timed: it differs by {:.1e} of the norm at full size"


class Broken(RuntimeError):
    """The device answers no longer: the process has to end."""


@dataclass
class Bench:
    """A session with what its cases share: the graph of the last one, and who agreed on what."""

    session: Session
    made: dict[str, Any] = field(default_factory=dict)
    agreed: dict[tuple[str, str], str] = field(default_factory=dict)
    compiled: int = 0

    def graph(self, problem: Problem) -> Any:
        """The edges of a problem; those of others are dropped unless they are tiny."""
        return self._kept(problem.name, lambda: self._graph(problem))

    def around(self, problem: Problem) -> gattn.Sparse:
        """Its neighbourhood, in the order of the rows."""
        return self._kept(f"rows of {problem.name}", lambda: self._around(problem))

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def drop(self, *names: str) -> None:
        """Forget the graphs of all problems but these."""
        for name in list(self.made):
            if name.removeprefix("rows of ") not in (*names, AGREEMENT.name):
                del self.made[name]
        free(self.session.where)

    def _graph(self, problem: Problem) -> Any:
        make = problem.quick if self.session.quick else problem.make
        return make(self.session.seed, self.session.device)

    def _around(self, problem: Problem) -> gattn.Sparse:
        # Both directions are there: to exchange them is to sort the same edges by target.
        graph = self.graph(problem)
        return gattn.from_edge_index(graph.edge_index.flip(0), graph.num_nodes)

    def inputs(self, layer: Layer, problem: Problem) -> Inputs:
        """What every provider is given."""
        if layer.kind in operators.KINDS:
            return operators.make_inputs(layer, self.around(problem), self.session.seed)
        return layer_inputs(layer, self.graph(problem), self.session.seed, self.session.device)


def attempt(step: Callable[[], Any], device: torch.device) -> tuple[Any, str]:
    """Return what a step returns and "", or `None` and why it failed, with its memory given back.

    Raises:
        Broken: the device fails at everything from here on.
    """
    try:
        found = step()
        synchronize(device)
        return found, ""
    except Exception as error:  # noqa: BLE001  # compilers and packages of others raise anything
        reason = rows.reason_of(error)
    # Out of the block: its traceback held on to tensors.
    try:
        free(device)
        synchronize(device)
    except RuntimeError as error:
        raise Broken(reason) from error
    return None, reason


def measure(bench: Bench, case: Case) -> Iterator[Row]:
    """Yield the rows of a case, each as soon as it is there.

    Args:
        bench: of the session.
        case: what is measured.

    Raises:
        Broken: the device has to be started again.
    """
    bench.drop(case.problem, *([case.against] if case.against else []))
    running = _Running(bench, case)
    for found in running.rows():
        names = found.pop("on", case.problem), case.layer, found.pop("pass"), found.pop("provider")
        yield case_row(*names, **found)
    free(bench.session.where)


@dataclass
class _Running:
    """The providers of a case while they are measured."""

    bench: Bench
    case: Case
    outputs: dict[str, Tensor] = field(default_factory=dict)

    @property
    def session(self) -> Session:
        return self.bench.session

    @property
    def device(self) -> torch.device:
        return self.session.where

    def rows(self) -> Iterator[Row]:
        able = []
        for provider in providers_of(self.case, self.session.backend):
            status, why = self._unable(provider)
            if why:
                yield _lost(provider.name, status, why)
            else:
                able.append(provider)
        if self.case.captured:
            for provider in able:
                yield from self._replayed(provider)
        elif PROBLEMS[self.case.problem].alone:
            yield from self._one_by_one(able)
        else:
            yield from self._in_turns(able)

    def _unable(self, provider: Provider) -> tuple[str, str]:
        """The status of a provider that takes no part, and why; empty for those that do."""
        reasons = provider.reasons(self.case.layer, self.device)
        if reasons:
            return "unavailable", "; ".join(reasons)
        if provider.per_shape:
            return self._may_compile()
        wrong = self._disagreement(provider)
        binding = self.case.layer.precision == "float32" or provider.name != "pyg"
        return ("failed", wrong) if wrong and binding else ("", "")

    def _may_compile(self) -> tuple[str, str]:
        if self.bench.compiled >= self.session.compiles:
            return "skipped", f"not compiled: {self.session.compiles} layers were"
        self.bench.compiled += 1
        return "", ""

    def _disagreement(self, provider: Provider) -> str:
        """What differs on the small graph, or why it cannot run even there."""
        known, name = self.bench.agreed, (provider.name, self.case.layer.name)
        if name not in known:
            inputs = self.bench.inputs(self.case.layer, AGREEMENT)
            found, reason = attempt(lambda: results(provider.build(inputs)), self.device)
            if reason:
                known[name] = f"it fails on a small graph: {reason}"
            else:
                wrong = disagreements(_wide(found), results(believed(inputs)), self._tolerance)
                known[name] = f"disagrees with the reference: {'; '.join(wrong)}" if wrong else ""
        return known[name]

    @property
    def _tolerance(self) -> float:
        if self.case.layer.precision == "float32":
            return TOLERANCE
        return HALF_TOLERANCE if self.case.is_operator else LAYER_HALF_TOLERANCE

    def _in_turns(self, able: list[Provider]) -> Iterator[Row]:
        models: dict[str, Model] = {}
        sizes: Row = {}
        for label, provider, problem in self._entries(able):
            inputs = self.bench.inputs(self.case.layer, problem)
            sizes = {"nodes": inputs.num_nodes, "pairs": inputs.num_pairs}
            model, reason = self._built(provider, inputs)
            if model is None:
                yield _lost(label, "failed", reason)
            else:
                models[label] = model
        differences = {label: self._difference(label) for label in models}
        for label in [label for label in models if self._is_off(differences[label])]:
            yield _lost(label, "failed", _OFF.format(differences[label]))
            del models[label]
        for passed in PASSES:
            yield from self._timed(passed, models, sizes, differences)
        for label, model in models.items():
            yield from self._afterwards(label, model, sizes)

    def _entries(self, able: list[Provider]) -> Iterator[tuple[str, Provider, Problem]]:
        """Labels, providers and graphs; the base of a pair comes before it."""
        for provider in able:
            if self.case.against:
                other = PROBLEMS[self.case.against]
                yield f"{provider.name}@{other.name}", provider, other
            yield provider.name, provider, PROBLEMS[self.case.problem]

    def _one_by_one(self, able: list[Provider]) -> Iterator[Row]:
        """Each alone on the device; what a ratio is of has been measured before."""
        taken: dict[str, dict[str, list[float]]] = {passed: {} for passed in PASSES}
        inputs = self.bench.inputs(self.case.layer, PROBLEMS[self.case.problem])
        sizes = {"nodes": inputs.num_nodes, "pairs": inputs.num_pairs}
        for provider in able:
            model, reason = self._built(provider, inputs)
            name = provider.name
            found = {name: self._difference(name)}
            if model is None or self._is_off(found[name]):
                yield _lost(name, "failed", reason or _OFF.format(found[name]))
                continue
            for passed in PASSES:
                yield from self._timed(passed, {name: model}, sizes, found, taken[passed])
            yield from self._afterwards(name, model, sizes)
            del model
            free(self.device)

    def _built(self, provider: Provider, inputs: Inputs) -> tuple[Model | None, str]:
        """The model after a forward pass, whose output is kept for the comparison."""

        def build() -> tuple[Model, Tensor]:
            model = provider.build(inputs)
            return model, PASSES["forward"](model)

        found, reason = attempt(build, self.device)
        if found is None:
            return None, reason
        model, out = found
        if self.case.is_operator and self.case.against is None:
            self.outputs[provider.name] = torch.tensor(
                operators.sampled_difference(inputs, out, SAMPLED_ROWS, self.session.seed)
            )
        elif not self.case.is_operator:
            self.outputs[provider.name] = out.cpu() if inputs.num_nodes > 10**6 else out
        return model, ""

    def _difference(self, label: str) -> float | None:
        """How far the output is at full size: from sampled rows, or from PyG's layer."""
        found = self.outputs.get(label)
        if found is None or found.dim() == 0:
            return None if found is None else float(found.nan_to_num(_FAR))
        expected = self.outputs.get(baseline_of(self.case) or "")
        if expected is None or expected is found:
            return None
        away = float((found.float() - expected.float()).norm() / expected.float().norm())
        return away if math.isfinite(away) else _FAR

    def _is_off(self, difference: float | None) -> bool:
        """PyG's own layer is no measure of half types."""
        whole = self.case.layer.precision == "float32"
        if difference is None or not (whole or self.case.is_operator):
            return False
        return not difference <= self._tolerance

    def _timed(
        self,
        passed: str,
        models: dict[str, Model],
        sizes: Row,
        differences: dict[str, float | None],
        before: dict[str, list[float]] | None = None,
    ) -> Iterator[Row]:
        """Rows of a pass; who fails in it takes no turns."""
        steps: dict[str, Callable[[], object]] = {}
        for label, model in models.items():
            step = partial(PASSES[passed], model)
            _, reason = attempt(step, self.device)
            if reason:
                clear(model)
                yield _lost(label, "failed", reason, passed)
            else:
                steps[label] = step
        rounds = self.session.rounds if before is None else min(_ROUNDS_ALONE, self.session.rounds)
        turns = partial(interleave, steps, rounds, self.device, self.session.shortest)
        taken, reason = attempt(turns, self.device)
        if taken is None:
            yield from (_lost(label, "failed", reason, passed) for label in steps)
            return
        known = {} if before is None else before
        known.update(taken)
        for label in steps:
            base = f"{label}@{self.case.against}" if self.case.against else baseline_of(self.case)
            fields = _against(known, label, base) | self._floor(passed, sizes, known[label])
            more = {"difference": differences.get(label), "in_turns": before is None}
            yield _found(label, passed, fields | more | sizes)

    def _floor(self, passed: str, sizes: Row, taken: list[float]) -> Row:
        """How far an operator is from the bytes that it has to move."""
        layer, rate = self.case.layer, self.session.rate
        if not self.case.is_operator or rate is None:
            return {}
        form, _, edges = layer.kind.partition("+")
        features = operators.FEATURES if edges else 0
        width = layer.dtype.itemsize
        moved = bytes_moved(
            form,
            passed,
            Sizes(sizes["nodes"], sizes["pairs"], layer.heads, layer.channels, width, features),
        )
        floor = moved / rate
        found = {"floor_bytes": moved, "floor_seconds": floor}
        return found | {"of_floor": floor / statistics.median(taken)}

    def _afterwards(self, label: str, model: Model, sizes: Row) -> Iterator[Row]:
        """The peak of memory, and for ours whether two runs have the same bits."""
        if "@" in label:
            return
        peak, reason = attempt(lambda: self._peak(model), self.device)
        passed = "forward+backward"
        if reason:
            yield _lost(label, "failed", reason, passed, "memory")
        else:
            yield _found(label, passed, {"measure": "memory", "peak_bytes": peak, **sizes})
        if is_ours(label):
            same, reason = attempt(lambda: repeated(model), self.device)
            if reason:
                yield _lost(label, "failed", reason, passed, "repeat")
            else:
                found = {"measure": "repeat", "equal": all(same.values()), "tensors": same}
                yield _found(label, passed, found | sizes)
        clear(model)

    def _peak(self, model: Model) -> int | None:
        clear(model)
        free(self.device)
        synchronize(self.device)
        peak = PeakMemory(
            self.device
        )  # it collects garbage, so what was there is counted behind it
        cuda = self.device.type == "cuda"
        before = torch.cuda.memory_allocated(self.device) if cuda else 0
        PASSES["forward+backward"](model)
        synchronize(self.device)
        found = peak.read()
        return None if found is None else found - before

    def _replayed(self, provider: Provider) -> Iterator[Row]:
        """One launch for all kernels of a pass: what is left of a time when launching is free."""
        from gattn.benchmark.gpu.capture import captured

        inputs = self.bench.inputs(self.case.layer, PROBLEMS[self.case.problem])
        sizes = {"nodes": inputs.num_nodes, "pairs": inputs.num_pairs}
        label = f"{provider.name}+graph"
        for passed in PASSES:
            replay, reason = attempt(
                lambda passed=passed: captured(provider.build(inputs), passed, self.device),
                self.device,
            )
            if replay is None:
                yield _lost(label, "failed", reason, passed)
                continue
            found, rounds, shortest = {label: replay}, self.session.rounds, self.session.shortest
            taken = interleave(found, rounds, self.device, shortest)
            fields = _against(taken, label, None) | self._floor(passed, sizes, taken[label])
            yield _found(label, passed, fields | sizes)


def _wide(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in found.items()}


def repeated(model: Model) -> dict[str, bool]:
    """Return for the output and every gradient whether two runs give the same bits."""
    first, second = ({n: t.clone() for n, t in results(model).items()} for _ in range(2))
    return {name: torch.equal(_bits(first[name]), _bits(second[name])) for name in first}


def _bits(tensor: Tensor) -> Tensor:
    """As integers: two NaN are the same, 0 and -0 are not."""
    widths = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.contiguous().view(widths[tensor.element_size()])


def _against(taken: dict[str, list[float]], label: str, base: str | None) -> Row:
    """The fields of a time, with the middle 95 % of the rounds."""
    found = rows.time_row(taken, label, base)
    spread = torch.tensor(taken[label]).quantile(torch.tensor([0.025, 0.975])).tolist()
    return found | {"low": spread[0], "high": spread[1]}


def _found(label: str, passed: str, fields: Row) -> Row:
    return {**_named(label), "pass": passed, "status": "ok", **fields}


def _lost(label: str, status: str, reason: str, passed: str = "forward", what: str = "time") -> Row:
    fields = {"pass": passed, "status": status, "measure": what, "reason": reason}
    return {**_named(label), **fields}


def _named(label: str) -> Row:
    """The provider of a label, and the other problem that it ran on, if it did."""
    name, _, other = label.partition("@")
    return {"provider": name, **({"on": other} if other else {})}

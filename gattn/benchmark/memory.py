"""Peak memory of one pass, in a fresh process, above everything that was there before it.

The process makes the graph, the features, the weights and the layer, and warms up on the tiny graph
of the problem, so that imports and compiled code are there (a provider that compiles for each shape
warms up on the inputs themselves). What is free is given back to the system, then the peak counts.
So `peak_bytes` is all that a pass needs beside inputs and parameters: what it saves for the
backward pass, gradients, scratch, and its own form of the graph (sorted edges, self-loops, DGL's
compressed rows). On the CPU it is growth of the resident set, on CUDA of what torch has allocated.
`resident_bytes` is the largest resident set of the process in its whole life.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from gattn._memory import PeakMemory, high_water_mark
from gattn.benchmark.passes import PASSES, Model, synchronize
from gattn.benchmark.problems import PROBLEMS, Problem, make_inputs
from gattn.benchmark.providers import provider
from gattn.benchmark.timing import seconds

MARK = "measured: "


@dataclass(frozen=True)
class Spec:
    """One measurement in a process of its own; all fields are names and numbers.

    Args:
        problem: name of a problem.
        layer: name of one of its layers.
        passed: name of a pass.
        provider: name of a provider.
        seed: of graph, features and weights.
        device: where it runs.
        threads: of torch.
        quick: take the tiny graph.
        steps: how often the pass runs; the first one makes the peak.
    """

    problem: str
    layer: str
    passed: str
    provider: str
    seed: int
    device: str
    threads: int
    quick: bool
    steps: int = 1


def measure_apart(spec: Spec) -> dict[str, Any]:
    """Measure in a fresh process; see `measure` for what is returned.

    Raises:
        RuntimeError: the process failed, with the last line that it said.
    """
    threads = str(spec.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [sys.executable, "-m", "gattn.benchmark", json.dumps(asdict(spec))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode == 0 and found:
        return json.loads(found[-1].removeprefix(MARK))
    raise RuntimeError(_why(done.returncode, done.stderr.strip().splitlines()))


def _why(code: int, said: Sequence[str]) -> str:
    if code < 0:
        return f"the process was ended by signal {-code} (9: out of memory, most often)"
    return said[-1] if said else f"the process ended with exit code {code}"


def measure(spec: Spec) -> dict[str, Any]:
    """Measure in this process, which should be a fresh one.

    Args:
        spec: what to measure.

    Returns:
        `peak_bytes` and `resident_bytes` (None where the system does not tell), `rounds` (the
        seconds of every step), `nodes` and `pairs`.
    """
    torch.set_num_threads(spec.threads)
    problem = PROBLEMS[spec.problem]
    device = torch.device(spec.device)
    model, sizes = _warm(spec, problem)
    before = high_water_mark() or 0
    synchronize(device)
    allocated = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    peak = PeakMemory(device)
    run = PASSES[spec.passed]
    rounds = [seconds(lambda: run(model), 1, device)]
    found = peak.read()
    rounds += [seconds(lambda: run(model), 1, device) for _ in range(spec.steps - 1)]
    return {
        "peak_bytes": None if found is None else found - allocated,
        "resident_bytes": max(before, high_water_mark() or 0) or None,
        "rounds": rounds,
        **sizes,
    }


def _warm(spec: Spec, problem: Problem) -> tuple[Model, dict[str, int]]:
    """The model on the inputs, after a pass on the tiny graph, or where needed on the inputs."""
    (layer,) = (layer for layer in problem.layers if layer.name == spec.layer)
    chosen, run = provider(spec.provider), PASSES[spec.passed]
    if not chosen.per_shape:
        tiny = make_inputs(problem, layer, problem.quick(spec.seed), spec.seed, spec.device)
        run(chosen.build(tiny))
    graph = (problem.quick if spec.quick else problem.graph)(spec.seed)
    inputs = make_inputs(problem, layer, graph, spec.seed, spec.device)
    model = chosen.build(inputs)
    if chosen.per_shape:
        run(model)
    for leaf in model.leaves.values():
        leaf.grad = None
    return model, {"nodes": inputs.num_nodes, "pairs": inputs.num_pairs}


def main(arguments: Sequence[str]) -> None:
    """Measure what the one argument, a `Spec` in JSON, asks for, and print it in JSON."""
    (text,) = arguments
    print(MARK + json.dumps(measure(Spec(**json.loads(text)))), flush=True)

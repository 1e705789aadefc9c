"""A pass of a model as a CUDA graph, which launches all of its kernels at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from gattn.benchmark.passes import PASSES, Model, clear

_WARM_UP = 3


def captured(model: Model, passed: str, device: torch.device) -> Callable[[], object]:
    """Return what replays the pass; on other devices than CUDA, the pass itself.

    Args:
        model: its tensors stay where they are as long as the replay is used.
        passed: name of a pass.
        device: where it runs.

    Raises:
        RuntimeError: something in the pass cannot be captured.
    """
    step = PASSES[passed]
    if device.type != "cuda":
        return partial(step, model)
    # Gradients and scratch must be allocated on a stream of the capture's own.
    beside = torch.cuda.Stream(device)
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UP):
            step(model)
    torch.cuda.current_stream(device).wait_stream(beside)
    clear(model)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step(model)
    return partial(_replay, graph, (model, out))


def _replay(graph: torch.cuda.CUDAGraph, used: object) -> None:
    """What the graph reads and writes lives as long as the replay does."""
    graph.replay()

"""Where the tests of the Triton backend run: on a GPU, or interpreted on the CPU where none is.

The same code runs at both places; interpreted kernels are thousands of times slower, so sizes are
chosen by `at`.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import gattn
from gattn.neighborhood import Sparse

BACKEND = "triton"
COMPILED = torch.cuda.is_available()

# A warning of a newer version of something must not fail a test on a machine nobody looks at.
_GPU = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]
_INTERPRETED = pytest.mark.skipif(COMPILED, reason="there is a GPU: kernels are not interpreted")

both = pytest.mark.parametrize(
    "device",
    [pytest.param("cpu", marks=_INTERPRETED), pytest.param("cuda", marks=_GPU)],
)
"""A test with a `device`: interpreted without a GPU, compiled with one."""


def on_gpu(function: Any) -> Any:
    """A test that means nothing without a GPU."""
    for mark in _GPU:
        function = mark(function)
    return function


def at(device: str, interpreted: Any, compiled: Any) -> Any:
    """A size for the interpreter, or the one that is wanted."""
    return interpreted if device == "cpu" else compiled


def draw(*size: int, device: str = "cpu", seed: int = 0, dtype: Any = torch.float32) -> Tensor:
    """Normal numbers, the same on every device and in every dtype, to rounding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64).to(device, dtype)


def sides(graph: Sparse, heads: int, channels: int, **options: Any) -> list[Tensor]:
    """Query, key and value that want a gradient, where the graph is."""
    nodes = graph.num_targets, graph.num_sources, graph.num_sources
    drawn = [
        draw(count, heads, channels, seed=seed, device=str(graph.device), **options)
        for seed, count in enumerate(nodes)
    ]
    return [tensor.requires_grad_() for tensor in drawn]


def random_graph(nodes: int, edges: int, device: str, seed: int = 0, hub: int = 0) -> Sparse:
    """Edges drawn at random; node 0 has `hub` more."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(nodes, (2, edges + hub), generator=generator)
    drawn[1, edges:] = 0
    return gattn.from_edge_index(drawn, nodes).to(device)


def rows_of(lengths: list[int], sources: int, device: str) -> Sparse:
    """Rows of given lengths, one after the other, without a duplicate pair in any of them."""
    source = torch.cat([(7 * row + torch.arange(n)) % sources for row, n in enumerate(lengths)])
    target = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return gattn.from_edge_index(torch.stack([source, target]), (sources, len(lengths))).to(device)


def gradients(out: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Of a sum in which every number of the output has a weight of its own."""
    weights = torch.linspace(-1, 1, out.numel(), device=out.device, dtype=out.dtype)
    return list(torch.autograd.grad((out * weights.view_as(out)).sum(), leaves))


def near(found: Tensor, expected: Tensor, limit: float = 2e-5, size: float = 1e-30) -> None:
    """The largest difference is at most `limit` of the largest number, or of `size`."""
    assert found.shape == expected.shape
    one, other = found.detach().cpu().double(), expected.detach().cpu().double()
    if other.numel():
        off = float((one - other).abs().max()) / max(float(other.abs().max()), size)
        assert off <= limit, f"off by {off:.3g} of the largest number, allowed {limit:.3g}"


def on_the_cpu(graph: Sparse, leaves: list[Tensor], **options: Any) -> list[Tensor]:
    """Output and gradients of the reference in float64, on the CPU."""
    exact = [leaf.detach().cpu().double().requires_grad_() for leaf in leaves]
    out = gattn.attend(*exact, graph.to("cpu"), backend="reference", **options)
    return [out, *gradients(out, exact)]


def attended(graph: Sparse, leaves: list[Tensor], **options: Any) -> list[Tensor]:
    """Output and gradients of the kernels."""
    out = gattn.attend(*leaves, graph, backend=BACKEND, **options)
    return [out, *gradients(out, leaves)]

"""Public contract tests: run ours on your own score, normaliser or backend.

    from gattn.testing import check_score

    def test_my_score():
        check_score(MyScore(heads=2, channels=3), heads=2, channels=3)

Each function raises an `AssertionError` that says which promise is broken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from gattn import forms, normalizers
from gattn.functional import attend, attend_with_statistic, pair_scores
from gattn.neighborhood import Neighborhood, from_edge_index, full, k_hop, window
from gattn.normalizers import Normalizer, Rows
from gattn.ops import dispatch, reference
from gattn.ops.problem import Problem
from gattn.scores import Score


def graphs(hub: int = 300) -> dict[str, Neighborhood]:
    """Awkward neighbourhoods by name, one row of `hub` pairs: what every backend must survive."""
    generator = torch.Generator().manual_seed(0)
    directed = torch.randint(0, 7, (2, 16), generator=generator)  # node 7 is isolated
    twice = torch.cat([directed, directed[:, :5]], dim=1)
    star = torch.stack([torch.arange(hub), torch.zeros(hub, dtype=torch.int64)])
    ball = k_hop(directed, 2, 8)
    return {
        "no nodes": from_edge_index(torch.empty(2, 0, dtype=torch.int64), 0),
        "no pairs": from_edge_index(torch.empty(2, 0, dtype=torch.int64), 3),
        "one node": k_hop(torch.empty(2, 0, dtype=torch.int64), 1, 1),
        "directed": from_edge_index(directed, 8),
        "duplicates": from_edge_index(twice, 8),
        "hub": from_edge_index(star, hub),
        "bipartite": from_edge_index(directed, (9, 7)),
        "two hops": ball,
        "rings": ball.rings(),
        "full": full(6),
        "packed": full(ptr=torch.tensor([0, 3, 3, 8])),
        "window": window(9, 2),
        "causal": window(7, None, causal=True),
    }


@dataclass(frozen=True, eq=False)
class Case:
    """One problem, its leaves in float64, and the upstream gradients of its outputs."""

    name: str
    leaves: dict[str, Tensor]
    build: Callable[[dict[str, Tensor]], Problem]

    def run(self, backend: Any, dtype: torch.dtype, device: str = "cpu") -> dict[str, Tensor]:
        """Outputs and every gradient in float64 on the CPU, computed by a backend in `dtype`."""
        leaves = {name: leaf.to(device, dtype) for name, leaf in self.leaves.items()}
        cast = {name: leaf.requires_grad_() for name, leaf in leaves.items()}
        problem = self.build(cast)
        out, statistic = backend.forward(problem)
        assert out.dtype == problem.values.dtype, f"{self.name}: found the dtype {out.dtype}"
        found = {"out": out} | ({"statistic": statistic} if problem.wants_statistic else {})
        upstream = [_upstream(tensor) for tensor in found.values()]
        grads = torch.autograd.grad(
            list(found.values()), list(cast.values()), upstream, allow_unused=True
        )
        named = zip((f"gradient of {name}" for name in cast), grads, strict=True)
        found |= {name: grad for name, grad in named if grad is not None}
        return {name: tensor.detach().cpu().double() for name, tensor in found.items()}


Only = Callable[[str, str, str], bool]


def cases(scale: float = 1.0, hub: int = 300, only: Only | None = None) -> Iterator[Case]:
    """Every form and option on every awkward neighbourhood; arguments as of `check_backend`."""
    for graph_name, graph in graphs(hub).items():
        for form_name, (leaves, build) in _form_cases(graph, scale).items():
            for normalizer in _NORMALIZERS:
                if only is None or only(form_name, str(normalizer), graph_name):
                    name = f"{form_name}, {normalizer}, {graph_name}"
                    yield Case(name, leaves, _with_normalizer(build, normalizer))


_NORMALIZERS: tuple[Normalizer, ...] = (
    normalizers.Softmax(),
    normalizers.Sparsemax(),
    normalizers.Entmax15(),
    normalizers.Sigmoid(),
    normalizers.TopK(2),
    normalizers.Hard(),
)

_Build = Callable[[dict[str, Tensor], Normalizer], Problem]


def _form_cases(graph: Neighborhood, scale: float) -> dict[str, tuple[dict[str, Tensor], _Build]]:
    """Leaves and problem of each form; the second of each uses every option."""
    heads, channels, width, features = 3, 5, 4, 2
    draw = _Draw(scale)
    nodes = {
        "left": draw(graph.num_targets, heads, channels),
        "right": draw(graph.num_sources, heads, channels),
        "value": draw(graph.num_sources, heads, width),
    }
    options = {
        "pair_bias": draw(graph.num_pairs, heads),
        "pair_features": draw(graph.num_pairs, features),
        "pair_weight": draw(features, heads, channels),
        "pair_value": draw(features, heads, width),
    }
    if graph.num_hops is not None:
        options["hop_bias"] = draw(3, heads)
    weight = {"weight": draw(heads, channels)}
    biases = {
        "source_bias": draw(graph.num_sources, heads),
        "target_bias": draw(graph.num_targets, heads),
    }
    mask = torch.where(torch.arange(graph.num_pairs) % 5 == 2, float("-inf"), 0.0)

    def problem(form: Callable[[dict[str, Tensor]], forms.Form], **fixed: Any) -> _Build:
        def build(leaves: dict[str, Tensor], normalizer: Normalizer) -> Problem:
            given: dict[str, Any] = {name: leaves[name] for name in options if name in leaves}
            around = graph.to(leaves["left"].device)
            given |= {n: p.to(around.device) if torch.is_tensor(p) else p for n, p in fixed.items()}
            given["wants_statistic"] = normalizer.has_statistic
            return Problem(form(leaves), leaves.get("value"), around, normalizer, **given)

        return build

    def product(leaves: dict[str, Tensor]) -> forms.Form:
        of_nodes = (leaves.get("source_bias"), leaves.get("target_bias"))
        return forms.Multiplicative(leaves["left"], leaves["right"], 0.5, *of_nodes)

    def tanh(leaves: dict[str, Tensor]) -> forms.Form:
        return forms.Additive(leaves["left"], leaves["right"], leaves["weight"], "tanh")

    def leaky(leaves: dict[str, Tensor]) -> forms.Form:
        return forms.Additive(leaves["left"], leaves["right"], leaves["weight"], negative_slope=0.4)

    def given(leaves: dict[str, Tensor]) -> forms.Form:
        return forms.Given(leaves["left"], leaves["right"], lambda q, k, hop: (q - k).abs().sum(-1))

    shared = {name: nodes[name] for name in ("left", "right")}
    dropped = {"dropout": 0.5, "seed": torch.tensor(7)}
    return {
        "Multiplicative": (nodes, problem(product)),
        "Multiplicative, all options": (nodes | options | biases, problem(product, **dropped)),
        "Additive, value=None": (shared | weight, problem(leaky, pair_bias=mask)),
        "Additive, all options": (nodes | weight | options, problem(tanh)),
        "Given": (nodes, problem(given)),
    }


def _with_normalizer(build: _Build, normalizer: Normalizer) -> Callable[..., Problem]:
    return lambda leaves: build(leaves, normalizer)


class _Draw:
    """Random leaves that are exact in every floating type: multiples of 1/16."""

    def __init__(self, scale: float) -> None:
        self.generator = torch.Generator().manual_seed(1)
        self.scale = scale

    def __call__(self, *size: int) -> Tensor:
        drawn = torch.randn(size, generator=self.generator, dtype=torch.float64)
        return (drawn * 16).round().clamp(-48, 48) / 16 * self.scale


def _upstream(tensor: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)
    # An empty row's statistic is -inf and constant.
    return torch.where(torch.isfinite(tensor), drawn, 0.0)


def check_backend(
    backend: str,
    *,
    dtype: torch.dtype = torch.float32,
    scale: float = 1.0,
    factor: float = 5.0,
    device: str = "cpu",
    hub: int = 300,
    only: Only | None = None,
) -> int:
    """A backend agrees with the reference: outputs, statistics and every gradient.

    The error budget is not a tolerance set by hand: it is `factor` times the error that the
    reference itself makes in the same dtype on the CPU, both measured against the reference in
    float64. In float64 its error is taken to be that in float32, times the ratio of the precisions.

    Args:
        backend: a name of `gattn.ops.dispatch.BACKENDS`.
        dtype: of the inputs.
        scale: of the inputs; scores grow with its square.
        factor: how much worse than the reference the backend may be.
        device: where the backend computes.
        hub: pairs of the longest row.
        only: whether a case counts, by its form, normaliser and neighbourhood, such as
            `"Multiplicative", "Softmax()", "hub"`.

    Returns:
        The number of cases that the backend computed; those it gave reasons against are left out.

    Raises:
        AssertionError: a result is off, or the backend computed nothing.
    """
    module, computed = dispatch.load(backend), 0
    for case in cases(scale, hub, only):
        problem = case.build({name: leaf.to(device) for name, leaf in case.leaves.items()})
        if module.reasons(problem):
            problem = replace(problem, wants_statistic=False)
            if module.reasons(problem):
                continue
            case = replace(case, build=_without_statistic(case.build))
        _check_case(case, module, dtype, factor, device)
        computed += 1
    assert computed, f"{backend}: computed none of the cases"
    return computed


def _without_statistic(build: Callable[..., Problem]) -> Callable[..., Problem]:
    return lambda leaves: replace(build(leaves), wants_statistic=False)


def _check_case(case: Case, backend: Any, dtype: torch.dtype, factor: float, device: str) -> None:
    exact = case.run(reference, torch.float64)
    lower = torch.float32 if dtype == torch.float64 else dtype
    finer = torch.finfo(dtype).eps / torch.finfo(lower).eps
    budget, found = case.run(reference, lower), case.run(backend, dtype, device)
    for name, truth in exact.items():
        assert name in found, f"{case.name}: {name} is missing"
        own = _error(budget[name], truth) * finer
        assert own < 1e14, f"{case.name}: {name} of the reference is not finite in {lower}"
        allowed = factor * own + 8 * torch.finfo(dtype).eps
        error = _error(found[name], truth)
        assert error <= allowed, f"{case.name}: {name} is off by {error:.3g}, allowed {allowed:.3g}"


def _error(found: Tensor, truth: Tensor) -> float:
    """Largest difference over the largest magnitude; infinite where only one of them is finite."""
    assert found.shape == truth.shape, f"found shape {found.shape}, expected {truth.shape}"
    if truth.numel() == 0 or torch.equal(found, truth):
        return 0.0
    finite = torch.isfinite(truth)
    if not torch.equal(torch.isfinite(found), finite):
        return float("inf")
    size = float(truth[finite].abs().max()) if finite.any() else 1.0
    return float((found - truth)[finite].abs().max()) / max(size, 1e-30)


def check_score(score: Score, heads: int, channels: int) -> None:
    """A score keeps the promises of `gattn.scores.Score`.

    It returns a form of fitting shapes, scores every pair by its own two nodes, takes a leading
    batch axis, is differentiable twice, is whole in its state, and stays finite in half types.

    Args:
        score: built for `heads` heads and `channels` channels.
        heads: H.
        channels: C.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    score = copy.deepcopy(score).double()
    edges = torch.tensor([[0, 1, 2, 3, 3, 1], [1, 1, 0, 2, 2, 3]])
    graph = from_edge_index(edges, 5)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(3, 5, heads, channels, generator=generator, dtype=torch.float64)
    query, key, value = drawn.unbind(0)
    _check_pairs_alone(score, query, key, graph, edges)
    _check_batch(score, query, key, value, graph)
    _check_state(score, query, key, graph)
    _check_gradients(score, query, key, value, graph)
    for dtype in (torch.bfloat16, torch.float16):
        low = copy.deepcopy(score).to(dtype)
        query, key, value = drawn.to(dtype).unbind(0)
        query[0] = key[1] = 0
        out = attend(query, key, value, graph, score=low)
        assert torch.isfinite(out).all(), f"{score}: not finite in {dtype}"


def _check_pairs_alone(
    score: Score, query: Tensor, key: Tensor, graph: Neighborhood, edges: Tensor
) -> None:
    whole = pair_scores(score(query, key), graph)
    assert isinstance(score(query, key), forms.Form), f"{score}: found no form"
    assert whole.shape == (edges.shape[1], query.shape[1]), f"{score}: found {list(whole.shape)}"
    for at, (source, target) in enumerate(edges.t().tolist()):
        # Alone, and with all other nodes changed.
        moved = (torch.full_like(query, 9.0), torch.full_like(key, -7.0))
        moved[0][target], moved[1][source] = query[target], key[source]
        alone = pair_scores(score(*moved), from_edge_index(edges[:, at : at + 1], 5))
        torch.testing.assert_close(alone[0], whole[at], msg=f"{score}: a pair depends on others")
    many = from_edge_index(edges.repeat(1, 50), 5)
    repeated = pair_scores(score(query, key), many)
    torch.testing.assert_close(repeated, whole.repeat(50, 1), msg=f"{score}: a block matters")


def _check_batch(
    score: Score, query: Tensor, key: Tensor, value: Tensor, graph: Neighborhood
) -> None:
    query, key, value = (torch.stack([side, side.flip(0)]) for side in (query, key, value))
    out = attend(query, key, value, graph, score=score)
    for at in range(2):
        alone = attend(query[at], key[at], value[at], graph, score=score)
        torch.testing.assert_close(out[at], alone, msg=f"{score}: the batch axis changes a result")


def _check_state(score: Score, query: Tensor, key: Tensor, graph: Neighborhood) -> None:
    fresh = copy.deepcopy(score)
    for parameter in fresh.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    fresh.reset_parameters()
    for name, parameter in fresh.named_parameters():
        assert torch.isfinite(parameter).all(), f"{score}: {name} is not drawn anew by a reset"
    fresh.load_state_dict(score.state_dict())
    torch.testing.assert_close(
        pair_scores(fresh(query, key), graph),
        pair_scores(score(query, key), graph),
        msg=f"{score}: the state does not hold all of it",
    )


def _check_gradients(
    score: Score, query: Tensor, key: Tensor, value: Tensor, graph: Neighborhood
) -> None:
    leaves = [tensor.clone().requires_grad_() for tensor in (query, key, value)]
    parameters = list(score.parameters())

    def run(*leaves: Tensor) -> Tensor:
        return attend(*leaves[:3], graph, score=score)  # type: ignore[arg-type, misc]

    assert gradcheck(run, (*leaves, *parameters)), f"{score}: wrong gradient"
    assert gradgradcheck(run, (*leaves, *parameters)), f"{score}: wrong second gradient"


def check_normalizer(normalizer: Normalizer) -> None:
    """A normaliser keeps the promises of `gattn.normalizers.Normalizer`.

    Weights are finite and not negative (unless the normaliser is `signed`), masked pairs and empty
    rows get 0, a row does not depend on the others nor on the order of its pairs, huge scores do
    no harm, and weights and statistic have their gradients (unless it is `straight_through`).

    Args:
        normalizer: the one to check.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    rows = _rows([4, 0, 1, 6, 30])
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(41, 2, generator=generator, dtype=torch.float64)
    score[4:5] = float("-inf")  # row 2 is masked as a whole
    score[7, 0] = float("-inf")
    weights, statistic = normalizer.normalize(score, rows)
    name = str(normalizer)
    assert torch.isfinite(weights).all(), f"{name}: {weights}"
    assert normalizer.signed or (weights >= 0).all(), f"{name}: a weight is negative: {weights}"
    assert (weights[score == float("-inf")] == 0).all(), f"{name}: a masked pair has weight"
    assert (statistic is not None) == normalizer.has_statistic, f"{name}: has_statistic is wrong"
    if statistic is not None:
        assert (statistic[[1, 2]] == float("-inf")).all(), f"{name}: statistic of empty rows"
        assert torch.isfinite(statistic[[0, 3, 4]]).all(), f"{name}: {statistic}"
    _check_rows_alone(normalizer, score, rows)
    _check_huge(normalizer, rows)
    if not normalizer.straight_through:
        _check_normalizer_gradients(normalizer, score, rows)


def _rows(sizes: list[int]) -> Rows:
    counts = torch.tensor(sizes)
    rowptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Rows(torch.repeat_interleave(torch.arange(len(sizes)), counts), rowptr)


def _check_rows_alone(normalizer: Normalizer, score: Tensor, rows: Rows) -> None:
    weights, statistic = normalizer.normalize(score, rows)
    message = f"{normalizer}: a row depends on others, or on the order of its pairs"
    for row in range(rows.count):
        span = slice(int(rows.rowptr[row]), int(rows.rowptr[row + 1]))
        alone = normalizer.normalize(score[span].flip(0), _rows([span.stop - span.start]))
        torch.testing.assert_close(alone[0].flip(0), weights[span], msg=message)
        if statistic is not None:
            torch.testing.assert_close(alone[1], statistic[row : row + 1], msg=message)


def _check_huge(normalizer: Normalizer, rows: Rows) -> None:
    for dtype in (torch.float32, torch.float64):
        score = torch.linspace(-3e4, 3e4, 82, dtype=dtype).view(41, 2).requires_grad_()
        weights, statistic = normalizer.normalize(score, rows)
        alive = weights.sum() if statistic is None else weights.sum() + statistic[[0, 3, 4]].sum()
        (grad,) = torch.autograd.grad(alive, score)
        assert torch.isfinite(weights).all(), f"{normalizer}: huge scores give {weights}"
        assert torch.isfinite(grad).all(), f"{normalizer}: huge scores give the gradient {grad}"


def _check_normalizer_gradients(normalizer: Normalizer, score: Tensor, rows: Rows) -> None:
    masked = score == float("-inf")
    bias = torch.where(masked, score, 0.0)
    leaf = torch.where(masked, 0.0, score).requires_grad_()

    def run(leaf: Tensor) -> tuple[Tensor, ...]:
        # The mask is added, as a backend adds it: its gradient must not become NaN on the way.
        weights, statistic = normalizer.normalize(leaf + bias, rows)
        return (weights,) if statistic is None else (weights, statistic[[0, 3, 4]])

    for output in run(leaf):
        assert output.requires_grad, f"{normalizer}: an output has no gradient"
    weights, statistic = normalizer.normalize(leaf + bias, rows)
    reached = weights.sum() if statistic is None else weights.sum() + statistic[:, 0].sum()
    (grad,) = torch.autograd.grad(reached, leaf)
    assert torch.isfinite(grad).all(), f"{normalizer}: a masked row has the gradient {grad}"
    assert gradcheck(run, (leaf,)), f"{normalizer}: wrong gradient"
    assert gradgradcheck(run, (leaf,)), f"{normalizer}: wrong second gradient"


def check_statistic(normalizer: Normalizer) -> None:
    """The gradient through the statistic of `attend_with_statistic` is right, twice.

    Args:
        normalizer: one with a statistic.

    Raises:
        AssertionError: a gradient is wrong.
    """
    graph = graphs()["two hops"]
    generator = torch.Generator().manual_seed(0)
    leaves = torch.randn(3, 8, 2, 3, generator=generator, dtype=torch.float64).unbind(0)
    leaves = tuple(leaf.clone().requires_grad_() for leaf in leaves)

    def run(*leaves: Tensor) -> tuple[Tensor, Tensor]:
        return attend_with_statistic(*leaves, graph, normalizer=normalizer)  # type: ignore[arg-type, misc]

    assert gradcheck(run, leaves), f"{normalizer}: wrong gradient"
    assert gradgradcheck(run, leaves), f"{normalizer}: wrong second gradient"

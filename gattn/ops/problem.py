"""`Problem`: everything a backend needs, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gattn import _check
from gattn.forms import Additive, Form, Given, Multiplicative
from gattn.neighborhood import Neighborhood, Span, Sparse, Streamed
from gattn.normalizers import Normalizer


@dataclass(frozen=True, eq=False)
class Problem:
    """One attention, with every shape, device and dtype checked.

    Args:
        form: how a pair is scored; its tensors are `[N, H, C]` and `[M, H, C]`.
        value: `[M, H, D]`, or `None` for the form's `right` itself.
        neighborhood: who attends to whom.
        normalizer: scores of a row to weights of a row.
        hop_bias: `[K + 1, H]`, added to the score by the hop of the pair; hops beyond K share
            the last row.
        pair_bias: `[E]` or `[E, H]` in the builder's input order, added to the score; -inf masks.
        pair_features: `[E, F]` in the builder's input order.
        pair_weight: `[F, H, C]`: the form sees `r_j + e_ij @ pair_weight` for `r_j`.
        pair_value: `[F, H, D]`: the value is `v_j + e_ij @ pair_value`.
        dropout: probability to drop a weight.
        seed: int64 scalar on the device, the key of the dropout's random numbers.
        wants_statistic: the caller reads the statistic of the rows.
        first_row: where the rows stand among those that the dropout counts: blocks of them drop
            what the whole does.

    Raises:
        TypeError, ValueError: what is wrong, by argument.
    """

    form: Form
    value: Tensor | None
    neighborhood: Neighborhood
    normalizer: Normalizer
    hop_bias: Tensor | None = None
    pair_bias: Tensor | None = None
    pair_features: Tensor | None = None
    pair_weight: Tensor | None = None
    pair_value: Tensor | None = None
    dropout: float = 0.0
    seed: Tensor | None = None
    wants_statistic: bool = False
    first_row: int = 0

    def __post_init__(self) -> None:
        """Validate once, so that no backend has to."""
        _check_parts(self)
        _check_form(self.form, self.neighborhood)
        _check_value(self)
        _check_pairs(self)
        for name, tensor in self.tensors().items():
            _check.floating(name, tensor)
            _check.same_device(name, tensor, self.neighborhood.device, "neighborhood")

    @property
    def heads(self) -> int:
        """H, the number of heads."""
        return self.form.left.shape[1]

    @property
    def values(self) -> Tensor:
        """The values `[M, H, D]`: given, or the form's `right`."""
        return self.form.right if self.value is None else self.value

    @property
    def compute_dtype(self) -> torch.dtype:
        """Scores, statistics and sums: float64 for float64, float32 for everything else."""
        dtypes = (self.form.left.dtype, self.form.right.dtype, self.values.dtype)
        return reduce(torch.promote_types, dtypes, torch.float32)

    def tensors(self) -> dict[str, Tensor]:
        """The floating tensors by name, those that are present."""
        names = ("value", "hop_bias", "pair_bias", "pair_features", "pair_weight", "pair_value")
        found = {name: getattr(self, name) for name in names}
        sides = {"left": "query", "right": "key"}  # as the caller of `attend` knows them
        for name, part in vars(self.form).items():
            if isinstance(part, Tensor):
                found[sides.get(name, name)] = part
        return {name: tensor for name, tensor in found.items() if tensor is not None}


def is_transformed() -> bool:
    """Inside of forward-mode derivatives or `torch.func`, which need PyTorch's own operators."""
    if torch.compiler.is_compiling():
        return False
    inside = torch._C._functorch.peek_interpreter_stack() is not None  # type: ignore[attr-defined]
    return inside or forward_ad._current_level >= 0


def checked_form(form: object) -> Form:
    """`form`, if it is one of the three."""
    return _instance("form", form, Multiplicative, Additive, Given)


def checked_neighborhood(neighborhood: object) -> Neighborhood:
    """`neighborhood`, if it is one."""
    if isinstance(neighborhood, Tensor):
        raise TypeError(
            "neighborhood: found Tensor, expected a Sparse or Span: gattn.from_edge_index makes one"
        )
    return _instance("neighborhood", neighborhood, Sparse, Span, Streamed)


def _instance(name: str, part: Any, *kinds: type) -> Any:
    if not isinstance(part, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        found = type(part).__name__ if isinstance(part, Tensor) else repr(part)
        raise TypeError(f"{name}: found {found}, expected a {wanted}")
    return part


def _check_parts(problem: Problem) -> None:
    checked_form(problem.form)
    checked_neighborhood(problem.neighborhood)
    _instance("normalizer", problem.normalizer, Normalizer)
    _check.fraction("dropout", problem.dropout)
    if problem.wants_statistic and not problem.normalizer.has_statistic:
        raise ValueError(f"normalizer: found {problem.normalizer}, which has no row statistic")


def _check_form(form: Form, neighborhood: Neighborhood) -> None:
    left, right = _check.tensor("query", form.left), _check.tensor("key", form.right)
    _check.shape("query", left, [neighborhood.num_targets, "H", "C"])
    channels = "C" if isinstance(form, Given) else left.shape[2]
    _check.shape("key", right, [neighborhood.num_sources, left.shape[1], channels])
    heads = left.shape[1]
    if isinstance(form, Additive):
        weight = _check.tensor("form.weight", form.weight)
        _check.shape("form.weight", weight, [heads, left.shape[2]])
    if isinstance(form, Multiplicative):
        for name, nodes in (("source_bias", right.shape[0]), ("target_bias", left.shape[0])):
            bias = getattr(form, name)
            if bias is not None:
                _check.shape(f"form.{name}", _check.tensor(f"form.{name}", bias), [nodes, heads])


def _check_value(problem: Problem) -> None:
    if problem.value is not None:
        nodes = problem.neighborhood.num_sources
        _check.shape("value", _check.tensor("value", problem.value), [nodes, problem.heads, "D"])


def _check_pairs(problem: Problem) -> None:
    heads, neighborhood = problem.heads, problem.neighborhood
    for name in ("pair_bias", "pair_features"):
        if getattr(problem, name) is not None and isinstance(neighborhood, Streamed):
            raise ValueError(
                f"{name}: found one, but {neighborhood!r} stores no pairs that it could belong to: "
                "expand() does, and k_hop(..., streamed=False)"
            )
    if problem.hop_bias is not None:
        _check.shape("hop_bias", _check.tensor("hop_bias", problem.hop_bias), ["K + 1", heads])
        if problem.hop_bias.shape[0] == 0:
            raise ValueError("hop_bias: found 0 rows, expected at least one")
        if neighborhood.num_hops is None:
            raise ValueError(
                f"hop_bias: found one, but {neighborhood!r} has no hops: k_hop(..., complete=True) "
                "has them for all pairs"
            )
    if problem.pair_bias is not None:
        bias = _check.tensor("pair_bias", problem.pair_bias)
        per_head = [heads] if bias.dim() > 1 else []
        _check.shape("pair_bias", bias, [neighborhood.num_pairs, *per_head])
    _check_features(problem)


def _check_features(problem: Problem) -> None:
    features, weights = problem.pair_features, (problem.pair_weight, problem.pair_value)
    if (features is None) != all(weight is None for weight in weights):
        raise ValueError(
            "pair_features: expected together with pair_weight or pair_value, found one without "
            "the other"
        )
    if features is None:
        return
    for name in ("pair_features", "pair_weight", "pair_value"):
        if getattr(problem, name) is not None:
            _check.tensor(name, getattr(problem, name))
    _check.shape("pair_features", features, [problem.neighborhood.num_pairs, "F"])
    width, right, values = features.shape[1], problem.form.right, problem.values
    if problem.pair_weight is not None:
        _check.shape("pair_weight", problem.pair_weight, [width, problem.heads, right.shape[2]])
    if problem.pair_value is not None:
        _check.shape("pair_value", problem.pair_value, [width, problem.heads, values.shape[2]])

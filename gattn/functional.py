"""The one operator, `attend`, and what one can ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gattn import _batched, _check
from gattn.forms import Form
from gattn.neighborhood import Neighborhood
from gattn.normalizers import Normalizer, Rows, Softmax
from gattn.ops import dispatch
from gattn.ops.philox import draw_seed
from gattn.ops.problem import Problem, checked_neighborhood
from gattn.scores import ScaledDot, Score

# What `**options` may hold: the keyword arguments of `attend` that have a meaning there.
SCORES = ("hop_bias", "pair_bias", "pair_features", "pair_weight")
WEIGHTS = ("normalizer", *SCORES)
OPTIONS = (*WEIGHTS, "pair_value")


@dataclass(frozen=True)
class _Unchanged(Normalizer):
    """Weights that are the scores."""

    has_statistic: ClassVar[bool] = False

    def normalize(self, score: Tensor, rows: Rows) -> tuple[Tensor, None]:
        """The scores `[E, H]` themselves."""
        return score, None


def attend(
    query: Tensor,  # [N, H, C]
    key: Tensor,  # [M, H, C]
    value: Tensor | None,  # [M, H, D]
    neighborhood: Neighborhood,
    *,
    score: Score | None = None,
    normalizer: Normalizer | None = None,
    hop_bias: Tensor | None = None,  # [K + 1, H]
    pair_bias: Tensor | None = None,  # [E] or [E, H]
    pair_features: Tensor | None = None,  # [E, F]
    pair_weight: Tensor | None = None,  # [F, H, C]
    pair_value: Tensor | None = None,  # [F, H, D]
    dropout: float = 0.0,
    backend: str | None = None,
) -> Tensor:
    r"""Every target attends to the sources of its neighbourhood.

    $$ s_{ij} = \operatorname{score}(q_i, k_j) + b_{\text{hop}(i, j)} + b_{ij}, \qquad
       w_{i\cdot} = \operatorname{normalize}(s_{i\cdot}), \qquad o_i = \sum_j w_{ij} v_j $$

    Query, key and value may all have a leading batch axis `B`: B sets of features on one static
    graph. Per-pair arguments are in the order in which the builder was given the pairs: that of
    the edges for `from_edge_index`, that of the rows for `k_hop` and the spans.

    Args:
        query: `[N, H, C]`, one row per target and head.
        key: `[M, H, C]`, one per source.
        value: `[M, H, D]`; `None` takes the form's `right`, which is the key of a GATv2.
        neighborhood: who attends to whom.
        score: how query and key are compared; `ScaledDot()` if not given.
        normalizer: scores of a row to weights of a row; `Softmax()` if not given.
        hop_bias: `[K + 1, H]`, added to the score by the hop of the pair; hops beyond K share
            the last row.
        pair_bias: `[E]` or `[E, H]`, added to the score; -inf masks the pair.
        pair_features: `[E, F]`, features of the pairs, used through the next two.
        pair_weight: `[F, H, C]`: the score sees `r_j + e_ij @ pair_weight`, r being the sources'
            side of its form (the key, for a product).
        pair_value: `[F, H, D]`: the value is `v_j + e_ij @ pair_value`.
        dropout: probability to drop a weight; the kept ones are scaled by 1 / (1 - dropout).
            `torch.manual_seed` repeats it, and so does every backend but "sdpa".
        backend: "sdpa", "cpu", "triton", "blocks", "reference", or `None` for the first that can,
            in this order.

    Returns:
        `[N, H, D]` in the dtype of the value; a target without pairs gets zeros. Scores and sums
        are float32 for half types and float32, float64 for float64.

    Raises:
        TypeError, ValueError: an argument does not fit the others; or a named backend cannot
            compute this, with the reasons.
    """
    form = _scored(score, query, key)
    return attend_form(
        form,
        value,
        neighborhood,
        normalizer=normalizer,
        hop_bias=hop_bias,
        pair_bias=pair_bias,
        pair_features=pair_features,
        pair_weight=pair_weight,
        pair_value=pair_value,
        dropout=dropout,
        backend=backend,
    )


def attend_with_statistic(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    neighborhood: Neighborhood,
    *,
    score: Score | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """`attend`, and the row statistic from which the weights follow.

    Args: as `attend`.

    Returns:
        The output `[N, H, D]` and the statistic `[N, H]` (the log-sum-exp of a softmax, the
        threshold of sparsemax and entmax; -inf for a target without pairs). Both are
        differentiable. Over refined rows (`Sparse.rings`), R rows instead of N.

    Raises:
        TypeError, ValueError: as `attend`; or the normaliser has no statistic.
    """
    form = _scored(score, query, key)
    return attend_form_with_statistic(form, value, neighborhood, **options)


def attention_weights(
    query: Tensor,
    key: Tensor,
    neighborhood: Neighborhood,
    *,
    score: Score | None = None,
    **options: Any,
) -> Tensor:
    """The weights that `attend` would use, before the dropout.

    Args: as `attend`, without `value`, `pair_value` and `dropout`; `backend` is "cpu",
        "triton" or "reference".

    Returns:
        `[E, H]` in the builder's input order: that of the edges for `from_edge_index`, that of
        `neighborhood.edge_index()` (or `span.expand().edge_index()`) always.

    Raises:
        TypeError, ValueError: as `attend`; or a span has too many pairs to write out.
    """
    return form_weights(
        (ScaledDot() if score is None else score)(query, key), neighborhood, **options
    )


def attend_form(
    form: Form,
    value: Tensor | None,
    neighborhood: Neighborhood,
    *,
    dropout: float = 0.0,
    backend: str | None = None,
    **options: Any,
) -> Tensor:
    """`attend` for a form that is there already, instead of a score.

    Args:
        form: `Multiplicative`, `Additive` or `Given`.
        value: as in `attend`, and so are the keyword arguments.
        neighborhood: who attends to whom.
        dropout: probability to drop a weight.
        backend: a name, or `None`.
        options: `normalizer, hop_bias, pair_bias, pair_features, pair_weight, pair_value`.

    Raises:
        TypeError, ValueError: as `attend`.
    """
    return _run(form, value, neighborhood, dropout, backend, options)[0]


def attend_form_with_statistic(
    form: Form,
    value: Tensor | None,
    neighborhood: Neighborhood,
    *,
    dropout: float = 0.0,
    backend: str | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """`attend_with_statistic` for a form that is there already, instead of a score.

    Args: as `attend_form`.

    Raises:
        TypeError, ValueError: as `attend_with_statistic`.
    """
    out, statistic = _run(form, value, neighborhood, dropout, backend, options, True)
    assert statistic is not None
    return out, statistic


def form_weights(form: Form, neighborhood: Neighborhood, **options: Any) -> Tensor:
    """`attention_weights` for a form that is there already, instead of a score.

    Args:
        form: `Multiplicative`, `Additive` or `Given`.
        neighborhood: who attends to whom.
        options: `normalizer, hop_bias, pair_bias, pair_features, pair_weight`; and `backend`,
            "cpu", "triton", "reference", or `None` for the first that can.

    Raises:
        TypeError, ValueError: as `attention_weights`.
    """
    backend = options.pop("backend", None)
    problem, batch = _problem(form, None, neighborhood, _only(options, WEIGHTS))
    with _full_precision(neighborhood):
        return _batched.unfold(dispatch.weights(problem, backend), batch)


def pair_scores(form: Form, neighborhood: Neighborhood, **options: Any) -> Tensor:
    """The score of every pair, biases included, before it is normalised.

    Args:
        form: `Multiplicative`, `Additive` or `Given`.
        neighborhood: who attends to whom.
        options: `hop_bias, pair_bias, pair_features, pair_weight`, as in `attend`.

    Returns:
        `[E, H]` in the builder's input order.

    Raises:
        TypeError, ValueError: as `attention_weights`.
    """
    chosen = _only(options, SCORES) | {"normalizer": _Unchanged()}
    problem, batch = _problem(form, None, neighborhood, chosen)
    with _full_precision(neighborhood):
        return _batched.unfold(dispatch.weights(problem), batch)


def backend_reasons(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    neighborhood: Neighborhood,
    *,
    score: Score | None = None,
    **options: Any,
) -> dict[str, list[str]]:
    """For every backend, why it cannot compute this call of `attend`; nothing is computed.

    Args: as `attend`, without `dropout` and `backend`.

    Returns:
        Backends by name in the order of preference; the first with an empty list is the one that
        `attend` takes.

    Raises:
        TypeError, ValueError: as `attend`.
    """
    form = _scored(score, query, key)
    return dispatch.reasons(_problem(form, value, neighborhood, _only(options, OPTIONS))[0])


def _scored(score: Score | None, query: Tensor, key: Tensor) -> Form:
    """The form of query and key, both of which scores take on trust."""
    if score is not None and not isinstance(score, Score):
        found = f"the class {score.__name__}" if isinstance(score, type) else repr(score)
        if isinstance(score, Form):
            found = f"a {type(score).__name__}, which is a form (attend_form takes it)"
        raise TypeError(f"score: found {found}, expected a Score, such as ScaledDot()")
    _check.floating("query", query)
    _check.floating("key", key)
    return (ScaledDot() if score is None else score)(query, key)


def _only(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The options, if a function knows them all: none is ignored in silence."""
    for name in options:
        if name not in names:
            raise TypeError(f"{name}: found an unknown argument, expected {', '.join(names)}")
    return options


def _run(
    form: Form,
    value: Tensor | None,
    neighborhood: Neighborhood,
    dropout: float,
    backend: str | None,
    options: dict[str, Any],
    statistic: bool = False,
) -> tuple[Tensor, Tensor | None]:
    more: dict[str, Any] = {"dropout": dropout, "wants_statistic": statistic}
    if _check.fraction("dropout", dropout):
        more["seed"] = draw_seed(checked_neighborhood(neighborhood).device)
    problem, batch = _problem(form, value, neighborhood, _only(options, OPTIONS) | more)
    with _full_precision(neighborhood):
        out, found = dispatch.choose(problem, backend).forward(problem)
    return _batched.unfold(out, batch), None if found is None else _batched.unfold(found, batch)


def _full_precision(neighborhood: Neighborhood) -> torch.autocast:
    """Autocast ends here: the operator chooses its own compute dtype."""
    return torch.autocast(neighborhood.device.type, enabled=False)


def _problem(
    form: Form, value: Tensor | None, neighborhood: Neighborhood, options: dict[str, Any]
) -> tuple[Problem, int | None]:
    """The validated problem, its batch axis folded into the heads, and the size of that axis."""
    batch = _batched.size(form, value)
    if batch is not None:
        form, value, options = _batched.fold_all(form, value, options, batch)
    chosen = options.get("normalizer")
    options = options | {"normalizer": Softmax() if chosen is None else chosen}
    return Problem(form, value, neighborhood, **options), batch

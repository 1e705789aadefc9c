"""`aggregate` weights that are there already, `diffuse` with them, and `degree_weights`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gattn import _batched, _check
from gattn.forms import Multiplicative
from gattn.neighborhood import Neighborhood, Sparse
from gattn.normalizers import Softmax
from gattn.ops import dispatch
from gattn.ops.philox import draw_seed
from gattn.ops.problem import Problem, checked_neighborhood


def aggregate(
    weights: Tensor,  # [E, H]
    value: Tensor,  # [M, H, D]
    neighborhood: Neighborhood,
    *,
    dropout: float = 0.0,
    backend: str | None = None,
) -> Tensor:
    r"""The weighted sum of the values of every row, for weights that are there already.

    $$ o_i = \sum_j w_{ij} v_j $$

    After `attention_weights` it is the other half of `attend`, for weights that are used more
    than once. Weights and values may both have a leading batch axis. The gradients of both are
    differentiable again.

    Args:
        weights: `[E, H]` in the builder's input order, as `attention_weights` returns them.
        value: `[M, H, D]`.
        neighborhood: who attends to whom.
        dropout: probability to drop a weight, as in `attend`; drawn anew in every call.
        backend: "cpu", "triton", "reference", or `None` for the first that can.

    Returns:
        `[N, H, D]` in the dtype of the value; a target without pairs gets zeros. Sums are float32
        for half types and float32, float64 for float64.

    Raises:
        TypeError, ValueError: an argument does not fit the others; or a span has too many pairs
            to write out.
    """
    _check.fraction("dropout", dropout)
    stored = _stored(neighborhood)
    ready, held, batch = _checked(weights, value, stored)
    return _batched.unfold(_summed(ready, held, stored, dropout, backend), batch)


def diffuse(
    weights: Tensor,  # [E, H]
    value: Tensor,  # [N, H, D]
    neighborhood: Neighborhood,
    *,
    rounds: int = 6,
    restart: float = 0.1,
    dropout: float = 0.0,
    feature_dropout: float = 0.0,
    every: bool = False,
    backend: str | None = None,
) -> Tensor:
    r"""Values that go from node to node for K rounds, and start again with probability a.

    $$ z^{(0)} = v, \qquad z^{(k + 1)} = (1 - a) A z^{(k)} + a v, \qquad
       z^{(K)} = \Big( (1 - a)^K A^K + \sum_{k < K} a (1 - a)^k A^k \Big) v $$

    with $A_{ij} = w_{ij}$: attention over every walk of at most K steps, from the weights of one.
    A round takes E H D operations. What is held for the backward pass are the weights, once, and
    the values of each round, K N H D numbers in all (autograd keeps what it needs for a gradient of
    the weights, and nothing is computed twice); without gradients two of them at a time. That is
    the compiled backend; the reference makes E H D numbers in every round.

    A node without pairs has a row of zeros, and ends at a v (at v itself if `rounds` is 0 or
    `restart` is 1). With a loop on every node, as `k_hop` has it, no row is empty, and those of
    the sum in brackets sum to one if those of A do.

    (Wang et al., "Multi-hop Attention Graph Neural Networks", 2021.)

    Args:
        weights: `[E, H]` in the builder's input order, as `attention_weights` returns them.
        value: v, `[N, H, D]`; both may have a leading batch axis.
        neighborhood: who attends to whom, among the nodes of one set.
        rounds: K; 0 returns the value.
        restart: a, in `[0, 1]`; 1 returns the value.
        dropout: probability to drop a weight, drawn anew in every round.
        feature_dropout: probability to drop a number of what a round begins with.
        every: return the values after each round, too, from the first, the value itself, on.
        backend: "cpu", "triton", "reference", or `None` for the first that can.

    Returns:
        `[N, H, D]` in the dtype of the value; between the rounds it stays in float32 or float64.
        With `every` `[K + 1, N, H, D]`, where a batch axis stands behind that of the rounds.

    Raises:
        TypeError, ValueError: as `aggregate`; or targets and sources differ in number.
    """
    _check.integer("rounds", rounds, 0)
    shares = {"restart": restart, "dropout": dropout, "feature_dropout": feature_dropout}
    for name, share in shares.items():
        _check.fraction(name, share)
    stored = _square(_stored(neighborhood))
    ready, held, batch = _checked(weights, value, stored)
    start = state = held.to(ready.dtype)
    states = [state]
    for _ in range(rounds):
        if restart < 1:
            state = F.dropout(state, feature_dropout) if feature_dropout else state
            state = _summed(ready, state, stored, dropout, backend)
            state = torch.lerp(state, start, restart) if restart else state
        states = [*states, state] if every else [state]
    found = [_batched.unfold(state.to(value.dtype), batch) for state in states]
    return torch.stack(found) if every else found[0]


def degree_weights(neighborhood: Neighborhood) -> Tensor:
    r"""Weights of pairs by the number of pairs on both sides, and by nothing else.

    $$ w_{ij} = (d_i d_j)^{-1/2} $$

    with d the number of pairs of a node: of a target as a row, of a source in all rows. Of an
    undirected graph with a loop on every node this is D^-1/2 (A + I) D^-1/2, the weights of a GCN
    (Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks", 2017).

    Args:
        neighborhood: who attends to whom.

    Returns:
        `[E]` float32 in the builder's input order, as `attention_weights` has it.

    Raises:
        TypeError, ValueError: not a neighbourhood; or a span has too many pairs to write out.
    """
    stored = _stored(neighborhood)
    source, target = stored.edge_index()
    rows = torch.bincount(target, minlength=stored.num_targets).float()
    columns = torch.bincount(source, minlength=stored.num_sources).float()
    return (rows[target] * columns[source]).rsqrt()


def _stored(neighborhood: Neighborhood) -> Sparse:
    around = checked_neighborhood(neighborhood)
    return around if isinstance(around, Sparse) else around.expand()


def _square(stored: Sparse) -> Sparse:
    if stored.num_rows != stored.num_sources:
        found = f"{stored.num_rows} rows and {stored.num_sources} sources"
        raise ValueError(f"neighborhood: found {found}, expected as many: rounds go on from rows")
    return stored


def _checked(weights: Tensor, value: Tensor, stored: Sparse) -> tuple[Tensor, Tensor, int | None]:
    """Weights in the order of the rows and in the dtype of sums, values, the size of a batch."""
    _check.floating("value", value)
    _check.floating("weights", weights)
    axes = [value.shape[0]] if value.dim() == 4 else []
    _check.shape("value", value, [*axes, stored.num_sources, "H", "D"])
    _check.shape("weights", weights, [*axes, stored.num_pairs, value.shape[-2]])
    _check.same_device("weights", weights, stored.device, "neighborhood")
    if axes:
        weights, value = _batched.fold(weights), _batched.fold(value)
    ready = weights if stored.perm is None else weights.index_select(0, stored.perm)
    dtype = torch.promote_types(torch.promote_types(weights.dtype, value.dtype), torch.float32)
    return ready.to(dtype), value, axes[0] if axes else None


def _summed(
    ready: Tensor, value: Tensor, stored: Sparse, dropout: float, backend: str | None
) -> Tensor:
    """One round, `[R, H, D]`: sums of values by weights in the order of the rows."""
    # A form without channels, which says in what dtype to compute.
    sides = (stored.num_targets, stored.num_sources)
    left, right = (ready.new_empty(nodes, ready.shape[1], 0) for nodes in sides)
    seed = draw_seed(stored.device) if dropout else None
    with torch.autocast(stored.device.type, enabled=False):
        problem = Problem(
            Multiplicative(left, right), value, stored, Softmax(), dropout=dropout, seed=seed
        )
        return dispatch.aggregated(problem, ready, backend)

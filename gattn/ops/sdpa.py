"""PyTorch's own attention, where it is exact: a softmax of products over a whole sequence.

It is the documented exception among the backends: the autograd and the dropout stream are
torch's, and there is no statistic.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gattn.forms import Multiplicative
from gattn.neighborhood import Span
from gattn.normalizers import Softmax
from gattn.ops.problem import Problem


def reasons(problem: Problem) -> list[str]:
    """Why the problem cannot be computed here; empty = it can."""
    biases = ("hop_bias", "pair_bias", "pair_features")
    found = [f"{name} is given" for name in biases if getattr(problem, name) is not None]
    if problem.wants_statistic:
        found.append("the statistic of the rows is asked for")
    # A subclass may mean something else: only the class itself is known to be what torch computes.
    if type(problem.normalizer) is not Softmax:
        found.append(f"the normalizer is {problem.normalizer}, not Softmax()")
    return found + _form_reasons(problem) + _span_reasons(problem)


def _form_reasons(problem: Problem) -> list[str]:
    form = problem.form
    if type(form) is not Multiplicative:
        return [f"the form is {type(form).__name__}, not Multiplicative"]
    biases = ("source_bias", "target_bias")
    found = [f"the form has a {name}" for name in biases if getattr(form, name) is not None]
    if form.left.shape[2] == 0:
        found.append("the form has no channels")
    dtypes = {form.left.dtype, form.right.dtype, problem.values.dtype}
    return found + (["query, key and value differ in dtype"] if len(dtypes) > 1 else [])


def _span_reasons(problem: Problem) -> list[str]:
    span = problem.neighborhood
    if not isinstance(span, Span):
        return ["the neighbourhood is Sparse, not Span"]
    if span.num_sources == 0 or span.num_rows == 0:
        return ["there is nothing to attend to"]
    whole = span.kind == "full" or (span.kind == "window" and span.causal and span.radius is None)
    return [] if whole else [f"{span!r} is neither full nor causal without a radius"]


def forward(problem: Problem) -> tuple[Tensor, None]:
    """Output `[N, H, D]` of every row; there is no statistic."""
    form, span = problem.form, problem.neighborhood
    assert isinstance(form, Multiplicative) and isinstance(span, Span)
    query, key, value = (t.transpose(0, 1)[None] for t in (form.left, form.right, problem.values))
    out = scaled_dot_product_attention(
        query, key, value, None, problem.dropout, is_causal=span.causal, scale=form.scale
    )
    return out[0].transpose(0, 1), None

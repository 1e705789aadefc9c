"""`Inputs`: a problem as the flat list of tensors and numbers that a registered operator takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gattn.forms import Additive, Multiplicative
from gattn.neighborhood import Sparse, Streamed
from gattn.normalizers import Hard, Normalizer, Sigmoid, Softmax, TopK
from gattn.ops.problem import Problem

FUSED = ("softmax", "sigmoid", "top_k", "hard")
"""The normalisers that operators know by name."""

DIFFERENTIABLE = (
    "left",
    "right",
    "value",
    "weight",
    "source_bias",
    "target_bias",
    "hop_bias",
    "pair_bias",
    "pair_features",
    "pair_weight",
    "pair_value",
)


class Inputs(NamedTuple):
    """The arguments of the operators, in the order of their schema.

    The neighbourhood's tensors come first, those of the form and the options next, numbers last;
    names are those of `Sparse`, of the forms and of `attend`.
    """

    rowptr: Tensor
    col: Tensor
    hop: Tensor | None
    perm: Tensor | None
    t_rowptr: Tensor
    t_col: Tensor
    t_perm: Tensor
    left: Tensor
    right: Tensor
    value: Tensor | None
    weight: Tensor | None
    source_bias: Tensor | None
    target_bias: Tensor | None
    hop_bias: Tensor | None
    pair_bias: Tensor | None
    pair_features: Tensor | None
    pair_weight: Tensor | None
    pair_value: Tensor | None
    seed: Tensor | None
    groups: int
    first_row: int
    scale: float
    is_tanh: bool
    slope: float
    normalizer: str
    k: int
    dropout: float

    @property
    def values(self) -> Tensor:
        """The values `[M, H, D]`: given, or the form's `right`."""
        return self.right if self.value is None else self.value

    @property
    def compute_dtype(self) -> torch.dtype:
        """float64 if any of query, key and value is; else float32."""
        dtypes = {self.left.dtype, self.right.dtype, self.values.dtype}
        return torch.float64 if torch.float64 in dtypes else torch.float32

    @property
    def num_rows(self) -> int:
        """R, the number of rows."""
        return self.rowptr.shape[0] - 1

    @property
    def differentiable(self) -> tuple[Tensor | None, ...]:
        """The tensors that may have a gradient, in the order of `DIFFERENTIABLE`."""
        return tuple(getattr(self, name) for name in DIFFERENTIABLE)

    @classmethod
    def of(cls, problem: Problem, around: Sparse | Streamed) -> Inputs:
        """The inputs of a problem over stored pairs, or over those that are searched for.

        Args:
            problem: with a form and a normaliser that operators know.
            around: who attends to whom; of a `Streamed` one, rows and columns are its graph's.
        """
        form, normalizer = problem.form, problem.normalizer
        assert isinstance(form, (Multiplicative, Additive))
        additive = isinstance(form, Additive)
        stored = isinstance(around, Sparse)
        hop = around.hop if stored and problem.hop_bias is not None else None
        columns = vars(around.transpose) if stored else _nothing(around)
        return cls(
            rowptr=around.rowptr,
            col=around.col,
            hop=hop,
            perm=around.perm if stored else None,
            **{f"t_{name}": tensor for name, tensor in columns.items()},
            left=form.left,
            right=form.right,
            value=problem.value,
            weight=form.weight if additive else None,
            source_bias=None if additive else form.source_bias,
            target_bias=None if additive else form.target_bias,
            hop_bias=problem.hop_bias,
            pair_bias=problem.pair_bias,
            pair_features=problem.pair_features,
            pair_weight=problem.pair_weight,
            pair_value=problem.pair_value,
            seed=problem.seed if problem.dropout else None,
            groups=around.groups,
            first_row=problem.first_row,
            scale=1.0 if additive else float(form.scale),
            is_tanh=additive and form.activation == "tanh",
            slope=float(form.negative_slope) if additive else 0.0,
            normalizer=name_of(normalizer) or "softmax",
            k=normalizer.k if isinstance(normalizer, TopK) else 1,
            dropout=problem.dropout,
        )

    def problem(self) -> Problem:
        """The problem again, for the reference."""
        form: Multiplicative | Additive
        if self.weight is None:
            biases = self.source_bias, self.target_bias
            form = Multiplicative(self.left, self.right, self.scale, *biases)
        else:
            act = "tanh" if self.is_tanh else "leaky_relu"
            form = Additive(self.left, self.right, self.weight, act, self.slope)
        options = {name: getattr(self, name) for name in DIFFERENTIABLE[6:]}
        return Problem(
            form,
            self.value,
            self.neighborhood(),
            _normalizer(self.normalizer, self.k),
            dropout=self.dropout,
            seed=self.seed,
            first_row=self.first_row,
            wants_statistic=self.normalizer != "sigmoid",
            **options,
        )

    def streamed(
        self, starts: Tensor, num_hops: int, shells: Sequence[int], complete: bool
    ) -> Streamed:
        """The streamed neighbourhood again, whose graph these inputs have.

        Args: as the fields of `Streamed`.
        """
        return Streamed.trusted(
            rowptr=self.rowptr,
            col=self.col,
            num_hops=num_hops,
            shells=tuple(shells),
            complete=complete,
            groups=self.groups,
            device=self.left.device,
            starts=starts,
        )

    def over(self, stored: Sparse) -> Inputs:
        """The same over other pairs, in the order of their rows."""
        columns = {f"t_{name}": tensor for name, tensor in vars(stored.transpose).items()}
        hop = None if self.hop_bias is None else stored.hop
        return self._replace(rowptr=stored.rowptr, col=stored.col, hop=hop, **columns)

    def neighborhood(self) -> Sparse:
        """The neighbourhood again."""
        return Sparse.trusted(
            rowptr=self.rowptr,
            col=self.col,
            num_sources=self.right.shape[0],
            hop=self.hop,
            perm=self.perm,
            num_hops=None if self.hop is None else 255,
            groups=self.groups,
            transpose=(self.t_rowptr, self.t_col, self.t_perm),
        )


def _nothing(around: Streamed) -> dict[str, Tensor]:
    """The transpose of no pairs."""
    return {"rowptr": around.rowptr[:1], "col": around.col[:0], "perm": around.rowptr[:0]}


def name_of(normalizer: Normalizer) -> str | None:
    """Under what name operators know a normaliser; `None` for one that they do not know.

    A subclass may mean something else: only the class itself is what they compute.
    """
    kinds: list[type] = [Softmax, Sigmoid, TopK, Hard]
    return dict(zip(kinds, FUSED, strict=True)).get(type(normalizer))


def _normalizer(name: str, k: int) -> Normalizer:
    return {"softmax": Softmax(), "sigmoid": Sigmoid(), "top_k": TopK(k), "hard": Hard()}[name]

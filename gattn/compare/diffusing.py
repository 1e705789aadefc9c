"""The model "diffusion": layers of `DiffusionAttention` behind a projection of sparse features."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

import gattn
from gattn.nn import DiffusionAttention

# Features do not change while a study runs, and looking for their zeros takes as long as a layer.
_entries: Any = WeakTensorKeyDictionary()


class SparseLinear(nn.Module):
    r"""A linear layer of features that are mostly zeros, such as words, after their dropout.

    $$ y = \operatorname{dropout}(x)\, W $$

    What is multiplied, and what the dropout drops, are entries that are not zero. There are no
    second derivatives.

    Args:
        in_channels: features of a node.
        out_channels: of the result.
        dropout: probability to drop an entry in training.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight = nn.Parameter(torch.empty(in_channels, 1, out_channels))
        nn.init.xavier_uniform_(self.weight[:, 0])

    def forward(self, x: Tensor) -> Tensor:
        """Return `[N, out_channels]` of features `x` `[N, in_channels]`, which get no gradient."""
        entries = _entries_of(x)
        values = F.dropout(entries.values, self.dropout, self.training)
        return Product.apply(values, self.weight[:, 0], entries)


class Entries(NamedTuple):
    """The entries of a matrix that are not zero, by rows and by columns."""

    values: Tensor  # [E], row by row
    rowptr: Tensor
    column: Tensor
    by_column: Tensor  # [E], entries of the transpose
    colptr: Tensor
    row: Tensor

    def matrix(self, values: Tensor) -> Tensor:
        """The matrix with other values in these places."""
        return _csr(self.rowptr, self.column, values, len(self.colptr) - 1)

    def transpose(self, values: Tensor) -> Tensor:
        """The transpose of that."""
        return _csr(self.colptr, self.row, values[self.by_column], len(self.rowptr) - 1)


def _csr(rowptr: Tensor, column: Tensor, values: Tensor, width: int) -> Tensor:
    size = len(rowptr) - 1, width
    return torch.sparse_csr_tensor(rowptr, column, values, size, check_invariants=False)


class Product(torch.autograd.Function):
    """A sparse matrix times a dense one; PyTorch's own sorts the entries in every backward."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, entries: Entries) -> Tensor:
        """Return `[N, D]` of values `[E]`, which get no gradient, and `[M, D]`."""
        ctx.save_for_backward(values)
        ctx.entries = entries
        return entries.matrix(values.to(weight.dtype)) @ weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:  # type: ignore[override]
        """Return the gradient of the dense matrix."""
        (values,) = ctx.saved_tensors
        return None, ctx.entries.transpose(values.to(grad.dtype)) @ grad.contiguous(), None


def _entries_of(x: Tensor) -> Entries:
    kept = _entries.get(x)
    if kept is None or kept[0] != x._version:
        _entries[x] = kept = x._version, _found(x.detach())
    return kept[1]


def _found(x: Tensor) -> Entries:
    row, column = x.nonzero().T.contiguous()
    return entries_at(row, column, x[row, column], (x.shape[0], x.shape[1]))


def entries_at(row: Tensor, column: Tensor, values: Tensor, size: tuple[int, int]) -> Entries:
    """Return the entries of a matrix.

    Args:
        row: `[E]`, in order.
        column: `[E]`.
        values: `[E]`.
        size: rows and columns of the matrix.
    """
    order = column.argsort(stable=True)
    found = values, _pointers(row, size[0]), column
    entries = Entries(*found, order, _pointers(column, size[1]), row[order])
    with warnings.catch_warnings():  # the first matrix of a process says that these are young
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        entries.matrix(entries.values)
    return entries


def _pointers(index: Tensor, count: int) -> Tensor:
    """Where each of `count` rows begins, `[count + 1]`."""
    counts = torch.bincount(index, minlength=count)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


class Diffusing(nn.Module):
    """The GAT recipe over `DiffusionAttention`: dropout, layer, ELU, again; one head at last.

    Args:
        in_channels: features of a node.
        hidden_channels: channels of one head of a hidden layer.
        out_channels: classes.
        num_layers: layers, the last one included.
        heads: heads of a hidden layer, concatenated.
        dropout: of the features before every layer.
        attention_dropout: of the attention weights.
        diffusion: further arguments of `DiffusionAttention`.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_layers: int,
        heads: int,
        dropout: float,
        attention_dropout: float,
        **diffusion: Any,
    ) -> None:
        super().__init__()
        self.dropout, width = dropout, hidden_channels * heads
        self.lin_in = SparseLinear(in_channels, width, dropout)
        options = {"dropout": attention_dropout, **diffusion}
        hidden = [
            DiffusionAttention(width, hidden_channels, heads, **options)
            for _ in range(num_layers - 1)
        ]
        last = DiffusionAttention(width, out_channels, concat=False, **options)
        self.layers = nn.ModuleList([*hidden, last])

    def forward(self, x: Tensor, neighborhood: gattn.Neighborhood | Tensor) -> Tensor:
        """Return logits `[N, out_channels]` of features `x` `[N, in_channels]`."""
        x = self.lin_in(x)
        for number, layer in enumerate(self.layers):
            x = F.elu(x) if number else x
            x = layer(F.dropout(x, self.dropout, self.training), neighborhood)
        return x

"""`FillingIn`: a model that also learns from the features themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gattn import _check

KINDS = ("category", "values")


class FillingIn(nn.Module):
    r"""A model that is also charged for features that it does not fill in, where they were hidden.

    In training every call hides the features of some nodes: a share drawn from [0, `share`], rows
    of zeros in their place. The F outputs behind the K of the task are a guess z of them, and

    $$ \operatorname{penalty} = \text{weight} \cdot \frac{2}{\text{share} \cdot N}
       \sum_{i \text{ hidden}} \ell(z_i, x_i) $$

    which `gattn.train.fit` adds to its loss, is new in every step. It needs no label: where few
    nodes have one, and features of the others tell of them, it teaches what the labels cannot. (Hou
    et al., "GraphMAE: Self-Supervised Masked Graph Autoencoders", 2022, hide features likewise.)

    Args:
        model: called as `model(x, structure)`, returns `[..., N, K + F]`.
        num_features: F.
        share: the largest share of nodes that are hidden.
        weight: of the penalty.
        kind: what a row of features is. "category": one of F, as a row of zeros and a one, and the
            loss the cross entropy; "values": F numbers, and the loss their mean squared error.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        num_features: int,
        share: float,
        weight: float = 1.0,
        kind: str = "category",
    ) -> None:
        super().__init__()
        self.model = model
        self.num_features = _check.integer("num_features", num_features, 1)
        self.share = _check.fraction("share", share)
        self.weight = _check.positive("weight", weight)
        _check.one_of("kind", kind, KINDS)
        self.kind = kind
        self._charge: Tensor | float = 0.0

    def forward(self, x: Tensor, structure: object) -> Tensor:
        """The outputs of the task, `[..., N, K]`.

        Args:
            x: `[N, F]`.
            structure: whatever the model takes.
        """
        hidden = self._hidden(x)
        if hidden is None:
            out, self._charge = self.model(x, structure), 0.0
        else:
            out = self.model(x.masked_fill(hidden[:, None], 0.0), structure)
            guess = out[..., hidden, -self.num_features :]
            self._charge = self._charged(guess, x[hidden], x.shape[0])
        return out[..., : -self.num_features]

    def penalty(self) -> Tensor | float:
        """What the last call is charged; nothing in evaluation."""
        return self._charge

    def _hidden(self, x: Tensor) -> Tensor | None:
        if not self.training or self.share == 0.0:
            return None
        return torch.rand(x.shape[0], device=x.device) < self.share * torch.rand(
            (), device=x.device
        )

    def _charged(self, guess: Tensor, wanted: Tensor, count: int) -> Tensor:
        """The penalty of guesses `[..., n, F]`, which may be those of several readouts."""
        several = guess.shape[:-2].numel()
        wanted = wanted.expand_as(guess).flatten(0, -2)
        guess = guess.flatten(0, -2)
        if self.kind == "category":
            loss = F.cross_entropy(guess, wanted, reduction="sum")
        else:
            loss = (guess - wanted).square().mean(-1).sum()
        return loss * (2 * self.weight / (self.share * count * several))

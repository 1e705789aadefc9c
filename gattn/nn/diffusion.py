"""`DiffusionAttention`: one hop of attention, and many rounds along it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gattn import _check
from gattn.diffusion import diffuse
from gattn.functional import form_weights
from gattn.neighborhood import Clusters, Neighborhood
from gattn.nn.attention import GraphAttention, Sides
from gattn.normalizers import Normalizer
from gattn.scores import ScaledDot, Score

READOUTS = ("last", "gate")
"""What is made of the rounds: the values after the last one, or a gated sum of all."""


class RoundGate(nn.Module):
    r"""A sum of what a node holds after each round, by a gate that looks at it.

    $$ x_i = \sum_{k = 0}^{K} \sigma\big( \langle g_h, z_i^{(k)} \rangle + b_h \big) z_i^{(k)} $$

    Every node chooses how far it looks. The gates are no shares: they need not sum to one.

    (Liu, Gao & Ji, "Towards Deeper Graph Neural Networks", 2020.)

    Args:
        heads: H.
        channels: C.
    """

    def __init__(self, heads: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, channels))
        self.bias = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def forward(self, rounds: Tensor) -> Tensor:
        """The sum `[..., N, H, C]` of the values of all rounds `[K + 1, ..., N, H, C]`."""
        return (self.gates(rounds)[..., None] * rounds).sum(dim=0)

    def gates(self, rounds: Tensor) -> Tensor:
        """The gates `[K + 1, ..., N, H]`, in (0, 1)."""
        return ((rounds * self.weight).sum(dim=-1) + self.bias).sigmoid()

    def reset_parameters(self) -> None:
        """Draw the weights anew, as those of a linear layer; gates begin near one half."""
        bound = self.weight.shape[1] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.bias)


class DiffusionAttention(GraphAttention):
    r"""Multi-head attention along every walk of at most K steps, from the weights of one.

    $$ z_i^{(0)} = v_i, \qquad
       z_i^{(k + 1)} = (1 - a) \sum_j w_{ij} z_j^{(k)} + a v_i, \qquad
       x'_i = \big\Vert_h z_i^{(K), h} $$

    Breadth is the number of rounds here, and costs neither pairs nor parameters: a round is
    E H C operations over the pairs of one hop, whose weights are computed once. In exchange, a
    node that is far away is weighed by the walks that lead to it, never compared with.
    `gattn.diffuse` says what is held, and what becomes of a node without pairs. With `rounds=1`
    and `restart=0` the layer is `GraphAttention`.

    With `readout="gate"` the output is a sum over all rounds, gated by `RoundGate`, in the place of
    the last one.

    (Wang et al., "Multi-hop Attention Graph Neural Networks", 2021, who add a loop to every node,
    and have an additive score, `gattn.scores.GAT` or `Additive` here.)

    Args:
        in_channels: features of a node, `-1` to derive them from the first input.
        out_channels: C, channels of each head.
        heads: H.
        rounds: K; 0 for the values themselves.
        restart: a, the share of the node's own value in every round, in `[0, 1]`.
        score: how query and key are compared: a class of `gattn.scores`, built for the heads and
            channels of this layer, or an instance, which is used as it is.
        normalizer: scores of a row to weights of a row; diffusion is an average for those whose
            weights sum to one.
        hop_bias: K: learn a bias for each head and hop `0 .. K` of the neighbourhood.
        concat: concatenate the heads, to H * C channels; otherwise average them, to C.
        share_key_value: let the value be the key, as GAT and GATv2 have it.
        edge_dim: F, features of a pair, which then enter the score, projected for each.
        dropout: probability to drop a weight in training, drawn anew in every round.
        feature_dropout: probability to drop a number of what a round begins with, in training.
        readout: "last", or "gate": what is made of the rounds.
        bias: add a learned bias to the output.
        backend: "cpu", "triton", "reference", or `None` for the first that can.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 1,
        *,
        rounds: int = 6,
        restart: float = 0.1,
        score: Score | type[Score] = ScaledDot,
        normalizer: Normalizer | None = None,
        hop_bias: int | None = None,
        concat: bool = True,
        share_key_value: bool = False,
        edge_dim: int | None = None,
        dropout: float = 0.0,
        feature_dropout: float = 0.0,
        readout: str = "last",
        bias: bool = True,
        backend: str | None = None,
    ) -> None:
        _check.integer("in_channels", in_channels, -1)
        super().__init__(
            in_channels,
            out_channels,
            heads,
            score=score,
            normalizer=normalizer,
            hop_bias=hop_bias,
            concat=concat,
            share_key_value=share_key_value,
            edge_dim=edge_dim,
            dropout=dropout,
            bias=bias,
            backend=backend,
        )
        self.edge_value = None  # what goes on is a value of a node, not of a pair
        self.rounds = _check.integer("rounds", rounds, 0)
        self.restart = _check.fraction("restart", restart)
        self.feature_dropout = _check.fraction("feature_dropout", feature_dropout)
        _check.one_of("readout", readout, READOUTS)
        self.round_gate = RoundGate(heads, out_channels) if readout == "gate" else None

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        neighborhood: Neighborhood | Tensor,
        *,
        pair_bias: Tensor | None = None,
        edge_attr: Tensor | None = None,
        clusters: Clusters | None = None,
    ) -> Tensor:
        """Features of the nodes after all rounds.

        Args:
            x: `[N, in]`, or with a leading batch axis, which the result then has.
            neighborhood: the pairs of one step, among the nodes of `x`: a neighbourhood, or an
                `edge_index`. The pairs of a span are written out.
            pair_bias: `[E]` or `[E, H]`, added to the scores; -inf masks.
            edge_attr: `[E, F]` or `[E]`, features of the pairs.
            clusters: none: it is here because `GraphAttention` has it.

        Returns:
            `[N, H * C]`, or `[N, C]` without `concat`.

        Raises:
            TypeError, ValueError: features, neighbourhood and pair arguments do not fit.
        """
        sides = self._prepared(x, neighborhood, clusters)
        options = self._options(pair_bias, edge_attr, values=False)
        weights = form_weights(sides.form, sides.around, backend=self.backend, **options)
        value = sides.form.right if sides.value is None else sides.value
        found = diffuse(weights, value, sides.around, **self._rounds())
        return self._merged(found if self.round_gate is None else self.round_gate(found))

    def _prepared(
        self,
        x: Tensor | tuple[Tensor, Tensor],
        neighborhood: Neighborhood | Tensor,
        clusters: Clusters | None,
    ) -> Sides:
        if isinstance(x, tuple):
            raise TypeError("x: found a tuple, expected one tensor: rounds are among its nodes")
        return super()._prepared(x, neighborhood, clusters)

    def _rounds(self) -> dict[str, Any]:
        """The arguments of `diffuse` in the mode that the module is in."""
        return {
            "rounds": self.rounds,
            "restart": self.restart,
            "dropout": self.dropout if self.training else 0.0,
            "feature_dropout": self.feature_dropout if self.training else 0.0,
            "every": self.round_gate is not None,
            "backend": self.backend,
        }

    def __repr__(self) -> str:
        """As PyG's layers write themselves."""
        sizes = f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
        return f"{type(self).__name__}({sizes}, rounds={self.rounds}, restart={self.restart})"

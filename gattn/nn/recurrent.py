"""`RecurrentGNN`: one block of attention, applied over and over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gattn import _check
from gattn.neighborhood import Clusters, Neighborhood
from gattn.nn.models import AttentionBlock, Norm, built_norm


class RecurrentGNN(nn.Module):
    r"""One attention block, applied over and over, that is shown the input in every round.

    $$ e = W x, \qquad h_1 = \operatorname{block}(e), \qquad
       h_{t+1} = \operatorname{block}(h_t + e), \qquad y_t = W' \operatorname{norm}(h_t) $$

    T rounds reach T times as far as the neighbourhood of the call, with the parameters of one
    block: what is learnt is a step of an algorithm, such as message passing, and not T different
    layers. Rounds have no parameters, so a trained model takes another number of them.

    In training the readouts of all rounds are returned, so that a loss can ask of each round what
    it can know by then; `gattn.train.fit` takes the mean of their losses. The first calls in
    training may have fewer rounds, which are cheaper, and a short way is learnt sooner than a long
    one. (Dehghani et al., "Universal Transformers", 2019; Bansal et al., "End-to-end Algorithm
    Synthesis with Recurrent Networks", 2022, for the input shown again.)

    Args:
        in_channels: features of a node.
        hidden_channels: width of the block, a multiple of `heads`.
        rounds: T.
        out_channels: outputs of a node, such as classes; `hidden_channels` if not given.
        fewest: rounds of the first call in training; `None` = `rounds`.
        growing: calls in training until there are as many as `rounds`.
        heads: H.
        dropout: probability to drop a feature, and a weight, in training.
        act: activation of the feed-forward network: PyG's name of it, or a callable.
        norm: PyG's name of a normalisation, a callable from channels to a module, or `None`. One
            with running averages does not fit: rounds differ, and share them.
        feed_forward: width of the feed-forward network, in multiples of `hidden_channels`.
        attention: further arguments of `GraphAttention`.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    calls: Tensor
    supports_edge_weight = False
    supports_edge_attr = False

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        rounds: int,
        out_channels: int | None = None,
        *,
        fewest: int | None = None,
        growing: int = 0,
        heads: int = 4,
        dropout: float = 0.0,
        act: str | Callable[[Tensor], Tensor] = "gelu",
        norm: Norm = nn.LayerNorm,
        feed_forward: int = 2,
        **attention: Any,
    ) -> None:
        super().__init__()
        self.in_channels, self.hidden_channels = in_channels, hidden_channels
        self.rounds = _check.integer("rounds", rounds, 1)
        self.fewest = _check.integer("fewest", rounds if fewest is None else fewest, 1, rounds)
        self.growing = _check.integer("growing", growing, 0)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.out_channels = hidden_channels if out_channels is None else out_channels
        self.lin_in = nn.Linear(in_channels, hidden_channels)
        parts = {"dropout": dropout, "act": act, "norm": norm, "feed_forward": feed_forward}
        self.block = AttentionBlock(hidden_channels, heads, **parts, **attention)
        self.norm_out = built_norm(norm, hidden_channels)
        self.lin_out = nn.Linear(hidden_channels, self.out_channels)

    def forward(
        self,
        x: Tensor,
        neighborhood: Neighborhood | Tensor,
        clusters: Clusters | None = None,
        rounds: int | None = None,
    ) -> Tensor:
        """Outputs `[..., N, out_channels]`; in training those of all rounds, `[t, ..., N, out]`.

        Args:
            x: `[N, in_channels]`, or with a leading batch axis.
            neighborhood: a neighbourhood, or an `edge_index`: one hop.
            clusters: of `gattn.clusters`, for the level "cluster".
            rounds: how many, if not those of the constructor.

        Raises:
            TypeError, ValueError: a number of rounds that is none.
        """
        count = self._count() if rounds is None else _check.integer("rounds", rounds, 1)
        shown = self.lin_in(x)
        state, states = shown, []
        for number in range(count):
            state = self.block(state + shown if number else state, neighborhood, clusters)
            states.append(state)
        read = torch.stack(states) if self.training else state
        return self.lin_out(self.norm_out(read))

    def _count(self) -> int:
        if not self.training:
            return self.rounds
        done = int(self.calls)
        self.calls += 1
        if done >= self.growing:
            return self.rounds
        return self.fewest + (self.rounds - self.fewest) * done // self.growing

    def reset_parameters(self) -> None:
        """Draw all parameters anew, and count the calls from none."""
        self.calls.zero_()
        for part in (self.lin_in, self.block, self.norm_out, self.lin_out):
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()  # type: ignore[operator]

    def __repr__(self) -> str:
        """As PyG's models write themselves."""
        sizes = f"{self.in_channels}, {self.out_channels}, rounds={self.rounds}"
        return f"{type(self).__name__}({sizes})"

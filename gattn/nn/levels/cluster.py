"""The level "cluster": node, cluster, graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gattn.forms import Multiplicative
from gattn.functional import attend_form, form_weights
from gattn.neighborhood import Clusters
from gattn.nn.levels.parts import Attended, attended, over_parts, part_form, part_weights
from gattn.scores import Score


class ClusterLevel(nn.Module):
    r"""Attention to the clusters of a graph, beside what a target found among its own pairs.

    A cluster is a token, pooled from its members by attention with a learned query per head
    (Lee et al., "Set Transformer", 2019):

    $$ a_{cj} = \operatorname{softmax}_{j \in c}\!\Big(
       \frac{\langle p, k_j \rangle}{\sqrt C} \Big),
       \qquad \bar k_c = \sum_j a_{cj} k_j, \quad \bar v_c = \sum_j a_{cj} v_j $$

    A target attends to the tokens of its graph by the layer's own score and normaliser, and then
    over two parts, its pairs and the clusters, by their statistics and one key for each. All that
    is learned here starts at zero: means for tokens, and with a softmax one attention over pairs
    and tokens alike.

    Args:
        heads: H.
        channels: C of query and key.
    """

    def __init__(self, heads: int, channels: int) -> None:
        super().__init__()
        self.pool_query = nn.Parameter(torch.zeros(heads, channels))
        self.part_key = nn.Parameter(torch.zeros(2, heads, channels))

    def reset_parameters(self) -> None:
        """Back to means, and to one attention over pairs and tokens."""
        nn.init.zeros_(self.pool_query)
        nn.init.zeros_(self.part_key)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor | None,
        clusters: Clusters,
        score: Score,
        local: Attended | None,
        **options: Any,
    ) -> Tensor:
        """Output `[..., N, H, D]`.

        Args:
            query: `[..., N, H, C]`.
            key: `[..., M, H, C]`.
            value: `[..., M, H, D]`, or `None` for the key itself.
            clusters: who belongs together, and who looks at whom.
            score: of the layer.
            local: output and statistic of the pairs; `None` = clusters alone.
            options: as `attend_form`, a normaliser among them; those of pairs have no place here.
        """
        tokens, token_value = self._tokens(key, value, clusters)
        form = score(query, tokens)
        if local is None:
            return attend_form(form, token_value, clusters.look, **options)
        found = attended(form, token_value, clusters.look, **options)
        over = self._form(query, local[1], found[1])
        return over_parts(over, _side_by_side(local[0], found[0], -3), False)[0]

    def weights(
        self,
        query: Tensor,
        key: Tensor,
        clusters: Clusters,
        score: Score,
        local: Tensor | None,
        **options: Any,
    ) -> dict[str, Tensor]:
        """Weights by what they weigh.

        Args:
            query: as `forward`, and so are the others.
            key: as `forward`.
            clusters: as `forward`.
            score: as `forward`.
            local: statistic of the pairs, `[..., N, H]`.
            options: as `forward`.

        Returns:
            "pool" `[..., M, H]`, of a node in its cluster; "cluster" `[..., pairs of look, H]`;
            "share" `[..., N, 2, H]`, of the pairs and of the clusters.
        """
        tokens, _ = self._tokens(key, None, clusters)
        form = score(query, tokens)
        found = {
            "pool": form_weights(self._pool_form(key, clusters), clusters.pool),
            "cluster": form_weights(form, clusters.look, **options),
        }
        if local is not None:
            inner = attended(form, tokens[..., :0], clusters.look, **options)[1]
            share = part_weights(self._form(query, local, inner))
            found["share"] = share.unflatten(-2, (-1, 2))
        return found

    def _tokens(
        self, key: Tensor, value: Tensor | None, clusters: Clusters
    ) -> tuple[Tensor, Tensor]:
        """Key `[..., K, H, C]` and value `[..., K, H, D]` of the clusters, in one pass."""
        form = self._pool_form(key, clusters)
        if value is None:
            tokens = attend_form(form, key, clusters.pool)
            return tokens, tokens
        both = attend_form(form, torch.cat([key, value], -1), clusters.pool)
        return both[..., : key.shape[-1]], both[..., key.shape[-1] :]

    def _pool_form(self, key: Tensor, clusters: Clusters) -> Multiplicative:
        size = (*key.shape[:-3], clusters.num_clusters, *key.shape[-2:])
        return Multiplicative(
            self.pool_query.to(key.dtype).expand(size), key, key.shape[-1] ** -0.5
        )

    def _form(self, query: Tensor, local: Tensor, found: Tensor) -> Multiplicative:
        return part_form(query, _side_by_side(local, found, -2), self.part_key, False)


def _side_by_side(first: Tensor, second: Tensor, axis: int) -> Tensor:
    """Nodes twice, `[..., N, *rest]`, as `[..., 2 N, *rest]`, the two of a node together.

    Args:
        first: the first of each node.
        second: the second.
        axis: minus the number of axes of `rest`, minus 1.
    """
    return torch.stack([first, second], axis).flatten(axis - 1, axis)

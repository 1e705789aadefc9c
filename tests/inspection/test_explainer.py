"""PyG's `AttentionExplainer`: alike on the drop-ins and PyG's layers, and what the maps say."""

import pytest
import torch
from torch_geometric import nn as pyg
from torch_geometric.explain import AttentionExplainer, Explainer

from gattn.compare.models import Classic
from gattn.inspection import attention_maps
from gattn.nn import GATConv, GATv2Conv, TransformerConv
from tests.inspection.graphs import EDGES, features, stirred

PAIRS = [(GATConv, pyg.GATConv), (GATv2Conv, pyg.GATv2Conv)]
PAIRS += [(TransformerConv, pyg.TransformerConv)]
# A loop among the edges is replaced by the layer's own: the explainer then counts along.
PLAIN = EDGES[:, EDGES[0] != EDGES[1]]


def models(ours, theirs):
    mine = stirred(Classic(ours, 6, 4, 3, 2, 2, 0.5))
    other = Classic(theirs, 6, 4, 3, 2, 2, 0.5).double().eval()
    other.load_state_dict(mine.state_dict())
    return mine, other


def explained(model, reduce):
    explainer = Explainer(
        model,
        AttentionExplainer(reduce),
        explanation_type="model",
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "raw",
        },
    )
    return explainer(features(), PLAIN).edge_mask


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("reduce", ["max", "mean", "min"])
def test_the_explainer_gives_the_same_masks_on_both(ours, theirs, reduce):
    mine, other = models(ours, theirs)
    torch.testing.assert_close(explained(mine, reduce), explained(other, reduce))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("reduce", ["max", "mean", "min"])
def test_the_maps_agree_with_the_explainer(ours, theirs, reduce):
    mine, _ = models(ours, theirs)
    found = []
    for each in attention_maps(mine, features(), PLAIN).values():
        assert torch.equal(each.edge_index[:, : PLAIN.shape[1]], PLAIN)
        found.append(_reduced(each.weights[: PLAIN.shape[1]], reduce))
    mask = _reduced(torch.stack(found, -1), reduce)
    torch.testing.assert_close(mask, explained(mine, reduce))


def _reduced(values, reduce):
    found = getattr(torch, reduce)(values, dim=-1)
    return found if isinstance(found, torch.Tensor) else found.values

"""Which numbers belong to which head."""

import torch

from gattn.inspection.parameters import has_heads, keep_heads, rows_of, values_of
from gattn.nn import GATConv, GraphAttention, HopTokenAttention


def test_rows_of_heads():
    layer = GraphAttention(5, 3, 4)
    assert rows_of(layer, [0, 2]).tolist() == [0, 1, 2, 6, 7, 8]


def test_values_are_views():
    layer = GATConv(5, 3, 2)
    for view in values_of(layer, 1):
        view.data.zero_()
    assert layer.lin.weight[3:].abs().sum() == 0
    assert layer.lin.weight[:3].abs().sum() > 0


def test_frozen_parameters_stay_frozen():
    layer = GraphAttention(5, 3, 2, hop_bias=2)
    layer.requires_grad_(False)
    layer.bias = None
    keep_heads(layer, [1])
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    assert layer.hop_bias.shape == (3, 1)


def test_layers_whose_heads_have_other_names_are_left_alone():
    assert not has_heads(HopTokenAttention(5, 3, 2))
    assert not has_heads(torch.nn.MultiheadAttention(4, 2))

"""The stack of blocks, and PyG's model over the drop-ins."""

import pytest
import torch
import torch_geometric.nn as pyg

import gattn
from gattn import normalizers, scores
from gattn.nn import GAT, AttentionGNN, GATConv, GATv2Conv

EDGES = torch.randint(0, 9, (2, 30), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("norm", [torch.nn.LayerNorm, "batch_norm", None])
@pytest.mark.parametrize("score", [scores.ScaledDot, scores.GATv2])
def test_a_stack_learns_the_sum_of_its_neighbours(norm, score):
    torch.manual_seed(0)
    x = torch.randn(9, 3)
    graph = gattn.from_edge_index(EDGES, 9)
    goal = torch.zeros(9, 3).index_add(0, EDGES[1], x[EDGES[0]])
    model = AttentionGNN(3, 16, 2, norm=norm, score=score, out_channels=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x, graph), goal)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_options_reach_the_layers():
    model = AttentionGNN(
        3, 16, 2, heads=2, normalizer=normalizers.Entmax15(), hop_bias=3, levels=("node", "hop")
    )
    layers = [module for module in model.modules() if isinstance(module, gattn.nn.GraphAttention)]
    assert len(layers) == 2 and model.out_channels == 16
    assert all(layer.hop_bias.shape == (4, 2) and layer.hop_level is not None for layer in layers)
    assert model(torch.randn(9, 3), gattn.k_hop(EDGES, 3, 9)).shape == (9, 16)
    assert repr(model) == "AttentionGNN(3, 16, num_layers=2)"


def test_reset_draws_everything_anew():
    model = AttentionGNN(3, 16, 1)
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.reset_parameters()
    changed = {
        name for name, value in model.named_parameters() if not torch.equal(value, before[name])
    }
    assert {"lin_in.weight", "lin_out.weight", "blocks.0.attention.lin_query.weight"} <= changed


def test_a_graph_does_not_see_its_batch_mates():
    torch.manual_seed(0)
    model = AttentionGNN(3, 8, 2).eval().double()
    graph, x = gattn.k_hop(EDGES, 2, 9), torch.randn(18, 3, dtype=torch.float64)
    both = model(x, gattn.batch([graph, graph]))
    torch.testing.assert_close(both[:9], model(x[:9], graph), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize("jk", [None, "cat"])
def test_gat_is_pygs_model_over_the_drop_ins(v2, jk):
    options = {"heads": 4, "v2": v2, "jk": jk, "norm": "layer_norm", "dropout": 0.2}
    ours, theirs = (kind(3, 8, 2, 5, **options).eval() for kind in (GAT, pyg.models.GAT))
    assert {type(conv) for conv in ours.convs} == {GATv2Conv if v2 else GATConv}
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(9, 3)
    torch.testing.assert_close(ours(x, EDGES), theirs(x, EDGES))
    assert repr(ours) == repr(theirs)


def test_errors_name_what_is_wrong():
    with pytest.raises(
        ValueError, match="hidden_channels: found 10, expected a multiple of heads = 4"
    ):
        AttentionGNN(3, 10, 2)
    with pytest.raises(ValueError, match="num_layers: found 0"):
        AttentionGNN(3, 16, 0)
    with pytest.raises(ValueError, match="out_channels: found 6, expected a multiple of heads = 4"):
        GAT(3, 6, 2, heads=4)

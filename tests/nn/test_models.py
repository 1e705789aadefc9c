"""The stack of blocks, and PyG's model over the drop-ins."""

import pytest
import torch
import torch_geometric.nn as pyg

import gattn
from gattn import normalizers, scores
from gattn.nn import DEPTHS, GAT, AttentionGNN, GATConv, GATv2Conv

EDGES = torch.randint(0, 9, (2, 30), generator=torch.Generator().manual_seed(0))
X = torch.ones(9, 4, dtype=torch.float64)


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


POOLED = gattn.clusters(torch.arange(9) // 4)
JUMPS = [None, "last", "attention", "cat", "max", "lstm"]


def clusters_for(model):
    return POOLED if "cluster" in model.blocks[0].attention.levels else None


def stack(depth=1, num_layers=3, **options):
    torch.manual_seed(0)
    options = {"levels": DEPTHS[depth], "hop_bias": 2, "heads": 2} | options
    return AttentionGNN(4, 8, num_layers, 3, **options).double()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("jk", JUMPS)
def test_every_depth_and_every_way_to_join_the_layers(jk, depth):
    model, ball = stack(depth, jk=jk), gattn.k_hop(EDGES, 2, 9)
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    out = model(x, ball, clusters_for(model))
    assert out.shape == (2, 9, 3)
    alone = torch.stack([model(part, ball, clusters_for(model)) for part in x])
    torch.testing.assert_close(out, alone, atol=1e-12, rtol=1e-12)
    out.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("jk", JUMPS[2:])
def test_joined_layers_are_those_of_the_formula(jk):
    model, ball = stack(jk=jk).eval(), gattn.k_hop(EDGES, 2, 9)
    x = torch.randn(9, 4, dtype=torch.float64)
    outputs, inner = [], model.lin_in(x)
    for block in model.blocks:
        inner = block(inner, ball)
        outputs.append(inner)
    if jk == "attention":  # as it starts
        joined = torch.stack(outputs).mean(0)
    else:
        theirs = pyg.JumpingKnowledge(jk, 8, 3).double()
        theirs.load_state_dict(model.jk.state_dict())
        joined = theirs(outputs)
    expected = model.lin_out(model.norm_out(joined))
    torch.testing.assert_close(model(x, ball), expected, atol=1e-12, rtol=1e-12)


def test_the_last_layer_is_what_there_is_without_joining():
    plain, last = stack(), stack(jk="last")
    last.load_state_dict(plain.state_dict())
    x, ball = torch.randn(9, 4, dtype=torch.float64), gattn.k_hop(EDGES, 2, 9)
    assert torch.equal(last(x, ball), plain(x, ball)) and last.jk is None


@pytest.mark.parametrize("jk", JUMPS)
@pytest.mark.parametrize("norm", [torch.nn.LayerNorm, "batch_norm"])
def test_reset_reaches_every_parameter(jk, norm):
    model = stack(4, jk=jk, norm=norm, score=scores.GATv2, act="prelu")
    for parameter in model.parameters():
        parameter.data.fill_(7.0)
    model.reset_parameters()
    left = {name for name, value in model.named_parameters() if (value == 7.0).any()}
    assert not left


@pytest.mark.parametrize("jk", JUMPS)
def test_a_model_of_all_levels_is_batch_independent(jk):
    model, graph = stack(4, jk=jk).eval(), gattn.k_hop(EDGES, 2, 9)
    x = torch.randn(18, 4, dtype=torch.float64)
    x[9:] = float("nan")
    pooled = gattn.clusters((torch.arange(9) // 4).repeat(2), torch.arange(18) // 9)
    both = model(x, gattn.batch([graph, graph]), pooled)
    alone = model(x[:9], graph, POOLED)
    torch.testing.assert_close(both[:9], alone, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stack(jk="sum"), "jk: found 'sum', expected one of last, attention, cat, max, ls"),
        (lambda: stack(4)(X, EDGES), "clusters: found none, expected some"),
        (lambda: stack(1)(X, EDGES, POOLED), "clusters: found some, expected none"),
    ],
)
def test_levels_and_joining_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()

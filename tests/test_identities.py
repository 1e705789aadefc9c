"""One operator, many names: each special case against the library that owns it, in float64."""

import networkx as nx
import pytest
import torch
import torch_geometric.nn as pyg
from torch.nn.functional import scaled_dot_product_attention

import gattn
from gattn.forms import Additive, Multiplicative

EXACT = {"atol": 1e-12, "rtol": 1e-12}
EDGES = torch.randint(0, 12, (2, 40), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def qkv(nodes=12, heads=3, channels=5):
    return torch.randn(3, nodes, heads, channels).unbind(0)


def sdpa(query, key, value, mask=None):
    moved = (tensor.transpose(0, 1) for tensor in (query, key, value))
    return scaled_dot_product_attention(*moved, attn_mask=mask).transpose(0, 1)


def test_one_hop_and_gat_is_pygs_gatconv():
    layer, x = pyg.GATConv(6, 5, heads=3, add_self_loops=False, bias=False), torch.randn(12, 6)
    heads = layer.lin(x).view(12, 3, 5)
    form = Additive(
        (heads * layer.att_dst).sum(-1, keepdim=True),
        (heads * layer.att_src).sum(-1, keepdim=True),
        torch.ones(3, 1),
    )
    graph = gattn.from_edge_index(EDGES, 12)
    out, (_, weights) = layer(x, EDGES, return_attention_weights=True)
    torch.testing.assert_close(gattn.attend_form(form, heads, graph).flatten(1), out, **EXACT)
    torch.testing.assert_close(gattn.form_weights(form, graph), weights, **EXACT)
    score = gattn.scores.GAT(3, 5)
    score.load_state_dict({"att_dst": layer.att_dst[0], "att_src": layer.att_src[0]})
    found = gattn.attend(heads, heads, heads, graph, score=score).flatten(1)
    torch.testing.assert_close(found, out, **EXACT)


def test_one_hop_and_gatv2_is_pygs_gatv2conv():
    layer, x = pyg.GATv2Conv(6, 5, heads=3, add_self_loops=False, bias=False), torch.randn(12, 6)
    query, key = layer.lin_r(x).view(12, 3, 5), layer.lin_l(x).view(12, 3, 5)
    score = gattn.scores.GATv2(3, 5)
    score.load_state_dict({"att": layer.att[0]})
    found = gattn.attend(query, key, None, gattn.from_edge_index(EDGES, 12), score=score)
    torch.testing.assert_close(found.flatten(1), layer(x, EDGES), **EXACT)


def test_one_hop_and_scaled_dot_is_pygs_transformerconv():
    layer = pyg.TransformerConv(6, 5, heads=3, root_weight=False, bias=False)
    x = torch.randn(12, 6)
    projections = (layer.lin_query, layer.lin_key, layer.lin_value)
    query, key, value = (lin(x).view(12, 3, 5) for lin in projections)
    found = gattn.attend(query, key, value, gattn.from_edge_index(EDGES, 12))
    torch.testing.assert_close(found.flatten(1), layer(x, EDGES), **EXACT)


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_full_and_scaled_dot_is_sdpa(backend):
    query, key, value = qkv()
    found = gattn.attend(query, key, value, gattn.full(12), backend=backend)
    torch.testing.assert_close(found, sdpa(query, key, value), **EXACT)


@pytest.mark.parametrize("hops", [0, 1, 3, 11])
def test_hops_on_a_path_are_a_band(hops):
    step = torch.stack([torch.arange(11), torch.arange(1, 12)])
    path = gattn.k_hop(torch.cat([step, step.flip(0)], dim=1), hops, 12)
    query, key, value = qkv()
    place = torch.arange(12)
    band = (place[:, None] - place[None, :]).abs() <= hops
    expected = sdpa(query, key, value, band)
    torch.testing.assert_close(gattn.attend(query, key, value, path), expected, **EXACT)
    span = gattn.window(12, hops)
    torch.testing.assert_close(gattn.attend(query, key, value, span), expected, **EXACT)
    bias = torch.randn(4, 3)
    torch.testing.assert_close(
        gattn.attend(query, key, value, path, hop_bias=bias),
        gattn.attend(query, key, value, span, hop_bias=bias),
        **EXACT,
    )


@pytest.mark.parametrize("hops", [2, 11])
def test_hops_on_a_directed_path_are_a_causal_band(hops):
    path = gattn.k_hop(torch.stack([torch.arange(11), torch.arange(1, 12)]), hops, 12)
    query, key, value = qkv()
    place = torch.arange(12)
    back = place[:, None] - place[None, :]
    expected = sdpa(query, key, value, (back >= 0) & (back <= hops))
    torch.testing.assert_close(gattn.attend(query, key, value, path), expected, **EXACT)
    span = gattn.window(12, hops, causal=True)
    torch.testing.assert_close(gattn.attend(query, key, value, span), expected, **EXACT)
    if hops == 11:
        whole = gattn.window(12, None, causal=True)
        for backend in ("sdpa", "reference"):
            found = gattn.attend(query, key, value, whole, backend=backend)
            torch.testing.assert_close(found, expected, **EXACT)


def test_hops_beyond_the_diameter_are_full_within_a_component():
    parts = nx.disjoint_union(nx.cycle_graph(7), nx.star_graph(4))
    edges = torch.tensor(list(parts.to_directed().edges)).t()
    query, key, value = qkv()
    found = gattn.attend(query, key, value, gattn.k_hop(edges, 11, 12))
    packed = gattn.full(ptr=torch.tensor([0, 7, 12]))
    torch.testing.assert_close(found, gattn.attend(query, key, value, packed), **EXACT)
    apart = [sdpa(*(t[part] for t in (query, key, value))) for part in (slice(7), slice(7, 12))]
    torch.testing.assert_close(found, torch.cat(apart), **EXACT)


@pytest.mark.parametrize("options", [{}, {"pair_bias": True}])
def test_two_levels_with_lse_and_a_constant_are_one_level_with_hop_bias(options):
    graph = gattn.k_hop(EDGES, 2, 12)
    query, key, value = qkv()
    constant = torch.randn(3, 3)  # [hop, head]
    if options:
        options = {"pair_bias": torch.randn(graph.num_pairs, 3)}
    flat = gattn.attend(query, key, value, graph, hop_bias=constant, **options)
    rings = graph.rings()
    inside, lse = gattn.attend_with_statistic(query, key, value, rings, **options)
    ring_score = lse + constant.repeat(12, 1)
    start = torch.arange(12) * 3
    span = gattn.Span(start, start + 3, 36, "packed")
    form = Multiplicative(query[..., :0], inside[..., :0], source_bias=ring_score)
    torch.testing.assert_close(gattn.attend_form(form, inside, span), flat, **EXACT)


def test_a_batch_of_graphs_is_each_graph_alone():
    query, key, value = qkv(24)
    graphs = [gattn.k_hop(EDGES, 2, 12), gattn.k_hop(EDGES.flip(0), 2, 12)]
    found = gattn.attend(query, key, value, gattn.batch(graphs))
    for at, graph in enumerate(graphs):
        part = slice(12 * at, 12 * at + 12)
        alone = gattn.attend(*(t[part] for t in (query, key, value)), graph)
        torch.testing.assert_close(found[part], alone, **EXACT)

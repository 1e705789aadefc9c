"""HopTokens: powers of the propagation of a GCN."""

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader

from gattn.transforms import HopTokens, hop_tokens


def graph(num_nodes=9, num_edges=20, seed=0, **more):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, num_nodes, (2, num_edges), generator=generator)
    x = torch.randn(num_nodes, 5, generator=generator, dtype=torch.float64)
    return Data(x=x, edge_index=edges, **more)


def propagation(data):
    """D^-1/2 (A + I) D^-1/2 by hand; a node with a loop keeps it instead of getting one."""
    size = data.num_nodes
    weight = data.edge_weight if "edge_weight" in data else torch.ones(data.num_edges)
    matrix, loops = torch.zeros(2, size, size, dtype=torch.float64)
    has_loop = set()
    for source, target, w in zip(*data.edge_index.tolist(), weight.tolist(), strict=True):
        if source == target:
            loops[target, target] = w
            has_loop.add(target)
        else:
            matrix[target, source] += w
    matrix += loops + torch.diag(torch.tensor([float(i not in has_loop) for i in range(size)]))
    scale = matrix.sum(dim=1).rsqrt()
    return scale[:, None] * matrix * scale


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("hops", [0, 1, 4])
def test_tokens_are_powers(hops, weighted):
    weight = torch.rand(20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    data = graph(**({"edge_weight": weight} if weighted else {}))
    found = HopTokens(hops)(data).hop_tokens
    step = propagation(data)
    expected = [torch.linalg.matrix_power(step, k) @ data.x for k in range(hops + 1)]
    torch.testing.assert_close(found, torch.stack(expected, dim=1))
    assert "hop_tokens" not in data


def test_memory_is_bounded_by_chunks(monkeypatch):
    data = graph()
    expected = HopTokens(3)(data).hop_tokens
    seen = []
    inner = hop_tokens.aggregate

    def watched(weights, value, around):
        seen.append(value.numel())
        return inner(weights, value, around)

    monkeypatch.setattr(hop_tokens, "aggregate", watched)
    monkeypatch.setattr(hop_tokens, "_CHUNK", 60)
    assert torch.equal(HopTokens(3)(data).hop_tokens, expected)
    assert len(seen) == 9 and max(seen) <= 9 * 2


def test_a_graph_without_edges_repeats_itself():
    data = Data(x=torch.randn(4, 2), edge_index=torch.empty(2, 0, dtype=torch.long))
    found = HopTokens(2, attr="seen")(data).seen
    assert torch.equal(found, data.x[:, None].expand(4, 3, 2))


def test_batches_and_subgraphs_take_them_along():
    many = [HopTokens(2)(graph(size, 2 * size, seed=size)) for size in (4, 6, 5)]
    batch = next(iter(DataLoader(many, batch_size=3)))
    joined = HopTokens(2)(Batch.from_data_list(many))
    torch.testing.assert_close(batch.hop_tokens, joined.hop_tokens)
    kept = many[1].subgraph(torch.tensor([0, 3]))
    assert torch.equal(kept.hop_tokens, many[1].hop_tokens[[0, 3]])


def test_no_gradient_is_kept():
    data = graph()
    data.x.requires_grad_()
    assert not HopTokens(2)(data).hop_tokens.requires_grad
    assert repr(HopTokens(2)) == "HopTokens(2)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: HopTokens(-1), ValueError, "num_hops: found -1"),
        (lambda: HopTokens(1)(HeteroData()), TypeError, "data: found HeteroData"),
        (lambda: HopTokens(1)(Data(x=torch.ones(2, 1))), TypeError, "without an edge_index"),
        (
            lambda: HopTokens(1)(Data(edge_index=torch.zeros(2, 1).long(), num_nodes=1)),
            TypeError,
            "x: found NoneType",
        ),
        (
            lambda: HopTokens(1)(Data(x=torch.ones(2), edge_index=torch.zeros(2, 1).long())),
            ValueError,
            r"x: found shape \[2\], expected \[N, F\]",
        ),
        (
            lambda: HopTokens(1)(graph(edge_weight=torch.ones(20).long())),
            TypeError,
            "edge_weight: found dtype torch.int64, expected a floating dtype",
        ),
        (
            lambda: HopTokens(1)(graph(edge_weight=torch.ones(20, 1))),
            ValueError,
            r"edge_weight: found shape \[20, 1\], expected \[20\]",
        ),
    ],
)
def test_errors_name_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()

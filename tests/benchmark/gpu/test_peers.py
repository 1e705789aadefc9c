"""Adapters hand over what the peers document: seen with stand-ins that compute it in PyTorch."""

import sys
import types
import zipfile

import pytest
import torch

import gattn
from gattn.benchmark.agree import disagreements, results
from gattn.benchmark.gpu import operators, peers
from gattn.benchmark.gpu.graphs import power_law
from gattn.benchmark.problems import Layer

CUDA = torch.device("cuda")


def softmax_sum(score, values, target, num_targets):
    """The sum of values `[E, H, C]` under a softmax of scores `[E, H]` over each target."""
    weight = (score - score.max()).exp()
    total = weight.new_zeros(num_targets, score.shape[1]).index_add(0, target, weight)
    weighed = (weight / total[target])[:, :, None] * values
    return values.new_zeros(num_targets, *values.shape[1:]).index_add(0, target, weighed)


def as_anemoi(query, key, value, pairs, by_target, by_source):
    """Pairs sorted by target; by source there are places in that order."""
    (source, pointers), (source_pointers, places, target) = by_target, by_source
    counted = torch.arange(len(query)).repeat_interleave(pointers.diff())
    assert torch.equal(counted, target)
    sources = torch.arange(len(key)).repeat_interleave(source_pointers.diff())
    assert torch.equal(source[places], sources)
    assert {t.dtype for t in (source, pointers, source_pointers, places, target)} == {torch.int64}
    keys, values = key[source] + pairs, value[source] + pairs
    score = (query[target] * keys).sum(-1) / query.shape[-1] ** 0.5
    return softmax_sum(score, values, target, len(query))


class Adjacency:
    """A stand-in that keeps the edges."""

    def __init__(self, edge_index, num_nodes):
        self.edge_index, self.num_nodes = edge_index, num_nodes

    @classmethod
    def from_edge_list(cls, edge_index, num_nodes, index_dtype):
        assert index_dtype == torch.int32
        return cls(edge_index, num_nodes)


def as_gatv2(graph, left, right, weight, slope):
    source, target = graph.edge_index
    inner = torch.nn.functional.leaky_relu(left[target] + right[source], slope)
    return softmax_sum((inner * weight).sum(-1), right[source], target, graph.num_nodes)


def as_transformer(graph, _, query, key, value, scale):
    source, target = graph.edge_index
    score = scale * (query[target] * key[source]).sum(-1)
    return softmax_sum(score, value[source], target, graph.num_nodes)


@pytest.fixture
def stand_ins(monkeypatch):
    """Modules by the names of the peers'."""
    modules = {
        "anemoi.models.triton.gt": {"graph_transformer_attention_conv": as_anemoi},
        "turbo_gnn.ops": {"gatv2_aggr": as_gatv2, "graph_transformer_aggr": as_transformer},
        "turbo_gnn.graph": {"AdjacencyForwardBackwardWithNodeBuckets": Adjacency},
    }
    for name, content in modules.items():
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(**content))


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("peer", "kind"),
    [
        (peers.ANEMOI, "dot"),
        (peers.ANEMOI, "dot+edges"),
        (peers.TURBO, "gatv2"),
        (peers.TURBO, "dot"),
    ],
)
@pytest.mark.parametrize("by_target", [True, False])
def test_an_adapter_agrees_with_the_reference(peer, kind, by_target):
    edges = power_law(30, 200, 40, 0, "cpu").edge_index
    around = gattn.from_edge_index(edges.flip(0) if by_target else edges, 30)
    inputs = operators.make_inputs(Layer(kind, 2, 32), around, 0)
    expected = results(operators.ours("believed", "reference").build(inputs))
    found = results(peer.build(inputs))
    assert found.keys() == expected.keys()
    assert disagreements(found, expected) == []
    assert peer.reasons(inputs.layer, CUDA) == []


def test_who_cannot_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "anemoi.models.triton.gt", None)
    reasons = [
        peers.ANEMOI.reasons(Layer("gat", 2, 32), CUDA),
        peers.ANEMOI.reasons(Layer("dot", 2, 32), torch.device("cpu")),
        peers.ANEMOI.reasons(Layer("dot", 2, 32), CUDA),
        peers.TURBO.reasons(Layer("gat", 2, 32), CUDA),
        peers.TURBO.reasons(Layer("dot", 2, 8), CUDA),
    ]
    assert [text for (text,) in reasons] == [
        "anemoi has no gat",
        "anemoi runs on CUDA only",
        reasons[2][0],
        "turbo-gnn has no gat",
        "turbo-gnn has no heads of 8 channels",
    ]
    assert reasons[2][0].startswith("anemoi.models.triton.gt cannot be imported: ")


def test_packages_and_wheels_of_a_folder_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_peer_of_tests.py").write_text("here = 1\n")
    with zipfile.ZipFile(tmp_path / "other-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("another_peer_of_tests/__init__.py", "here = 2\n")
    peers.use_folder(tmp_path)
    import a_peer_of_tests  # type: ignore[import-not-found]  # made above
    import another_peer_of_tests  # type: ignore[import-not-found]

    assert (a_peer_of_tests.here, another_peer_of_tests.here) == (1, 2)


def test_no_folder_is_said():
    peers.use_folder(None)
    with pytest.raises(ValueError, match="peers: found 'nowhere', expected a folder"):
        peers.use_folder(peers.Path("nowhere"))

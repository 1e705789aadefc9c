"""`KHopSampler`: the contract of PyG's sampler, and chances that are what they are said to be."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
import torch_geometric.typing
from scipy import stats
from torch_geometric.data import Data, HeteroData
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling, NodeSamplerInput
from torch_geometric.sampler.base import NumNeighbors
from torch_geometric.utils import k_hop_subgraph, subgraph

from gattn.loader import KHopSampler
from tests.loader.peers import RELATIONS, SIZES, graph, hetero_graph, whole_walk

SEEDS = torch.tensor([3, 17, 3, 59, 0])


def nodes(*ids, kind=None):
    return NodeSamplerInput(None, torch.tensor(ids, dtype=torch.int64), None, kind)


def equal(a, b):
    """Two outputs have the same bits."""
    for name in ("node", "row", "col", "edge", "batch"):
        x, y = getattr(a, name), getattr(b, name)
        pairs = [(x[k], y[k]) for k in x] if isinstance(x, dict) else [(x, y)]
        if not all(p is q is None or torch.equal(p, q) for p, q in pairs):
            return False
    return (a.num_sampled_nodes, a.num_sampled_edges) == (b.num_sampled_nodes, b.num_sampled_edges)


def data_edges(sampler, out):
    """Positions in the data of sampled edges."""
    perm = sampler.edge_permutation
    return out.edge if perm is None else perm[out.edge]


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("num_hops", [0, 1, 3, 9])
def test_all_neighbours_are_what_pygs_sampler_gives(num_hops, disjoint):
    data = graph()
    sampler = KHopSampler(data, [-1] * num_hops, disjoint=disjoint)
    out = sampler.sample_from_nodes(NodeSamplerInput(None, SEEDS))
    name = (None, None)
    found, edges, node_counts, edge_counts = whole_walk(
        {None: SEEDS.tolist()}, {name: data.edge_index}, num_hops, disjoint
    )
    assert out.node.tolist() == [node for _, node in found[None]]
    given = zip(out.row.tolist(), out.col.tolist(), data_edges(sampler, out).tolist(), strict=True)
    assert list(given) == edges[name]
    assert out.num_sampled_nodes == node_counts[None]
    assert out.num_sampled_edges == edge_counts[name]
    assert (out.batch.tolist() == [b for b, _ in found[None]]) if disjoint else out.batch is None
    assert {t.dtype for t in (out.node, out.row, out.col, out.edge)} == {torch.int64}


@pytest.mark.parametrize("disjoint", [False, True])
def test_all_neighbours_of_a_heterogeneous_graph(disjoint):
    data = hetero_graph()
    sampler = KHopSampler(data, [-1, -1], disjoint=disjoint)
    out = sampler.sample_from_nodes(nodes(5, 0, 5, kind="paper"))
    edges = {name: data[name].edge_index for name in RELATIONS}
    found, expected, node_counts, edge_counts = whole_walk({"paper": [5, 0, 5]}, edges, 2, disjoint)
    for k in SIZES:
        assert out.node[k].tolist() == [node for _, node in found[k]]
        assert not disjoint or out.batch[k].tolist() == [b for b, _ in found[k]]
    for name in RELATIONS:
        position = sampler.edge_permutation[name][out.edge[name]]
        parts = (out.row[name], out.col[name], position)
        assert list(zip(*(part.tolist() for part in parts), strict=True)) == expected[name]
    assert out.num_sampled_nodes == node_counts and out.num_sampled_edges == edge_counts
    assert out.node["venue"].numel() == 0, "no edge leads from a venue"


@pytest.mark.parametrize("num_hops", [1, 2, 5])
def test_the_whole_ball_is_pygs_k_hop_subgraph(num_hops):
    data = graph(200, 500)
    seeds = torch.tensor([7, 8, 190])
    sampler = KHopSampler(data, [-1] * num_hops, subgraph_type="induced")
    out = sampler.sample_from_nodes(NodeSamplerInput(None, seeds))
    ball, _, _, _ = k_hop_subgraph(seeds, num_hops, data.edge_index, num_nodes=200)
    assert out.node.sort().values.tolist() == ball.tolist()
    kept = subgraph(ball, data.edge_index, num_nodes=200, return_edge_mask=True)[2]
    assert data_edges(sampler, out).sort().values.tolist() == kept.nonzero().flatten().tolist()
    assert out.num_sampled_nodes is None and out.num_sampled_edges is None
    directional = KHopSampler(data, [-1] * num_hops).sample_from_nodes(
        NodeSamplerInput(None, seeds)
    )
    assert torch.equal(directional.node, out.node)


@pytest.mark.parametrize("kind", ["directional", "induced", "bidirectional"])
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("disjoint", [False, True])
def test_every_sampled_edge_is_one_of_the_data(kind, replace, disjoint):
    data = graph()
    sampler = KHopSampler(
        data, [4, 2, 50], subgraph_type=kind, replace=replace, disjoint=disjoint, seed=1
    )
    out = sampler.sample_from_nodes(NodeSamplerInput(None, SEEDS))
    ends = torch.stack([out.node[out.row], out.node[out.col]])
    assert torch.equal(out.node[:5], SEEDS)
    if kind != "bidirectional":
        assert torch.equal(data.edge_index[:, data_edges(sampler, out)], ends)
    if disjoint:
        assert torch.equal(out.batch[out.row], out.batch[out.col])
        assert out.batch[:5].tolist() == list(range(5))
        assert len(set(zip(out.batch.tolist(), out.node.tolist(), strict=True))) == len(out.node)


@pytest.mark.parametrize("replace", [False, True])
def test_fan_out_is_respected_at_every_hop(replace):
    data, fan_out = graph(), [4, 2, 50]
    sampler = KHopSampler(data, fan_out, replace=replace, seed=1)
    out: Any = sampler.sample_from_nodes(NodeSamplerInput(None, SEEDS))
    degree = data.edge_index[1].bincount(minlength=60)
    ends, first = [sum(out.num_sampled_nodes[: hop + 1]) for hop in range(4)], 0
    for hop, number in enumerate(fan_out):
        last = first + out.num_sampled_edges[hop]
        places = torch.arange(0 if hop == 0 else ends[hop - 1], ends[hop])
        counts = out.col[first:last].bincount(minlength=len(out.node))
        here = degree[out.node[places]]
        wanted = torch.where(here > 0, number, 0) if replace else here.clamp(max=number)
        assert torch.equal(counts[places], wanted) and counts.sum() == wanted.sum()
        first = last
    assert replace or len(out.edge.unique()) >= len(out.edge) - out.col.eq(2).sum()


def chances(sampler, draws, hub=0):
    """How often each tuple of edges into one node was picked, over many calls with keys."""
    found = {}
    for key in range(draws):
        out = sampler.sample_from_nodes(nodes(hub), key=key)
        picked = tuple(out.edge.tolist())
        found[picked] = found.get(picked, 0) + 1
    return found


def star(leaves):
    return torch.tensor([0] + [leaves] * (leaves + 1)), torch.arange(1, leaves + 1)


def test_without_replacement_every_set_of_edges_is_equally_likely():
    found = chances(KHopSampler(star(5), [2]), 3000)
    sets = {}
    for picked, count in found.items():
        sets[frozenset(picked)] = sets.get(frozenset(picked), 0) + count
    assert set(sets) == {frozenset(c) for c in combinations(range(5), 2)}
    assert stats.chisquare(list(sets.values())).pvalue > 1e-3


def test_with_replacement_every_sequence_is_equally_likely():
    found = chances(KHopSampler(star(3), [3], replace=True), 5400)
    assert len(found) == 27 and stats.chisquare(list(found.values())).pvalue > 1e-3


def test_seeds_of_one_batch_draw_independently_of_one_another():
    rowptr, col = torch.tensor([0, 3, 6, 6, 6, 6]), torch.tensor([2, 3, 4, 2, 3, 4])
    sampler = KHopSampler((rowptr, col), [1])
    table = np.zeros((3, 3))
    for key in range(2700):
        out = sampler.sample_from_nodes(nodes(0, 1), key=key)
        table[out.edge[0], out.edge[1] - 3] += 1
    assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_hops_draw_independently_of_one_another():
    """A node that picks among the same number of edges at two hops."""
    rowptr, col = torch.tensor([0, 3, 6, 9, 12]), torch.tensor([1, 2, 3] * 4)
    sampler = KHopSampler((rowptr, col), [1, 1])
    table = np.zeros((3, 3))
    for key in range(2700):
        first, second = sampler.sample_from_nodes(nodes(0), key=key).edge.remainder(3).tolist()
        table[first, second] += 1
    assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    from gattn._numba import sampling

    monkeypatch.setattr(sampling, "_SERIAL", 0)
    sampler, before = KHopSampler(graph(500, 20_000), [5, 5], seed=3), torch.get_num_threads()
    outs = []
    try:
        for threads in (1, 2, 8):
            torch.set_num_threads(threads)
            outs.append(sampler.sample_from_nodes(NodeSamplerInput(None, torch.arange(200))))
    finally:
        torch.set_num_threads(before)
    assert equal(outs[0], outs[1]) and equal(outs[0], outs[2])


def test_seeds_keys_and_torchs_generator():
    data, wanted = graph(), NodeSamplerInput(None, SEEDS)

    def drawn(seed=None, key=None, torch_seed=None):
        if torch_seed is not None:
            torch.manual_seed(torch_seed)
        return KHopSampler(data, [2, 2], seed=seed).sample_from_nodes(wanted, key=key)

    assert equal(drawn(5), drawn(5)) and not equal(drawn(5), drawn(6))
    assert equal(drawn(5, key=1), drawn(None, key=1)) and not equal(drawn(5), drawn(5, key=1))
    assert equal(drawn(torch_seed=1), drawn(torch_seed=1))
    assert not equal(drawn(torch_seed=1), drawn(torch_seed=2))
    sampler = KHopSampler(data, [2, 2])
    assert not equal(sampler.sample_from_nodes(wanted), sampler.sample_from_nodes(wanted))


def test_other_seeds_of_a_batch_make_other_picks():
    rowptr = torch.arange(0, 41 * 50, 50)
    sampler = KHopSampler((rowptr, torch.arange(2000) % 40), [5], seed=0)
    picks = [sampler.sample_from_nodes(nodes(node, 1)).edge[:5] - 50 * node for node in range(20)]
    assert len({tuple(pick.tolist()) for pick in picks}) > 15


@pytest.mark.parametrize("kind", ["directional", "induced"])
def test_edges_that_are_compressed_already(kind):
    data = graph()
    order = data.edge_index[1].argsort(stable=True)
    rowptr = torch.cat([torch.zeros(1), data.edge_index[1].bincount(minlength=60).cumsum(0)])
    for dtypes in ((torch.int64, torch.int32), (torch.int32, torch.int64)):
        edges = rowptr.to(dtypes[0]), data.edge_index[0, order].to(dtypes[1])
        given = KHopSampler(edges, [3, 2], seed=2, subgraph_type=kind)
        made = KHopSampler(data, [3, 2], seed=2, subgraph_type=kind)
        wanted = NodeSamplerInput(None, SEEDS)
        assert equal(given.sample_from_nodes(wanted), made.sample_from_nodes(wanted))
        assert given.edge_permutation is None and given.num_nodes == 60
        assert torch.equal(made.edge_permutation, order)


def test_compressed_edges_of_the_right_types_are_not_copied():
    rowptr, col = star(5)
    col = col.int()
    edges = KHopSampler((rowptr, col), [2]).graph.edges[None]
    assert edges.rowptr.data_ptr() == rowptr.data_ptr() and edges.col.data_ptr() == col.data_ptr()


def test_fan_outs_by_type_of_edges():
    data = hetero_graph()
    fan_outs = {name: [0, 0] for name in RELATIONS}
    fan_outs[RELATIONS[1]] = [2, 1]
    fan_outs[RELATIONS[2]] = [0, 3]
    for given in (fan_outs, NumNeighbors({RELATIONS[1]: [2, 1], RELATIONS[2]: [0, 3]}, [0, 0])):
        sampler = KHopSampler(data, given, replace=True, seed=0)
        out = sampler.sample_from_nodes(nodes(1, 2, kind="paper"))
        assert out.num_sampled_edges[RELATIONS[1]] == [4, 0]
        reached = out.num_sampled_nodes["author"][1]
        assert out.num_sampled_edges[RELATIONS[2]] == [0, 3 * reached]
        assert out.num_sampled_edges[RELATIONS[0]] == [0, 0]


def test_induced_edges_of_a_heterogeneous_graph():
    data = hetero_graph()
    sampler = KHopSampler(data, [3], subgraph_type="induced", seed=0)
    out = sampler.sample_from_nodes(nodes(1, 2, kind="paper"))
    for name in RELATIONS:
        kept = [torch.isin(data[name].edge_index[i], out.node[name[2 * i]]) for i in range(2)]
        position = sampler.edge_permutation[name][out.edge[name]]
        expected = (kept[0] & kept[1]).nonzero().flatten()
        assert position.sort().values.tolist() == expected.tolist()
        ends = out.node[name[0]][out.row[name]], out.node[name[2]][out.col[name]]
        assert torch.equal(torch.stack(ends), data[name].edge_index[:, position])


def test_a_type_with_nearly_two_to_the_31_nodes():
    """Nothing is as large as the number of nodes of a type that nobody looks into."""
    last = 2**31 - 2
    data = HeteroData()
    data["a"].num_nodes, data["b"].num_nodes = 2, last + 1
    data["b", "to", "a"].edge_index = torch.tensor([[last, last - 1, 0, last], [0, 0, 0, 1]])
    for disjoint in (False, True):
        sampler = KHopSampler(data, [-1], disjoint=disjoint)
        out = sampler.sample_from_nodes(nodes(0, 1, kind="a"))
        expected = [last, last - 1, 0] + [last] * disjoint
        assert out.node["b"].tolist() == expected
        name = ("b", "to", "a")
        ends = out.node["b"][out.row[name]]
        assert ends.tolist() == [last, last - 1, 0, last]


def test_graphs_without_edges_and_without_nodes():
    for kind in ("directional", "induced"):
        for data in (graph(4, 0), Data(num_nodes=4)):
            sampler = KHopSampler(data, [3, 3], subgraph_type=kind)
            out = sampler.sample_from_nodes(nodes(2, 2))
            assert out.node.tolist() == [2, 2] and out.row.numel() == out.edge.numel() == 0
            assert out.num_sampled_nodes == ([2, 0, 0] if kind == "directional" else None)
        none = KHopSampler(Data(num_nodes=0), [3], subgraph_type=kind).sample_from_nodes(nodes())
        assert none.node.numel() == none.row.numel() == 0


def test_isolated_seeds_and_no_seeds():
    out = KHopSampler(graph(), [-1, -1]).sample_from_nodes(nodes(58, 59))
    assert out.node.tolist() == [58, 59] and out.num_sampled_nodes == [2, 0, 0]
    out = KHopSampler(graph(), [-1], disjoint=True).sample_from_nodes(nodes())
    assert out.node.numel() == out.batch.numel() == 0 and out.num_sampled_edges == [0]


def test_a_seed_that_comes_twice_keeps_its_place_and_picks_for_itself():
    out = KHopSampler(star(6), [2, 2], seed=0).sample_from_nodes(nodes(0, 0, 0))
    assert out.num_sampled_nodes[0] == 3 and out.node[:3].tolist() == [0, 0, 0]
    assert out.col.tolist() == [0, 0, 1, 1, 2, 2]


def links(data, **kwargs):
    return EdgeSamplerInput(torch.arange(6), *data.edge_index[:, :6], **kwargs)


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("mode", [None, "binary", "triplet"])
def test_links_and_negatives(disjoint, mode):
    data = graph()
    sampler = KHopSampler(data, [2, 2], disjoint=disjoint, seed=0)
    negatives = None if mode is None else NegativeSampling(mode, 2)
    torch.manual_seed(0)
    out = sampler.sample_from_edges(links(data), negatives)
    torch.manual_seed(1)
    again = sampler.sample_from_edges(links(data), negatives)
    assert equal(out, again), "negatives follow from the seed of the sampler"
    source, target = data.edge_index[:, :6]
    if mode == "triplet":
        _, src, positive, negative, _ = tuple(out.metadata)
        assert torch.equal(out.node[src], source) and torch.equal(out.node[positive], target)
        assert negative.shape == (6, 2) and out.node[negative].max() < 60
    else:
        _, pairs, label, _ = tuple(out.metadata)
        assert torch.equal(out.node[pairs[:, :6]], torch.stack([source, target]))
        assert pairs.shape[1] == (18 if mode else 6)
        assert label is None if mode is None else label.tolist() == [1.0] * 6 + [0.0] * 12
        if disjoint:
            assert torch.equal(out.batch[pairs[0]], torch.arange(pairs.shape[1]) % 6)
            assert torch.equal(out.batch[pairs[1]], torch.arange(pairs.shape[1]) % 6)


def test_weights_of_negatives():
    data = graph()
    weight = torch.zeros(60)
    weight[[11, 12]] = 1.0
    negatives = NegativeSampling("binary", 4, src_weight=weight, dst_weight=weight)
    out = KHopSampler(data, [1], seed=0).sample_from_edges(links(data), negatives)
    assert set(out.node[out.metadata[1][:, 6:]].flatten().tolist()) == {11, 12}
    short = NegativeSampling("triplet", 1, dst_weight=weight[:5])
    with pytest.raises(ValueError, match=r"^dst_weight: found shape \[5\], expected \[60\]$"):
        KHopSampler(data, [1]).sample_from_edges(links(data), short)


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("disjoint", [False, True])
def test_links_between_types(name, disjoint):
    data = hetero_graph()
    sampler = KHopSampler(data, [2, 2], disjoint=disjoint, seed=0)
    wanted = EdgeSamplerInput(torch.arange(6), *data[name].edge_index[:, :6], input_type=name)
    out = sampler.sample_from_edges(wanted, NegativeSampling("binary", 1))
    _, pairs, label, _ = tuple(out.metadata)
    ends = torch.stack([out.node[name[0]][pairs[0]], out.node[name[2]][pairs[1]]])
    assert torch.equal(ends[:, :6], data[name].edge_index[:, :6])
    assert label.tolist() == [1.0] * 6 + [0.0] * 6
    for relation in RELATIONS:
        position = sampler.edge_permutation[relation][out.edge[relation]]
        found = out.node[relation[0]][out.row[relation]], out.node[relation[2]][out.col[relation]]
        assert torch.equal(torch.stack(found), data[relation].edge_index[:, position])


def test_calls_in_several_threads_do_not_disturb_one_another():
    sampler = KHopSampler(graph(500, 20_000), [5, 5], seed=0)
    parts = [NodeSamplerInput(None, part) for part in torch.arange(500).split(25)]
    expected = [sampler.sample_from_nodes(part) for part in parts]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(sampler.sample_from_nodes, parts))
    assert all(equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_pickled_sampler_picks_the_same():
    sampler = KHopSampler(hetero_graph(), [2, 2], seed=4)
    wanted = nodes(0, 5, 9, kind="paper")
    again = pickle.loads(pickle.dumps(sampler))
    assert equal(sampler.sample_from_nodes(wanted), again.sample_from_nodes(wanted))


@pytest.mark.parametrize("kind", ["directional", "bidirectional", "induced"])
def test_pygs_wheels_are_not_asked_for(kind, monkeypatch):
    for wheel in ("WITH_PYG_LIB", "WITH_TORCH_SPARSE"):
        monkeypatch.setattr(torch_geometric.typing, wheel, False)
    out = KHopSampler(DATA, [3], subgraph_type=kind).sample_from_nodes(nodes(3, 4))
    assert out.row.numel() > 0


DATA = graph()


@pytest.mark.parametrize(
    ("data", "fan_out", "kwargs", "said"),
    [
        (DATA, [1, -2], {}, r"^num_neighbors: found -2, expected an int in \[-1, 2147483647\]$"),
        (DATA, [1, 2.5], {}, r"^num_neighbors: found 2.5, expected an int in \[-1, 2147483647\]$"),
        (DATA, 5, {}, r"^num_neighbors: found 5, expected one number for each hop$"),
        (
            DATA,
            {("a", "b", "c"): [1]},
            {},
            r"^num_neighbors: found .*, expected a list of numbers$",
        ),
        (hetero_graph(), {RELATIONS[0]: [1]}, {}, r"Missing number of neighbors"),
        (DATA, [1], {"subgraph_type": "whole"}, r"^subgraph_type: found 'whole', expected one of"),
        (DATA, [1], {"replace": 1}, r"^replace: found 1, expected True or False$"),
        (DATA, [1], {"disjoint": None}, r"^disjoint: found None, expected True or False$"),
        (DATA, [1], {"seed": -1}, r"^seed: found -1, expected an int in"),
        (DATA.edge_index, [1], {}, r"^data: found Tensor, expected a Data, a HeteroData, or"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(data, fan_out, kwargs, said):
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        KHopSampler(data, fan_out, **kwargs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ids", [[-1], [60], [2**40]])
def test_seeds_out_of_range(ids):
    with pytest.raises(IndexError, match=r"^seeds: found the index -?\d+, expected 0 <= index"):
        KHopSampler(DATA, [1]).sample_from_nodes(nodes(*ids))


def test_seeds_that_are_none():
    with pytest.raises(TypeError, match=r"^seeds: found dtype torch.float32"):
        KHopSampler(DATA, [1]).expand({None: torch.ones(3)}, 0)
    with pytest.raises(ValueError, match=r"^seeds: found type 'book', expected one of the graph$"):
        KHopSampler(hetero_graph(), [1]).sample_from_nodes(nodes(1, kind="book"))


def test_times_are_refused():
    timed = NodeSamplerInput(None, SEEDS, time=torch.arange(5))
    with pytest.raises(ValueError, match=r"^time: found timestamps, expected None"):
        KHopSampler(DATA, [1]).sample_from_nodes(timed)
    with pytest.raises(ValueError, match=r"^time: found timestamps, expected None"):
        KHopSampler(DATA, [1], disjoint=True).sample_from_edges(links(DATA, time=torch.arange(6)))


def test_without_numba_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r"^numba: found none .*, expected it for sampling$"):
        KHopSampler(DATA, [1])

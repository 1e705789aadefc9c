"""One hop, spans, refinement, batching, and the border."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric import EdgeIndex
from torch_geometric.data import Data

import gattn
from gattn.neighborhood import _compress
from gattn.neighborhood.build import one_hop
from gattn.testing import graphs

EDGES = torch.tensor([[3, 0, 1, 1, 2, 1], [1, 1, 0, 1, 0, 0]])


def test_from_edge_index_keeps_every_edge_in_its_place():
    found = gattn.from_edge_index(EDGES, 5)
    assert torch.equal(found.edge_index(), EDGES)
    assert found.rowptr.tolist() == [0, 3, 6, 6, 6, 6]
    assert found.num_targets == found.num_sources == 5
    assert found.hop[found.perm.argsort()].tolist() == [1, 1, 1, 0, 1, 1]


def test_from_edge_index_sizes():
    assert gattn.from_edge_index(EDGES).num_targets == 4
    bipartite = gattn.from_edge_index(EDGES, (4, 2))
    assert (bipartite.num_sources, bipartite.num_targets) == (4, 2)
    assert bipartite.hop.tolist() == [1] * 6
    assert gattn.from_edge_index(EDGES.int(), 4).col.dtype == torch.int32
    assert gattn.from_edge_index(torch.empty(2, 0, dtype=torch.int64)).num_targets == 0


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=30))
def test_transpose_lists_the_same_pairs_by_source(edges):
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    found = gattn.from_edge_index(edge_index, (7, 5))
    back = found.transpose
    assert back.rowptr[-1] == found.num_pairs
    source = torch.repeat_interleave(torch.arange(7), back.rowptr.diff())
    assert torch.equal(found.col[back.perm].long(), source)
    assert torch.equal(found.rows()[back.perm], back.col.long())


@pytest.mark.parametrize(
    ("edges", "num_nodes", "error", "message"),
    [
        (EDGES, 3, IndexError, r"edge_index\[0\]: found the index 3, expected .* num_sources = 3"),
        (EDGES, (4, 1), IndexError, r"edge_index\[1\]: found the index 1"),
        (EDGES - 1, 4, IndexError, "found the index -1"),
        (EDGES.float(), 4, TypeError, "expected an integer dtype"),
        (EDGES.bool(), 4, TypeError, "expected an integer dtype"),
        (EDGES[0], 4, ValueError, r"found shape \[6\], expected \[2, E\]"),
        (EDGES, -1, ValueError, "num_nodes: found -1"),
        (EDGES, 4.0, TypeError, "num_nodes: found 4.0"),
    ],
)
def test_from_edge_index_names_what_is_wrong(edges, num_nodes, error, message):
    with pytest.raises(error, match=message):
        gattn.from_edge_index(edges, num_nodes)


def test_spans_attend_to_what_they_say():
    assert gattn.full(3).expand().edge_index().t().tolist() == [
        [j, i] for i in range(3) for j in range(3)
    ]
    packed = gattn.full(ptr=torch.tensor([0, 2, 2, 3])).expand()
    assert packed.edge_index().t().tolist() == [[0, 0], [1, 0], [0, 1], [1, 1], [2, 2]]
    band = gattn.window(6, 2).expand()
    source, target = band.edge_index()
    assert band.hop.tolist() == (source - target).abs().tolist() and int(band.hop.max()) == 2
    assert gattn.window(6, 2).num_pairs == 24 and gattn.window(6, 2).num_hops == 2
    causal = gattn.window(5, None, causal=True).expand().edge_index()
    assert (causal[0] <= causal[1]).all() and causal.shape[1] == 15


def test_a_signed_window_tells_before_from_after():
    span = gattn.window(6, 2, signed=True)
    source, target = span.expand().edge_index()
    assert span.expand().hop.tolist() == (source - target + 2).tolist()
    assert span.num_hops == 4


def test_a_wide_window_shares_its_last_hop():
    far = gattn.window(400, None).expand()
    source, target = far.edge_index()
    assert far.hop.tolist() == (source - target).abs().clamp(max=255).tolist()


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: gattn.full(), TypeError, "full: expected either num_nodes or ptr"),
        (lambda: gattn.full(-1), ValueError, "num_nodes: found -1"),
        (lambda: gattn.full(ptr=torch.tensor([1, 2])), ValueError, "ptr: found a descent"),
        (lambda: gattn.full(ptr=torch.tensor([0, 2, 1])), ValueError, "ptr: found a descent"),
        (lambda: gattn.full(ptr=torch.tensor([0.0])), TypeError, "ptr: found dtype"),
        (lambda: gattn.window(4, -1), ValueError, "radius: found -1"),
        (lambda: gattn.window(4, None, signed=True), ValueError, "radius: found None"),
        (lambda: gattn.full(10**5).expand(), ValueError, r"10,000,000,000 pairs \(about 290 GB\)"),
    ],
)
def test_spans_name_what_is_wrong(build, error, message):
    with pytest.raises(error, match=message):
        build()


def sparse(**changes):
    tensors = {
        "rowptr": torch.tensor([0, 1, 3]),
        "col": torch.tensor([0, 1, 0], dtype=torch.int32),
        "num_sources": 2,
        "hop": torch.tensor([0, 1, 1], dtype=torch.uint8),
        "num_hops": 1,
    }
    return gattn.Sparse(**(tensors | changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"rowptr": torch.tensor([0, 3, 1])}, ValueError, "rowptr: found a descent"),
        (
            {"rowptr": torch.tensor([0, 1, 2])},
            ValueError,
            r"col: found shape \[3\], expected \[2\]",
        ),
        ({"rowptr": torch.tensor([0, 1, 3]).int()}, TypeError, "rowptr: found dtype torch.int32"),
        ({"rowptr": torch.tensor([0, 1, 3]), "groups": 3}, ValueError, "a multiple of 3"),
        ({"col": torch.tensor([0, 2, 0]).int()}, IndexError, "col: found the index 2"),
        ({"col": torch.tensor([0, -1, 0]).int()}, IndexError, "col: found the index -1"),
        ({"col": torch.tensor([0, 1, 0])}, TypeError, "col: found dtype torch.int64"),
        ({"hop": None}, ValueError, "num_hops: expected together with hop"),
        ({"hop": torch.tensor([0, 2, 1]).to(torch.uint8)}, IndexError, "hop: found the index 2"),
        ({"perm": torch.tensor([0, 0, 1])}, ValueError, "perm: found a position twice"),
        ({"perm": torch.tensor([0, 3, 1])}, IndexError, "perm: found the index 3"),
        (
            {"hop": torch.tensor([0, 1, 0]).to(torch.uint8), "hops_sorted": True},
            ValueError,
            "hops_sorted: found a row whose hops descend",
        ),
    ],
)
def test_the_constructor_names_what_is_wrong(changes, error, message):
    with pytest.raises(error, match=message):
        sparse(**changes)


def test_a_span_whose_kind_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="ranges that are not those of 'full'"):
        gattn.Span(torch.tensor([0, 1]), torch.tensor([2, 2]), 2, "full")
    with pytest.raises(ValueError, match="stops before it starts"):
        gattn.Span(torch.tensor([1]), torch.tensor([0]), 2, "packed")
    with pytest.raises(ValueError, match="kind: found 'ring', expected one of full"):
        gattn.Span(torch.tensor([0]), torch.tensor([1]), 1, "ring")


@pytest.mark.parametrize("name", ["two hops", "duplicates"])
def test_rings_hold_the_same_pairs_by_target_and_hop(name):
    graph = graphs()[name]
    rings = graph.rings()
    assert rings.groups == graph.num_hops + 1 and rings.num_targets == graph.num_targets
    assert torch.equal(rings.edge_index(), graph.edge_index())
    assert torch.equal(rings.rows() % rings.groups, rings.hop.long())
    back = rings.transpose
    assert torch.equal(rings.rows()[back.perm], back.col.long())
    with pytest.raises(ValueError, match="groups"):
        rings.rings()


@pytest.mark.parametrize("name", list(graphs()))
def test_pickling_and_moving_keep_everything(name):
    graph = graphs()[name]
    for copy in (pickle.loads(pickle.dumps(graph)), graph.to("cpu")):
        assert repr(copy) == repr(graph) and copy.num_pairs == graph.num_pairs
        for field, value in vars(graph).items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(getattr(copy, field), value)


def test_frozen():
    with pytest.raises(AttributeError):
        gattn.full(3).kind = "packed"


def test_a_batch_is_the_disjoint_union():
    one, two = gattn.k_hop(EDGES, 2, 4), gattn.k_hop(EDGES, 1, 5)
    both = gattn.batch([one, two])
    expected = torch.cat([one.edge_index(), two.edge_index() + 4], dim=1)
    assert torch.equal(both.edge_index(), expected)
    assert both.num_hops == 2 and both.hop.tolist() == one.hop.tolist() + two.hop.tolist()
    edges = gattn.batch([gattn.from_edge_index(EDGES, 4), gattn.from_edge_index(EDGES, (6, 2))])
    assert torch.equal(edges.edge_index()[:, :6], EDGES)
    assert torch.equal(edges.edge_index()[:, 6:], EDGES + torch.tensor([[4], [4]]))


def test_a_batch_of_spans_is_a_span():
    packed = gattn.batch([gattn.full(2), gattn.full(3)])
    assert torch.equal(packed.start, gattn.full(ptr=torch.tensor([0, 2, 5])).start)
    windows = gattn.batch([gattn.window(3, 1), gattn.window(4, 1)])
    apart = [gattn.window(3, 1).expand(), gattn.window(4, 1).expand()]
    assert torch.equal(windows.expand().edge_index(), gattn.batch(apart).edge_index())
    assert torch.equal(windows.expand().hop, gattn.batch(apart).hop)


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([], ValueError, "found an empty sequence"),
        ([gattn.full(2), gattn.k_hop(EDGES, 1, 4)], TypeError, "found Span, Sparse"),
        ([gattn.full(2), gattn.window(3, 1)], ValueError, "different kinds"),
        ([gattn.window(3, 1), gattn.window(3, 2)], ValueError, "different window"),
    ],
)
def test_what_does_not_batch_is_named(items, error, message):
    with pytest.raises(error, match=message):
        gattn.batch(items)


def test_a_changed_neighborhood_has_its_own_transpose():
    changed = dataclasses.replace(sparse(), col=torch.tensor([1, 1, 1]).int())
    assert changed.transpose.rowptr.tolist() == [0, 0, 3]
    with pytest.raises(IndexError, match="col: found the index 5"):
        dataclasses.replace(sparse(), col=torch.tensor([1, 1, 5]).int())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: span("full", causal=True), ValueError, "kind: found 'full' with radius, causal"),
        (lambda: span("packed", radius=1), ValueError, "kind: found 'packed' with radius"),
        (lambda: span("packed_window", radius=-3), ValueError, "radius: found -3"),
        (lambda: span("packed_window", radius="x"), TypeError, "radius: found 'x'"),
        (lambda: gattn.window(9, 128, signed=True), ValueError, "found 128, expected at most 127"),
        (lambda: gattn.window(ptr=torch.tensor([0, 2**40])), ValueError, "num_nodes: found 10995"),
        (lambda: gattn.window(5, 2, "no"), TypeError, "causal: found 'no', expected True or"),
        (lambda: gattn.window(5, 2, signed=2), TypeError, "signed: found 2, expected True or"),
        (lambda: span("window", radius=2**70), ValueError, "radius: found 1180591620717411303424"),
        (lambda: gattn.full((3,)), ValueError, r"num_nodes: found \(3,\), expected \(num_sources"),
        (lambda: gattn.from_edge_index(EDGES, (5, 5, 5)), ValueError, r"found \(5, 5, 5\)"),
        (
            lambda: gattn.full(ptr=(torch.tensor([0, 2]), torch.tensor([0, 2]).to("meta"))),
            ValueError,
            "ptr: found device meta, expected cpu, that of ptr_source",
        ),
        (lambda: gattn.full(ptr=(torch.tensor([0, 2]), [0, 2])), TypeError, "ptr: found list"),
        (lambda: gattn.window(5, 2**63), ValueError, "radius: found 9223372036854775808"),
        (lambda: gattn.full(10**12), ValueError, "num_nodes: found 1000000000000"),
        (lambda: gattn.full(ptr=torch.tensor([0, 2**40])), ValueError, "num_nodes: found 10995"),
        (lambda: gattn.from_edge_index(EDGES, 10**13), ValueError, "num_nodes: found 10000000"),
        (lambda: gattn.from_edge_index(EDGES + 2**60), ValueError, "num_nodes: found 11529215"),
        (lambda: gattn.from_edge_index(EDGES.to_sparse()), TypeError, "expected a dense"),
        (lambda: gattn.k_hop(EDGES, 2, (5, 6)), TypeError, r"num_nodes: found \(5, 6\)"),
        (lambda: gattn.k_hop(EDGES, 2, 5, shells=2), TypeError, "shells: found 2"),
        (lambda: gattn.k_hop(EDGES, 2, 5, complete=2), TypeError, "complete: found 2"),
        (lambda: gattn.batch(gattn.full(2)), TypeError, "found one neighbourhood"),
        (lambda: gattn.batch([gattn.full(2), gattn.full(2).to("meta")]), ValueError, "devices"),
        (lambda: gattn.Sparse(torch.tensor([0]), None, 3), TypeError, "col: found NoneType"),
        (lambda: gattn.full(3).to(torch.float64), TypeError, "device: found torch.float64"),
    ],
)
def test_other_bad_input_is_named(build, error, message):
    with pytest.raises(error, match=message) as raised:
        build()
    assert "\n" not in str(raised.value)


def span(kind, **options):
    return gattn.Span(torch.zeros(3).long(), torch.full((3,), 3), 3, kind, **options)


def test_counts_and_indices_of_other_types():
    assert gattn.full(np.int64(3)).num_targets == 3
    assert gattn.k_hop(EDGES, np.int64(1), 5, shells=np.arange(2)).num_hops == 1
    for dtype in (torch.uint8, torch.uint16, torch.int16):
        assert torch.equal(gattn.from_edge_index(EDGES.to(dtype)).edge_index(), EDGES)
    assert type(gattn.from_edge_index(EdgeIndex(EDGES)).col) is torch.Tensor


def test_a_bipartite_graph_has_no_loops_whatever_its_sizes():
    for sizes in ((5, 5), (6, 5)):
        assert gattn.from_edge_index(EDGES, sizes).hop.tolist() == [1] * 6


def test_a_pyg_data_object_moves_its_neighborhood():
    moved = Data(x=torch.zeros(5, 1), around=gattn.from_edge_index(EDGES, 5)).to("meta")
    assert moved.around.device.type == "meta"


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=30),
    st.sampled_from([0, 1, 3, 5]),
)
def test_loops_of_a_builder_drop_the_old_and_puts_one_for_each_node_at_the_end(edges, loops):
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    found = one_hop(edge_index, (7, 5), loops)
    others = edge_index[:, edge_index[0] != edge_index[1]]
    expected = torch.cat([others, torch.arange(loops).expand(2, -1)], dim=1)
    assert torch.equal(found.edge_index(), expected)
    same = gattn.from_edge_index(expected, 7)
    assert torch.equal(found.rowptr, same.rowptr[:6])
    for name in ("col", "perm", "hop"):
        assert torch.equal(getattr(found, name), getattr(same, name)), name


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=30))
def test_counting_and_sorting_build_the_same(edges):
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    calls = (
        lambda: gattn.from_edge_index(edge_index, (7, 5)),
        lambda: gattn.from_edge_index(edge_index, 7),
        lambda: one_hop(edge_index, (7, 5), 4),
    )
    for call in calls:
        counted = call()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_compress, "_counts", lambda tensor: False)
            ordered = call()
        for one, other in ((counted, ordered), (counted.transpose, ordered.transpose)):
            for field, value in vars(one).items():
                if isinstance(value, torch.Tensor):
                    assert torch.equal(value, getattr(other, field)), field
                    assert value.dtype == getattr(other, field).dtype, field
        assert repr(counted) == repr(ordered)


@pytest.mark.parametrize("loops", [None, 4])
def test_a_builder_may_forget_the_order_of_the_edges(loops):
    edges = torch.randint(0, 5, (2, 40), generator=torch.Generator().manual_seed(0))
    expected = one_hop(edges, (5, 5), loops)
    for counted in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not counted:
                patch.setattr(_compress, "_counts", lambda tensor: False)
            found = one_hop(edges, (5, 5), loops, per_pair=False)
        assert found.perm is None and found.hop is None and found.num_hops is None
        assert torch.equal(found.rowptr, expected.rowptr) and torch.equal(found.col, expected.col)
        for name in ("rowptr", "col", "perm"):
            assert torch.equal(getattr(found.transpose, name), getattr(expected.transpose, name))


@pytest.mark.parametrize(
    ("edges", "sizes", "message"),
    [
        (EDGES, (3, 4), r"edge_index\[0\]: found the index 3, expected .* num_sources = 3"),
        (EDGES, (4, 1), r"edge_index\[1\]: found the index 1"),
        (EDGES - 1, (4, 4), "found the index -1"),
    ],
)
def test_one_hop_with_loops_names_what_is_wrong(edges, sizes, message):
    with pytest.raises(IndexError, match=message):
        one_hop(edges, sizes, min(sizes))


def test_edges_of_any_layout_are_counted_alike():
    wide = torch.randint(0, 9, (40, 2), generator=torch.Generator().manual_seed(0))
    expected = gattn.from_edge_index(wide.t().contiguous(), 9)
    for edges in (wide.t(), wide.int().t(), wide.to(torch.uint8).t(), wide.flip(0).t().flip(1)):
        found = gattn.from_edge_index(edges, 9)
        assert torch.equal(found.col, expected.col) and torch.equal(found.perm, expected.perm)


def test_distances_of_pairs_may_be_given():
    edges = torch.randint(0, 20, (2, 60), generator=torch.Generator().manual_seed(0))
    known = gattn.k_hop(edges, 3, 20)
    order = torch.randperm(known.num_pairs, generator=torch.Generator().manual_seed(1))
    pairs, hop = known.edge_index()[:, order], known.hop[order]
    found = gattn.from_edge_index(pairs, 20, hop=hop.long())
    assert found.num_hops == 3 and not found.hops_sorted
    x, bias = torch.randn(20, 1, 2), torch.randn(4, 1)
    expected = gattn.attend(x, x, x, known, hop_bias=bias)
    torch.testing.assert_close(gattn.attend(x, x, x, found, hop_bias=bias), expected)
    rings = [gattn.attend_with_statistic(x, x, x, n.rings())[1] for n in (found, known)]
    torch.testing.assert_close(*rings)


@pytest.mark.parametrize(
    ("hop", "error", "message"),
    [
        (torch.zeros(2, dtype=torch.int64), ValueError, r"hop: found shape \[2\], expected \[3\]"),
        (torch.tensor([0, 1, 256]), IndexError, "hop: found the index 256"),
        (torch.zeros(3), TypeError, "hop: found dtype torch.float32"),
    ],
)
def test_distances_that_are_none_are_named(hop, error, message):
    with pytest.raises(error, match=message):
        gattn.from_edge_index(torch.tensor([[0, 1, 2], [1, 2, 0]]), 3, hop=hop)

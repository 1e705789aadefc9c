"""Rows too long for one piece: hubs of targets and of sources, in any order, masked or not."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import gattn
from gattn import normalizers, testing
from gattn.ops.cpu.segments import PIECE, planned
from gattn.testing import check_backend
from tests.ops.cpu.subsets import keep_cases

NODES, LONG = 300, 2000
HUB_ROW, HUB_SOURCE = 5, 7
FORMS = 4


def hub_edges():
    """A row of 2000 pairs and a source of 2000, with duplicates; nodes 290 .. 299 are isolated."""
    draw = torch.Generator().manual_seed(0)
    ends = torch.randint(0, 290, (2, LONG), generator=draw)
    into = torch.stack([ends[0], torch.full((LONG,), HUB_ROW)])
    out_of = torch.stack([torch.full((LONG,), HUB_SOURCE), ends[1]])
    others = torch.randint(0, 290, (2, 200), generator=draw)
    edges = torch.cat([into, out_of, others], dim=1)
    return edges[:, torch.randperm(edges.shape[1], generator=draw)]


def lengths_around_a_piece():
    sizes = [PIECE - 1, PIECE, PIECE + 1, 0, 2 * PIECE, 2 * PIECE + 1]
    targets = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return torch.stack([torch.arange(len(targets)) % 50, targets])


def hubs():
    star = torch.stack([torch.arange(600), torch.zeros(600, dtype=torch.int64)])
    return {
        "hubs": gattn.from_edge_index(hub_edges(), NODES),
        "around a piece": gattn.from_edge_index(lengths_around_a_piece(), (50, 6)),
        "long ring": gattn.k_hop(star, 1, 600).rings(),
    }


@pytest.fixture
def long_rows(monkeypatch):
    graphs = hubs()
    assert any(longest(graph) > 2 * PIECE for graph in graphs.values())
    monkeypatch.setattr(testing, "graphs", lambda *hub: graphs)
    return keep_cases(monkeypatch, worthwhile)


def worthwhile(form, normalizer, graph):
    if graph == "long ring":
        return normalizer == "Softmax()" and form.startswith("Multiplicative")
    return form != "Given" and normalizer in ("Softmax()", "Sigmoid()", "TopK(k=2)", "Sparsemax()")


def longest(graph):
    return int(graph.rowptr.diff().max())


def test_long_rows_and_long_sources_agree_with_the_reference(long_rows):
    assert check_backend("cpu", dtype=torch.float64) == long_rows


def test_long_rows_agree_with_the_reference_in_single_precision(long_rows, monkeypatch):
    count = keep_cases(monkeypatch, lambda *case: case[:2] == ("Multiplicative", "Softmax()"))
    assert check_backend("cpu", dtype=torch.float32) == count == 3


def test_long_rows_with_huge_scores_agree_with_the_reference(long_rows):
    assert check_backend("cpu", dtype=torch.float64, scale=80.0) == long_rows


@pytest.mark.parametrize("masked", ["all", "the first 600", "all but the last", "a whole piece"])
def test_a_masked_hub_agrees_with_the_reference(masked, monkeypatch):
    graph = hubs()["hubs"]
    low, high = (int(graph.rowptr[HUB_ROW + k]) for k in (0, 1))
    hidden = {
        "all": slice(low, high),
        "the first 600": slice(low, low + 600),
        "all but the last": slice(low, high - 1),
        "a whole piece": slice(low + PIECE, low + 2 * PIECE + 100),
    }[masked]
    leaves, build = testing._form_cases(graph, 1.0)["Multiplicative, all options"]
    bias = leaves["pair_bias"].clone()
    bias[graph.perm[hidden]] = float("-inf")

    def cases(*args):
        for normalizer in testing._NORMALIZERS:
            yield testing.Case(
                f"{masked} masked, {normalizer}",
                leaves | {"pair_bias": bias},
                lambda given, normalizer=normalizer: build(given, normalizer),
            )

    monkeypatch.setattr(testing, "cases", cases)
    assert check_backend("cpu", dtype=torch.float64) == len(testing._NORMALIZERS)


@pytest.mark.parametrize("k", [1, 3, PIECE + 100, 5000])
@pytest.mark.parametrize("ties", [False, True])
def test_top_k_of_a_long_row_is_that_of_the_reference(k, ties):
    graph = hubs()["hubs"]
    draw = torch.Generator().manual_seed(0)
    leaves = torch.randn(3, NODES, 9, 3, generator=draw, dtype=torch.float64)
    if ties:
        leaves[0] = 0  # every score is the same: the first k of a row are taken
    options = {"normalizer": normalizers.TopK(k)}
    found, expected = (
        with_gradients(leaves, graph, backend=name, **options) for name in ("cpu", "reference")
    )
    torch.testing.assert_close(found, expected)


def with_gradients(leaves, graph, **options):
    leaf = leaves.clone().requires_grad_()
    out = gattn.attend(*leaf.unbind(0), graph, **options)
    return out, *torch.autograd.grad(out.square().sum(), leaf)


def test_the_order_of_the_edges_changes_nothing():
    edges = hub_edges()
    order = torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(3))
    leaves = torch.randn(3, NODES, 2, 4, generator=torch.Generator().manual_seed(1)).double()
    first, second = (
        with_gradients(leaves, gattn.from_edge_index(e, NODES), backend="cpu")
        for e in (edges, edges[:, order])
    )
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [0],
        [0, 0, 0],
        [PIECE],
        [PIECE + 1],
        [0, 3 * PIECE, 0],
        [1] * 3000,
        [10_000] * 3,
        [*range(0, 1200, 7)],
        [PIECE - 1, 1, 1, PIECE + 1, 5],
    ],
    ids=lambda sizes: f"{len(sizes)} rows of {sum(sizes)} pairs",
)
def test_a_plan_covers_every_row_and_pair_once_and_in_order(sizes):
    rowptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    plan = planned(rowptr)
    rows = [[] for _ in sizes]
    slots = []
    for first, last, low, high, slot in plan.segments.tolist():
        assert first < last and high - low <= PIECE
        if slot >= 0:
            assert last == first + 1
            rows[first].append((low, high))
            slots.append((slot, first))
            continue
        assert (low, high) == (rowptr[first], rowptr[last])
        for row in range(first, last):
            rows[row].append((int(rowptr[row]), int(rowptr[row + 1])))
    for row, pieces in enumerate(rows):
        assert pieces[0][0] == rowptr[row] and pieces[-1][1] == rowptr[row + 1]
        assert all(a[1] == b[0] for a, b in pairwise(pieces))
    assert [slot for slot, _ in slots] == list(range(plan.num_slots))
    for row, low, high in plan.long_rows.tolist():
        assert sizes[row] > PIECE and [r for _, r in slots[low:high]] == [row] * (high - low)
    assert len(plan.long_rows) == sum(size > PIECE for size in sizes)
    assert plan.tasks[0] == 0 and plan.tasks[-1] == len(plan.segments)
    assert (np.diff(plan.tasks) > 0).all()

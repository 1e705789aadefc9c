"""Rollout, against its formula with dense matrices."""

import pytest
import torch

from gattn.inspection import AttentionMap, attention_maps, rollout, rollout_from
from gattn.inspection.flow import rollout_rows
from gattn.nn import AttentionGNN
from tests.inspection.graphs import EDGES, NODES, ball, features, stirred


def found_maps(**options):
    model = stirred(AttentionGNN(6, 8, 3, 3, heads=2, hop_bias=2, **options))
    return attention_maps(model, features(), ball(2))


@pytest.mark.parametrize("residual", [0.5, 0.0, 0.3])
def test_the_formula(residual):
    maps = found_maps()
    expected = torch.eye(NODES, dtype=torch.float64)
    for each in maps.values():
        step = residual * torch.eye(NODES) + (1 - residual) * each.dense().mean(-1)
        expected = step @ expected
    found = rollout(maps, residual)
    assert found.is_sparse
    torch.testing.assert_close(found.to_dense(), expected)


def test_one_row_is_that_of_all():
    maps = found_maps()
    whole = rollout(list(maps.values())).to_dense()
    for node in range(NODES):
        torch.testing.assert_close(rollout_from(maps, node), whole[node])
    torch.testing.assert_close(rollout_rows(maps, torch.tensor([4, 1])), whole[[4, 1]])


def test_rows_sum_to_one():
    edges = EDGES[:, EDGES[1] != 0]  # node 0 and node 6 attend to nobody
    model = stirred(AttentionGNN(6, 8, 2, 3, heads=2))
    found = rollout(attention_maps(model, features(), edges)).to_dense()
    torch.testing.assert_close(found.sum(1), torch.ones(NODES, dtype=torch.float64))
    assert found[6, 6] == 1.0


def test_a_head_that_says_nothing_is_not_in_the_mean():
    weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    quiet = AttentionMap(weights, torch.tensor([[1, 0], [0, 0]]), None, 2, 2)
    assert rollout([quiet]).to_dense().tolist() == [[0.5, 0.5], [0.0, 1.0]]


def test_what_is_not_in_series_is_refused():
    one = next(iter(found_maps().values()))
    other = AttentionMap(one.weights, one.edge_index, None, NODES, NODES + 1)
    with pytest.raises(ValueError, match="maps: found 7, 8 nodes, expected the same"):
        rollout([one, other])
    with pytest.raises(ValueError, match="maps: found none"):
        rollout({})
    with pytest.raises(ValueError, match="residual: found 2"):
        rollout([one], 2)
    with pytest.raises(ValueError, match="node: found 7"):
        rollout_from([one], 7)

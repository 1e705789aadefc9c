from collections import Counter

import networkx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gattn.data import Task, load
from gattn.data.clusters import cluster_lookup


def codes(task: Task, num_tags: int) -> list[list[int]]:
    widths = [num_tags, num_tags + 1, task.num_classes]
    return [part.argmax(dim=1).tolist() for part in task.x.split(widths, dim=1)]


def asked(task: Task, num_tags: int, cluster_size: int) -> list[int]:
    """Every node's label: the most frequent token around the captain of its own graph."""
    wanted, held, token = codes(task, num_tags)
    graph, labels = networkx.Graph(task.edge_index.t().tolist()), {}
    for component in networkx.connected_components(graph):
        for node in component:
            [captain] = [other for other in component if held[other] == wanted[node]]
            start = captain - captain % cluster_size
            votes = Counter(token[start : start + cluster_size]).most_common(2)
            assert len(votes) == 1 or votes[0][1] > votes[1][1]
            labels[node] = votes[0][0]
    return [labels[node] for node in range(task.num_nodes)]


@given(
    num_graphs=st.integers(4, 6),
    num_clusters=st.integers(2, 5),
    cluster_size=st.integers(3, 6),
    num_tokens=st.integers(2, 5),
    spare=st.integers(0, 3),
    seed=st.integers(0, 20),
)
def test_the_captains_cluster_has_the_answer(
    num_graphs, num_clusters, cluster_size, num_tokens, spare, seed
):
    tags = num_clusters + spare
    task = cluster_lookup(num_graphs, num_clusters, cluster_size, num_tokens, tags, seed=seed)
    assert task.y.tolist() == asked(task, tags, cluster_size)
    ring = networkx.connected_caveman_graph(num_clusters, cluster_size)
    rings = networkx.disjoint_union_all([ring] * num_graphs)
    both = {*rings.edges, *((j, i) for i, j in rings.edges)}
    assert sorted(both) == sorted(map(tuple, task.edge_index.t().tolist()))


def test_cluster_lookup_at_the_defaults():
    task = load("cluster-lookup")
    assert task.y.tolist() == asked(task, 16, 8)
    held = torch.tensor(codes(task, 16)[1]).view(40, 8, 8)
    assert ((held < 16).sum(dim=2) == 1).all()
    tags = held.min(dim=2).values
    assert all(len(set(row)) == 8 for row in tags.tolist())
    captains = (held < 16).int().argmax(dim=2)
    assert torch.bincount(captains.flatten()).min() > 20


def test_one_graph_is_in_one_part():
    task = load("cluster-lookup", num_graphs=9)
    masks = torch.stack([task.train_mask, task.val_mask, task.test_mask]).view(3, 9, 64, 10)
    assert (masks == masks[:, :, :1]).all()
    assert (masks.sum(dim=0) == 1).all()
    assert masks[:, :, 0].sum(dim=1).tolist() == [[5] * 10, [2] * 10, [2] * 10]
    assert len(masks[0, :, 0].unique(dim=1).t()) > 1


def test_every_cluster_has_a_tag_of_its_own():
    with pytest.raises(ValueError, match=r"^num_tags: found 5, expected an integer >= 8$"):
        cluster_lookup(num_tags=5)

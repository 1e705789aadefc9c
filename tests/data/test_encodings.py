"""Encodings: against formulas, the same at each call, and safe where graphs are small."""

from dataclasses import replace

import pytest
import torch

from gattn.data import ENCODINGS, encoded, load
from gattn.data.encodings import EIGENVECTORS, WALK_LENGTH
from gattn.data.task import Task

KARATE = load("karate")


def task_of(edges, num_nodes):
    mask = torch.ones(num_nodes, 1, dtype=torch.bool)
    edge_index = torch.tensor(edges, dtype=torch.int64).view(-1, 2).t().contiguous()
    x, y = torch.arange(num_nodes)[:, None].float(), torch.zeros(num_nodes, dtype=torch.int64)
    return Task("karate", x, edge_index, y, mask, mask, mask, "accuracy", 1)


def columns_of(task, name):
    found = encoded(task, name)
    assert torch.equal(found.x[:, : task.x.shape[1]], task.x)
    return found.x[:, task.x.shape[1] :]


def adjacency(task):
    dense = torch.zeros(task.num_nodes, task.num_nodes, dtype=torch.float64)
    dense[tuple(task.edge_index)] = 1
    return torch.maximum(dense, dense.T)


def test_eigenvectors_are_those_of_the_normalised_laplacian():
    found = columns_of(KARATE, "laplacian").double()
    assert found.shape == (34, EIGENVECTORS)
    dense = adjacency(KARATE)
    scale = dense.sum(1).rsqrt()
    laplacian = torch.eye(34, dtype=torch.float64) - scale[:, None] * dense * scale
    values = torch.linalg.eigvalsh(laplacian)[1 : EIGENVECTORS + 1]
    torch.testing.assert_close(laplacian @ found, found * values, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.T @ found, torch.eye(EIGENVECTORS).double(), atol=1e-5, rtol=0)


def test_the_first_of_the_largest_entries_is_positive():
    found = columns_of(KARATE, "laplacian")
    assert (found.gather(0, found.abs().argmax(0)[None]) > 0).all()
    path = columns_of(task_of([(0, 1), (1, 2), (2, 3)], 4), "laplacian")
    assert (path[0, 0] > 0) and (path[3, 0] < 0)  # mirror images, equal in size


def test_large_graphs_have_eigenvectors_too():
    ring = task_of([(node, (node + 1) % 120) for node in range(120)], 120)
    found = columns_of(ring, "laplacian")
    assert found.isfinite().all()
    dense = adjacency(ring)
    values = (found * ((torch.eye(120) - dense.float() / 2) @ found)).sum(0)
    expected = [1 - torch.tensor(2 * torch.pi * k / 120).cos() for k in (1, 1, 2, 2, 3, 3, 4, 4)]
    torch.testing.assert_close(values, torch.stack(expected), atol=1e-4, rtol=0)


def test_walks_that_come_back():
    found = columns_of(KARATE, "random_walk").double()
    assert found.shape == (34, WALK_LENGTH)
    dense = adjacency(KARATE)
    step = dense / dense.sum(1, keepdim=True)
    for length in (1, 2, 3, 16):
        chance = torch.linalg.matrix_power(step, length).diagonal()
        torch.testing.assert_close(found[:, length - 1], chance, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_call_gives_the_same_and_draws_nothing(name):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = encoded(KARATE, name)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert torch.equal(encoded(KARATE, name).x, first.x)


@pytest.mark.parametrize("name", ENCODINGS)
def test_only_features_change(name):
    found = encoded(KARATE, name)
    assert found.x.dtype == torch.float32
    kept = replace(found, x=KARATE.x)
    for field in ("edge_index", "y", "train_mask", "val_mask", "test_mask", "name", "metric"):
        assert getattr(kept, field) is getattr(KARATE, field)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("size", range(1, 11))
def test_small_graphs_are_padded_with_zeros(name, size):
    found = columns_of(task_of([(node, node + 1) for node in range(size - 1)], size), name)
    assert found.isfinite().all()
    if name == "laplacian":
        kept = min(EIGENVECTORS, size - 1)
        assert (found[:, :kept] != 0).any(0).all()
        assert (found[:, kept:] == 0).all()


@pytest.mark.parametrize("name", ENCODINGS)
def test_components_are_encoded_by_themselves(name):
    edges = [(0, 1), (1, 2), (2, 3), (3, 4)]
    one = columns_of(task_of(edges, 5), name)
    both = columns_of(task_of([*edges, *((a + 6, b + 6) for a, b in edges)], 12), name)
    assert torch.equal(both[:5], one)
    assert torch.equal(both[6:11], one)
    assert (both[[5, 11]] == 0).all()  # two nodes without edges


@pytest.mark.parametrize("name", ENCODINGS)
def test_directions_and_duplicates_do_not_count(name):
    plain = columns_of(task_of([(0, 1), (1, 2), (1, 0), (2, 1)], 3), name)
    torch.testing.assert_close(columns_of(task_of([(0, 1), (2, 1)], 3), name), plain)
    torch.testing.assert_close(columns_of(task_of([(0, 1), (0, 1), (2, 1)], 3), name), plain)


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValueError, match="encoding: found 'fourier', expected one of laplacian"):
        encoded(KARATE, "fourier")

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gattn.data import Task, load
from gattn.data.bipartite import dictionary_lookup, max_retrieval


def sources_of(task: Task) -> dict[int, list[int]]:
    found = {}
    for source, target in task.edge_index.t().tolist():
        found.setdefault(target, []).append(source)
    return found


def labelled(task: Task) -> list[int]:
    return (task.train_mask | task.val_mask | task.test_mask)[:, 0].nonzero()[:, 0].tolist()


def looked_up(task: Task, size: int) -> dict[int, int]:
    """Every target's value: that of its source with the same key."""
    key, value = task.x[:, :size].argmax(dim=1).tolist(), task.x[:, size:].argmax(dim=1).tolist()
    answers = {}
    for target, sources in sources_of(task).items():
        [source] = [node for node in sources if key[node] == key[target]]
        answers[target] = value[source]
    return answers


@given(size=st.integers(4, 9), num_graphs=st.integers(100, 110), seed=st.integers(0, 20))
def test_the_dictionary_has_the_answer(size, num_graphs, seed):
    task = dictionary_lookup(size, num_graphs, seed=seed)
    answers = looked_up(task, size)
    assert sorted(answers) == labelled(task)
    assert [int(task.y[node]) for node in answers] == list(answers.values())


def pairs_of_graphs(task: Task, size: int) -> tuple[list[set[tuple[int, int]]], list[int]]:
    """The (key, value) pairs of every graph, and its part."""
    values = task.y.view(-1, 2 * size)[:, :size].tolist()
    masks = torch.stack([task.train_mask, task.val_mask, task.test_mask]).view(3, -1, 2 * size)
    assert (masks[:, :, :size] == masks[:, :, :1]).all()
    return [set(enumerate(row)) for row in values], masks[:, :, 0].int().argmax(dim=0).tolist()


@given(size=st.integers(4, 12), seed=st.integers(0, 20))
def test_training_never_shows_one_of_the_pairs_of_any_other_graph(size, seed):
    pairs, part = pairs_of_graphs(dictionary_lookup(size, 200, seed=seed), size)
    shown = set().union(*(pair for pair, where in zip(pairs, part, strict=True) if where == 0))
    assert len(shown) <= int(0.8 ** (1 / size) * size**2)
    for pair, where in zip(pairs, part, strict=True):
        assert (where == 0) == (pair <= shown)
    unseen = [where for where in part if where]
    assert unseen == [1 + index % 2 for index in range(len(unseen))]


@pytest.mark.parametrize(("size", "allowed"), [(3, 8), (4, 15), (5, 23), (6, 34)])
def test_all_permutations_show_all_the_allowed_pairs(size, allowed):
    pairs, part = pairs_of_graphs(dictionary_lookup(size, 10**4), size)
    assert len(pairs) == math.factorial(size)
    shown = set().union(*(pair for pair, where in zip(pairs, part, strict=True) if where == 0))
    assert len(shown) == allowed


def test_a_target_holds_no_value_and_hears_all_its_sources():
    task = load("dictionary-lookup", size=5, num_graphs=20)
    value = task.x[:, 5:].argmax(dim=1).view(-1, 10)
    assert (value[:, :5] == 5).all()
    assert (value[:, 5:].sort(dim=1).values == torch.arange(5)).all()
    assert (task.x[:, :5].argmax(dim=1).view(-1, 10) == torch.arange(10) % 5).all()
    sources = sources_of(task)
    assert sorted(sources[23]) == [25, 26, 27, 28, 29]
    assert len(sources) * 5 == task.edge_index.shape[1] == 500


def test_a_dictionary_without_an_unseen_pair_is_an_error():
    message = r"^num_graphs: found 3 with .* nodes to train, validate and test on, expected some"
    with pytest.raises(ValueError, match=message):
        for seed in range(50):
            dictionary_lookup(num_graphs=3, seed=seed)


def value_of_the_largest(task: Task) -> dict[int, int]:
    priority, value = task.x[:, 0].numpy(), task.x[:, 1:-1].argmax(dim=1).tolist()
    return {
        target: value[sources[len(sources) - 1 - int(priority[sources][::-1].argmax())]]
        for target, sources in sources_of(task).items()
    }


@given(
    num_targets=st.integers(4, 20),
    num_values=st.integers(2, 5),
    train_degree=st.integers(2, 6),
    test_degree=st.integers(2, 20),
    seed=st.integers(0, 20),
)
def test_the_largest_priority_decides(num_targets, num_values, train_degree, test_degree, seed):
    task = max_retrieval(num_targets, num_values, train_degree, test_degree, seed=seed)
    answers = value_of_the_largest(task)
    assert sorted(answers) == labelled(task)
    assert [int(task.y[node]) for node in answers] == list(answers.values())
    degree = torch.bincount(task.edge_index[1], minlength=task.num_nodes)
    fewer, more = (
        degree[mask[:, 0]].unique().tolist() for mask in (~task.test_mask, task.test_mask)
    )
    assert (fewer, more) == ([0, train_degree], [test_degree])


def test_max_retrieval_at_the_defaults():
    task = load("max-retrieval")
    answers = value_of_the_largest(task)
    assert [int(task.y[node]) for node in answers] == list(answers.values())
    target = task.x[:, -1] == 1
    assert torch.equal(target.nonzero()[:, 0], torch.arange(1500))
    assert (task.x[target, :-1] == 0).all()
    assert (task.x[~target, 1:].sum(dim=1) == 1).all()
    assert torch.bincount(task.edge_index[0], minlength=task.num_nodes).tolist() == (
        [0] * 1500 + [1] * 148000
    )
    priority = np.sort(task.x[~target, 0].numpy())
    assert priority[0] >= 0 and priority[-1] < 1
    assert np.abs(priority - np.linspace(0, 1, len(priority))).max() < 0.01

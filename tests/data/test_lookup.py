from collections import Counter

import networkx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gattn.data import Task, attainable_accuracy, load
from gattn.data.lookup import inner_lookup, keyed_shell_lookup


def graph_of(task: Task) -> networkx.Graph:
    return networkx.Graph(task.edge_index.t().tolist())


def labelled(task: Task) -> torch.Tensor:
    return (task.train_mask | task.val_mask | task.test_mask)[:, 0]


def wishes(task: Task, num_keys: int, num_hops: int) -> list:
    """For every node the distance and value of what it wants, by networkx, or None."""
    wanted, held, value = task.x.split([num_keys, num_keys, task.num_classes], dim=1)
    held, value, graph = held.argmax(dim=1).tolist(), value.argmax(dim=1).tolist(), graph_of(task)
    answers = []
    for node in range(task.num_nodes):
        ball = networkx.single_source_shortest_path_length(graph, node, cutoff=num_hops)
        holders = Counter(held[other] for other in ball)
        if wanted[node].sum() == 0:
            assert all(holders[held[other]] > 1 for other in ball if other != node)
            answers.append(None)
            continue
        [found] = [other for other in ball if held[other] == int(wanted[node].argmax())]
        assert found != node
        answers.append((ball[found], value[found]))
    return answers


@given(
    num_nodes=st.integers(20, 30).map(lambda half: 2 * half),
    num_hops=st.integers(1, 3),
    num_keys=st.integers(15, 30),
    degree=st.integers(2, 4),
    seed=st.integers(0, 20),
)
def test_the_wanted_key_is_unique_and_has_the_answer(num_nodes, num_hops, num_keys, degree, seed):
    task = keyed_shell_lookup(num_nodes, num_hops, num_keys, 3, degree=degree, seed=seed)
    answers = wishes(task, num_keys, num_hops)
    assert [answer is not None for answer in answers] == labelled(task).tolist()
    assert task.y.tolist() == [0 if answer is None else answer[1] for answer in answers]


def test_keyed_shell_lookup_at_the_defaults():
    task = load("keyed-shell-lookup")
    answers = wishes(task, 64, 3)
    assert task.y.tolist() == [value for _, value in answers]
    distances = Counter(distance for distance, _ in answers)
    assert all(600 < distances[hops] < 740 for hops in (1, 2, 3)), distances
    assert torch.bincount(task.edge_index[0]).tolist() == [3] * 2000


def test_a_node_tries_its_distances_until_one_will_do():
    # With few keys hardly any are unique, and least at the largest distance, which has most nodes.
    task = keyed_shell_lookup(2000, 3, 8)
    answers = wishes(task, 8, 3)
    able = [answer for answer in answers if answer is not None]
    assert 0.4 < len(able) / 2000 < 0.9
    assert task.y[~labelled(task)].sum() == 0
    assert {distance for distance, _ in able} == {1, 2, 3}


@pytest.mark.parametrize("options", [{}, {"num_keys": 12}, {"num_hops": 2, "num_values": 6}])
def test_attainable_accuracy_is_that_of_looking_and_guessing(options):
    task = load("keyed-shell-lookup", num_nodes=600, **options)
    num_hops, num_keys = options.get("num_hops", 3), options.get("num_keys", 64)
    answers = [answer for answer in wishes(task, num_keys, num_hops) if answer is not None]
    counts = Counter(value for _, value in answers)
    guess = min(counts, key=lambda value: (-counts[value], value))
    for radius in range(num_hops + 2):
        right = [distance <= radius or value == guess for distance, value in answers]
        assert attainable_accuracy(task, radius) == pytest.approx(sum(right) / len(right))


def test_attainable_accuracy_grows_with_the_radius_as_said():
    task = load("keyed-shell-lookup", num_nodes=6000)
    for radius in range(4):
        about = radius / 3 + (1 - radius / 3) / 4
        assert attainable_accuracy(task, radius) == pytest.approx(about, abs=0.03)
    assert attainable_accuracy(task, 3) == 1.0


def test_attainable_accuracy_is_of_this_task_only():
    with pytest.raises(ValueError, match=r"^task: found karate, expected keyed-shell-lookup$"):
        attainable_accuracy(load("karate"), 1)
    with pytest.raises(ValueError, match=r"^radius: found -1, expected an integer >= 0$"):
        attainable_accuracy(load("keyed-shell-lookup", num_nodes=100), -1)


def test_too_few_keys_leave_nothing_to_want():
    message = r"^num_keys: found 2 with 0, 0 and 0 nodes to train, validate and test on, expected"
    with pytest.raises(ValueError, match=message):
        keyed_shell_lookup(200, num_keys=2, degree=4)


def heard_most(task: Task, num_slots: int) -> list[int]:
    """Every node's label, by its neighbours' pointers."""
    pointer = task.x[:, :num_slots].argmax(dim=1).tolist()
    slots = task.x[:, num_slots:].view(task.num_nodes, num_slots, -1).argmax(dim=2).tolist()
    graph, labels = graph_of(task), []
    for node in range(task.num_nodes):
        votes = Counter(slots[other][pointer[other]] for other in graph[node])
        labels.append(min(votes, key=lambda value: (-votes[value], value)))
    return labels


@given(
    num_nodes=st.integers(12, 30).map(lambda half: 2 * half),
    num_slots=st.integers(2, 5),
    num_values=st.integers(2, 5),
    degree=st.integers(2, 5),
    seed=st.integers(0, 20),
)
def test_the_neighbours_pointers_have_the_answer(num_nodes, num_slots, num_values, degree, seed):
    task = inner_lookup(num_nodes, num_slots, num_values, degree=degree, seed=seed)
    assert task.x.shape[1] == num_slots * (1 + num_values)
    assert task.y.tolist() == heard_most(task, num_slots)


def test_inner_lookup_at_the_defaults():
    task = load("inner-lookup")
    assert task.y.tolist() == heard_most(task, 4)
    assert (task.x.sum(dim=1) == 5).all()
    assert torch.bincount(task.edge_index[0]).tolist() == [4] * 2000


@pytest.mark.parametrize("make", [keyed_shell_lookup, inner_lookup])
def test_splits_are_50_25_25_of_every_label(make):
    task = make()
    for label in range(4):
        number = int((task.y == label).sum())
        for mask, share in ((task.train_mask, 2), (task.val_mask, 4), (task.test_mask, 4)):
            assert ((mask[task.y == label].sum(dim=0) - number / share).abs() <= 1).all()


def test_no_graph_and_no_part_are_one_line():
    with pytest.raises(ValueError, match=r"^degree: found 3, expected .* even product$"):
        inner_lookup(11, degree=3)
    with pytest.raises(ValueError, match=r"^num_nodes: found 3 with .*, expected some in each$"):
        inner_lookup(3, degree=2)

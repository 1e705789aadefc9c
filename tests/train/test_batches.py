"""Mini-batches against the whole graph: the same loss, the same gradient, the same logits."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import gattn
from gattn.data import load
from gattn.nn import AttentionGNN, DiffusionAttention, GATConv
from gattn.train import OPTIMIZERS, BatchStructure, Settings, fit, seed_everything
from gattn.train.batches import number_of, source_of


class Double(nn.Module):
    """A model in float64, of features that are not."""

    def __init__(self, model):
        super().__init__()
        self.model = model.double()

    def forward(self, x, structure):
        return self.model(x.double(), structure)


class Convs(nn.Module):
    """Two of PyG's layers."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = GATConv(width, 4, heads=2), GATConv(8, 2, heads=1)

    def forward(self, x, edge_index):
        return self.second(self.first(x, edge_index).relu(), edge_index)


class Diffusing(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer, self.last = DiffusionAttention(width, 4, 2, rounds=3), nn.Linear(8, 2)

    def forward(self, x, structure):
        return self.last(self.layer(x, structure))


def two_hops(edge_index, num_nodes):
    return gattn.k_hop(edge_index, 2, num_nodes)


def one_hop(edge_index, num_nodes):
    return gattn.k_hop(edge_index, 1, num_nodes)


def as_they_are(edge_index, num_nodes):
    return edge_index


MODELS = {
    "attention": (lambda n: AttentionGNN(n, 8, 2, 2, heads=2, hop_bias=2), two_hops, 4),
    "convs": (Convs, as_they_are, 2),
    "diffusion": (Diffusing, one_hop, 3),
}


@pytest.fixture(scope="module")
def task():
    return load("minesweeper", size=12)


@pytest.fixture
def sgd(monkeypatch):
    """Plain gradient descent: what it moves is the gradient."""
    monkeypatch.setitem(OPTIMIZERS, "sgd", torch.optim.SGD)
    return Settings(epochs=1, lr=1.0, weight_decay=0.0, optimizer="sgd")


def trained(name, task, structure, settings, **arguments):
    seed_everything(0)
    model = Double(MODELS[name][0](task.x.size(1)))
    return fit(model, task, structure, settings=settings, **arguments), model


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_all_seeds_has_the_loss_and_the_gradient_of_the_whole(task, sgd, name):
    _, build, reach = MODELS[name]
    around = BatchStructure(build, reach)
    whole, expected = trained(name, task, around, sgd)
    batched, found = trained(name, task, around, replace(sgd, batch_size=10_000))
    assert batched.history[0].loss == pytest.approx(whole.history[0].loss, rel=1e-12)
    assert batched.history[0].val_loss == pytest.approx(whole.history[0].val_loss, rel=1e-10)
    assert batched.metrics == pytest.approx(whole.metrics)
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_the_reach_is_no_larger_than_it_has_to_be(task, name):
    _, build, reach = MODELS[name]
    seed_everything(0)
    model = Double(MODELS[name][0](task.x.size(1))).eval()
    nodes = torch.arange(20)
    with torch.no_grad():
        expected = model(task.x, build(task.edge_index, task.num_nodes))[nodes]
        for hops, is_enough in ((reach, True), (reach - 1, False)):
            around = BatchStructure(build, hops)
            source = source_of(task, around, Settings(batch_size=1), nodes, 0)
            found = source.logits(model, nodes)[nodes]
            assert torch.allclose(found, expected, rtol=1e-9, atol=1e-11) == is_enough


@pytest.mark.parametrize("name", MODELS)
def test_the_evaluation_in_batches_is_that_of_the_whole(task, name):
    _, build, reach = MODELS[name]
    settings = Settings(batch_size=7)
    model = Double(MODELS[name][0](task.x.size(1))).eval()
    train, val, test = (mask.nonzero()[:, 0] for mask in task.split(0))
    nodes = torch.cat([val, test])
    with torch.no_grad():
        source = source_of(task, BatchStructure(build, reach), settings, train, 0)
        found = source.logits(model, nodes)
        expected = model(task.x, build(task.edge_index, task.num_nodes))
    torch.testing.assert_close(found[nodes], expected[nodes], rtol=1e-9, atol=1e-11)


def test_an_epoch_sees_every_seed_once_in_a_new_order(task):
    train = task.split(0)[0].nonzero()[:, 0]
    source = source_of(task, BatchStructure(two_hops, 2), Settings(batch_size=9), train, seed=3)
    epochs = []
    for epoch in (0, 1, 1):
        parts = list(source.parts(epoch))
        assert [len(part.y) for part in parts][:-1] == [9] * (len(parts) - 1)
        assert sum(part.count for part in parts) == len(train)
        epochs.append(torch.cat([part.x[part.rows] for part in parts]))
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[1], epochs[2])
    places = {tuple(row.tolist()) for row in epochs[0]}
    assert places == {tuple(row.tolist()) for row in task.x[train]}


def test_the_loss_of_an_epoch_is_the_mean_over_its_nodes(task, sgd):
    """With a step of nothing the parts have the loss of the whole."""
    still = replace(sgd, lr=1e-300)
    whole, _ = trained("attention", task, BatchStructure(two_hops, 4), still)
    parts, _ = trained(
        "attention", task, BatchStructure(two_hops, 4), replace(still, batch_size=32)
    )
    assert parts.history[0].loss == pytest.approx(whole.history[0].loss, rel=1e-6)


def test_sampled_neighbours_learn_and_two_runs_are_equal(task):
    settings = Settings(epochs=15, lr=0.02, batch_size=24, num_neighbors=(4, 3))
    (first, _), (second, _) = (trained("convs", task, as_they_are, settings) for _ in range(2))
    assert first.history[-1].loss < first.history[0].loss
    assert first.metrics == second.metrics
    assert [e.loss for e in first.history] == [e.loss for e in second.history]
    exact, _ = trained(
        "convs", task, BatchStructure(as_they_are, 2), replace(settings, num_neighbors=None)
    )
    assert exact.history[0].loss != first.history[0].loss


class Killed(Exception):
    pass


@pytest.mark.parametrize("num_neighbors", [None, (3, 2)])
def test_a_killed_run_continues_to_the_same_result(task, tmp_path, num_neighbors):
    settings = Settings(epochs=6, lr=0.02, batch_size=24, num_neighbors=num_neighbors)
    around = BatchStructure(as_they_are, 2)

    def die(epoch):
        if epoch.number == 3:
            raise Killed

    arguments = {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 2}
    with pytest.raises(Killed):
        trained("convs", task, around, settings, **arguments, progress=die)
    continued, model = trained("convs", task, around, settings, **arguments)
    whole, expected = trained("convs", task, around, settings)
    assert [e.loss for e in continued.history] == [e.loss for e in whole.history]
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), rtol=0, atol=0)
    with pytest.raises(ValueError, match="checkpoint: found batch_size = 24"):
        trained("convs", task, around, replace(settings, batch_size=25), **arguments)


def test_what_does_not_fit_as_a_whole_is_evaluated_in_batches(task):
    model = Double(MODELS["attention"][0](task.x.size(1))).eval()
    sizes = []

    def forward(x, structure):
        sizes.append(len(x))
        if len(x) == task.num_nodes:
            raise torch.OutOfMemoryError
        return model(x, structure)

    train, val, _ = (mask.nonzero()[:, 0] for mask in task.split(0))
    around = BatchStructure(two_hops, 4, two_hops(task.edge_index, task.num_nodes))
    source = source_of(task, around, Settings(batch_size=1), train, 0)
    nodes = val[:3]
    with torch.no_grad():
        found = [source.logits(forward, nodes)[nodes] for _ in range(2)]
        expected = model(task.x, around.whole)[nodes]
    for logits in found:
        torch.testing.assert_close(logits, expected)
    assert sizes.count(task.num_nodes) == 1


def test_the_structure_of_the_whole_is_used_where_it_is_there(task):
    around = BatchStructure(as_they_are, 2, task.edge_index[:, :0])
    train = task.split(0)[0].nonzero()[:, 0]
    seen = []
    for settings in (Settings(), Settings(batch_size=5)):
        source = source_of(task, around, settings, train, 0)
        source.logits(lambda x, structure: seen.append(structure.size(1)), train)
    assert seen == [0, 0]


@pytest.mark.parametrize(
    ("structure", "settings", "message"),
    [
        (torch.zeros(2, 0), {"batch_size": 4}, "structure: found Tensor, expected a BatchStruc"),
        (two_hops, {"batch_size": 4}, "structure: found a function, expected a BatchStructure"),
        (
            BatchStructure(two_hops, 4),
            {"batch_size": 4, "num_neighbors": (5, 5)},
            "num_neighbors: found 2 numbers, expected 4, one for each hop that the model looks",
        ),
    ],
)
def test_structures_that_cannot_be_cut(task, structure, settings, message):
    train = task.split(0)[0].nonzero()[:, 0]
    with pytest.raises(ValueError, match=message):
        source_of(task, structure, Settings(**settings), train, 0)


def test_numbers_follow_from_numbers():
    assert number_of(1, 2) == number_of(1, 2) != number_of(2, 1)
    assert 0 <= number_of(0, 0, 0) < 2**63

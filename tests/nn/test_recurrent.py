"""One block over and over: rounds, readouts, reach."""

import pytest
import torch

import gattn
from gattn.nn import RecurrentGNN

PATH = torch.tensor([[0, 1, 2, 3, 4, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0, 1, 2, 3, 4]])
NEAR = gattn.k_hop(PATH, 1, 6)


def made(rounds=4, **more):
    torch.manual_seed(0)
    return RecurrentGNN(3, 8, rounds, 2, heads=2, hop_bias=1, **more).double()


def features(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_parameters_are_those_of_one_block():
    count = {rounds: sum(p.numel() for p in made(rounds).parameters()) for rounds in (1, 9)}
    assert count[1] == count[9]


def test_rounds_are_the_block_by_hand():
    model, x = made(3).eval(), features(6, 3)
    shown = model.lin_in(x)
    state = model.block(shown, NEAR)
    for _ in range(2):
        state = model.block(state + shown, NEAR)
    torch.testing.assert_close(model(x, NEAR), model.lin_out(model.norm_out(state)))


def test_training_reads_out_every_round():
    model, x = made(4), features(6, 3)
    every = model(x, NEAR)
    assert every.shape == (4, 6, 2)
    model.eval()
    for number, read in enumerate(every, start=1):
        torch.testing.assert_close(read, model(x, NEAR, rounds=number))


def test_rounds_grow_with_the_calls_of_the_training():
    model, x = made(5, fewest=2, growing=6), features(6, 3)
    assert [model(x, NEAR).shape[0] for _ in range(8)] == [2, 2, 3, 3, 4, 4, 5, 5]
    assert model.eval()(x, NEAR).shape == (6, 2)
    again = made(5, fewest=2, growing=6)
    again.load_state_dict(model.state_dict())
    assert int(again.calls) == 8 and again(x, NEAR).shape[0] == 5
    again.reset_parameters()
    assert again(x, NEAR).shape[0] == 2


@pytest.mark.parametrize("rounds", [1, 3])
def test_each_round_reaches_one_neighbourhood_farther(rounds):
    model, x = made(rounds).eval(), features(6, 3)
    moved = x.clone()
    moved[5] += 1.0
    same = (model(x, NEAR) == model(moved, NEAR)).all(1)
    assert same.tolist() == [node < 5 - rounds for node in range(6)]


def test_a_batch_of_features():
    model, x = made().eval(), features(2, 6, 3)
    torch.testing.assert_close(model(x, NEAR)[1], model(x[1], NEAR))
    assert model.train()(x, NEAR).shape == (4, 2, 6, 2)


def test_clusters_reach_the_block():
    clusters = gattn.clusters(torch.tensor([0, 0, 0, 1, 1, 1]))
    model = RecurrentGNN(3, 8, 2, heads=2, hop_bias=1, levels=("node", "cluster"))
    assert model.eval()(features(6, 3).float(), NEAR, clusters).shape == (6, 8)


def test_reset_draws_everything_anew():
    model = made()
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.reset_parameters()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert {"lin_in.weight", "lin_out.weight", "block.attention.lin_query.weight"} <= changed
    assert repr(model) == "RecurrentGNN(3, 2, rounds=4)"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rounds": 0}, "rounds: found 0"),
        ({"fewest": 5}, "fewest: found 5, expected an int in"),
        ({"growing": -1}, "growing: found -1"),
        ({"heads": 3}, "hidden_channels: found 8"),
    ],
)
def test_what_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        RecurrentGNN(3, 8, **{"rounds": 4, **options})
    with pytest.raises(ValueError, match="rounds: found 0"):
        made().eval()(features(6, 3), NEAR, rounds=0)

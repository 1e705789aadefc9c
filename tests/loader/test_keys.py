"""Keys of batches."""

import pytest
import torch
from torch_geometric.sampler import NegativeSampling

from gattn.loader.keys import Batch, KeyedLoader, KeyedNegatives, combined

# A machine with one core is warned of two workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def taken(items):
    return items


def made(**kwargs):
    return KeyedLoader(range(10), collate_fn=taken, **({"batch_size": 3} | kwargs))


def test_combined_is_splitmix():
    # The first numbers that the authors' code gives for the state 1234567.
    assert [combined(1234567, k) for k in range(2)] == [6457827717110365317, 3203168211198807973]
    assert 0 <= combined(2**64 - 1, 2**40) < 2**64


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_follow_from_the_seed_and_the_epoch(shuffle):
    def epochs(seed, **kwargs):
        loader = made(seed=seed, shuffle=shuffle, **kwargs)
        return [list(loader), list(loader), list(loader)]

    one, two = epochs(5), epochs(5)
    assert one == two != epochs(6)
    keys = [batch.key for epoch in one for batch in epoch]
    assert len(set(keys)) == 12
    order = [[i for batch in epoch for i in batch.index] for epoch in one]
    assert all(sorted(some) == list(range(10)) for some in order)
    assert (order[0] != order[1]) == shuffle
    # Not more of those that persist than it takes: torch waits five seconds when they end.
    for workers, persistent in ((1, False), (2, shuffle)):
        assert epochs(5, num_workers=workers, persistent_workers=persistent) == one


def test_an_epoch_that_is_broken_off_changes_no_later_one():
    whole, broken = made(seed=1, shuffle=True), made(seed=1, shuffle=True)
    list(whole)
    next(iter(broken))
    assert list(whole) == list(broken)


def test_two_epochs_at_once():
    loader, expected = made(seed=1, shuffle=True), made(seed=1, shuffle=True)
    first, second = zip(*zip(loader, loader, strict=True), strict=True)
    assert [list(first), list(second)] == [list(expected), list(expected)]


def test_without_a_seed_torchs_generator_decides():
    loader = made(shuffle=True)
    torch.manual_seed(0)
    one = list(loader)
    torch.manual_seed(0)
    assert list(loader) == one != list(loader)


def test_what_a_dataloader_can_do():
    loader = made(seed=0, drop_last=True)
    assert len(loader) == 3 and loader.batch_size == 3 and len(loader.dataset) == 10
    given = made(seed=0, sampler=[4, 2], batch_size=1)
    assert [batch.index for batch in given] == [[4], [2]]
    batches = KeyedLoader(range(10), collate_fn=taken, seed=0, batch_sampler=[[1, 2], [3]])
    assert [batch.index for batch in batches] == [[1, 2], [3]]
    own = torch.Generator()
    orders = [[b.index for b in made(seed=0, shuffle=True, generator=own.manual_seed(9))]]
    orders += [[b.index for b in made(seed=1, shuffle=True, generator=own.manual_seed(9))]]
    assert orders[0] == orders[1], "a generator that is given decides on the order"


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"^batch_size: found None, expected a number of seeds$"):
        made(batch_size=None)
    with pytest.raises(ValueError, match=r"^seed: found -3, expected an int in"):
        made(seed=-3)
    assert Batch([1]).key is None


def test_negatives_follow_from_their_key_and_leave_torchs_generator_alone():
    given = NegativeSampling("binary", 2)
    before = torch.get_rng_state()
    draws = [KeyedNegatives.of(given, key).sample(50, "src", 9).tolist() for key in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    assert draws[0] == draws[1] != draws[2] and set(draws[0]) == set(range(9))
    made_of = KeyedNegatives.of(given, 1)
    assert made_of.is_binary() and made_of.amount == 2
    assert made_of.sample(5, "src", 9).tolist() != made_of.sample(5, "dst", 9).tolist()
    assert KeyedNegatives.of(None, 1) is None
    with pytest.raises(ValueError, match=r"^neg_sampling: found no nodes, expected some"):
        made_of.sample(1, "src", 0)

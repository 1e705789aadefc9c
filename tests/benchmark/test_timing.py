"""Steps take turns, and ratios are of medians with the extremes of the rounds."""

import pytest
import torch

from gattn.benchmark import timing
from gattn.benchmark.timing import interleave, ratio

CPU = torch.device("cpu")


def test_steps_take_turns_after_a_warm_up():
    seen = []
    steps = {name: (lambda name=name: seen.append(name)) for name in "ab"}
    taken = interleave(steps, rounds=3, device=CPU, shortest=0.0)
    assert "".join(seen) == "aabb" + "ab" * 3
    assert {name: len(values) for name, values in taken.items()} == {"a": 3, "b": 3}


def test_short_steps_are_repeated_and_the_mean_counts(monkeypatch):
    now, calls = [0.0], []

    def step():
        now[0] += 0.25
        calls.append(1)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert interleave({"a": step}, rounds=2, device=CPU, shortest=1.0) == {"a": [0.25, 0.25]}
    assert len(calls) == 2 + 2 * 4


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
def test_a_device_is_timed_by_its_own_clock():
    numbers, device = torch.ones(1 << 26, device="cuda"), torch.device("cuda")
    once, often = (timing.seconds(numbers.clone, repeats, device) for repeats in (5, 50))
    assert 0.3 < once / often < 3


def test_events_tell_the_seconds_of_a_device(monkeypatch):
    now = [0.0]

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = now[0]

        def synchronize(self):
            pass

        def elapsed_time(self, other):
            return 1e3 * (other.at - self.at)

    class Entered:
        def __init__(self, device):
            assert device.type == "cuda"

        def __enter__(self):
            pass

        def __exit__(self, *found):
            pass

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", Entered)
    monkeypatch.setattr(timing, "synchronize", lambda device: None)

    def step():
        now[0] += 0.25

    assert timing.seconds(step, 4, torch.device("cuda")) == pytest.approx(0.25)


def test_ratio():
    found = ratio([1.0, 2.0, 9.0], [2.0, 2.0, 3.0])
    assert (found.median, found.low, found.high) == (1.0, 0.5, 3.0)
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0], [1.0, 2.0])

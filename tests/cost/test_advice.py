"""Advice: the faster of the exact ways that fit; another operator where neither is bearable."""

import pytest

from gattn.cost import Breadth, Costs, Way, advice
from gattn.cost.advice import SHARE, choose
from gattn.neighborhood import Interval

GB = 1e9
SLOW_OTHERS = {"streamed": (40.0, GB / 4), "diffusion": (45.0, GB / 8), "sampled": (900.0, GB)}


def breadth(hops: int = 2, **ways: tuple[float, float]) -> Breadth:
    """Seconds and bytes by way."""
    usual = {"stored": (1.0, GB), "streamed": (2.0, GB / 4), "diffusion": (0.5, GB / 8)}
    usual |= {"sampled": (3.0, GB / 16)} | ways
    made = {name: Way(seconds, size, 10.0) for name, (seconds, size) in usual.items()}
    return Breadth(hops, Interval(1e7, 1e7, 1e7), made)


@pytest.mark.parametrize(
    ("ways", "limit", "expected"),
    [
        ({}, None, "stored"),
        ({}, GB / SHARE, "stored"),
        ({}, GB, "streamed"),  # a step may take 80 % of it
        ({"streamed": (0.5, GB)}, None, "streamed"),
        ({"streamed": (0.95, GB)}, None, "stored"),  # a tenth is no reason
        ({"stored": (11.0, GB), "streamed": (12.0, GB)}, None, "diffusion"),
        ({}, GB / 5, "diffusion"),  # neither fits
        ({}, GB / 10, "sampled"),
        ({}, GB / 100, "none"),
        # Another operator has to be faster, too.
        ({"stored": (11.0, GB), "streamed": (12.0, GB), "diffusion": (14.0, GB)}, None, "sampled"),
        ({"stored": (11.0, GB), **SLOW_OTHERS}, None, "stored"),
        ({"stored": (11.0, GB), **SLOW_OTHERS}, GB, "streamed"),
    ],
)
def test_the_way_to_take(ways: dict, limit: float | None, expected: str) -> None:
    assert choose(breadth(**ways), limit)[0] == expected


@pytest.mark.parametrize(
    ("ways", "limit", "reason"),
    [
        ({}, None, "since it fits (10 M pairs, 1 GB, 1 s a step)"),
        ({}, GB, "since to store the pairs would take 1 GB (10 M pairs, 250 MB, 2 s a step)"),
        (
            {"streamed": (0.5, GB)},
            None,
            "since it is predicted to be no slower, and keeps one block of pairs at a time",
        ),
        ({"stored": (11.0, GB), "streamed": (120.0, GB)}, None, "stored pairs with patience"),
        ({}, GB / 5, "since neither way to attend to 10 M pairs fits"),
        ({}, GB / 100, "since nothing fits (the least memory, 62 MB, is that of sampled)"),
        (
            {"stored": (11.0, GB), **SLOW_OTHERS},
            None,
            "with patience, since no other way that fits is faster (10 M pairs, 1 GB, 11 s a step)",
        ),
    ],
)
def test_the_reason(ways: dict, limit: float | None, reason: str) -> None:
    assert reason in choose(breadth(**ways), limit)[1]


def test_breadths_of_one_way_share_a_sentence() -> None:
    slow = {"stored": (99.0, GB), "streamed": (99.0, GB)}
    breadths = (breadth(1), breadth(2), breadth(3, **slow))
    said = advice(Costs(10, 10, 4, 64, 1, 10, 1024, breadths), None)
    assert len(said) == 2
    assert said[0].startswith("Breadth 1 and 2: stored, since it fits (")
    assert said[1].startswith("Breadth 3: diffusion, or stored pairs with patience")
    assert all(sentence.endswith(".") for sentence in said)

"""How far a node looks, in the words of a study: `2`, `learned:5`, `diffusion:6`, `full`, `full:3`.

A number is that of hops. Words are for what is more than a number of hops, and are kept as text in
rows: `learned:K` lets every head find its own radius, up to K hops; `diffusion:K` sends the weights
of one hop along in K rounds; `full` is all nodes, at no distance; `full:K` is all nodes, with the
distances up to K told apart and one more for whatever is farther.
"""

from __future__ import annotations

from collections.abc import Iterable

from gattn import _check as check

Breadth = int | str

KINDS = ("hops", "learned", "diffusion", "full")
USUAL = {"learned": "learned:5", "diffusion": "diffusion:6", "full": "full"}
"""What a word stands for without a number."""


def breadth_of(value: Breadth) -> Breadth:
    """Return a breadth as it is written in rows.

    Example:
        >>> breadth_of("learned"), breadth_of("3"), breadth_of("full:2")
        ('learned:5', 3, 'full:2')

    Args:
        value: a number of hops, or one of the words, with or without a number.

    Raises:
        ValueError: a negative number, an unknown word, or a number that is not whole.
    """
    if not isinstance(value, str):
        return check.integer("breadth", value, 0)
    word, colon, number = value.partition(":")
    if value.isdecimal():
        return int(value)
    if word not in USUAL or (colon and not (number.isdecimal() and int(number) > 0)):
        expected = "a number of hops, learned, diffusion or full (learned:5, diffusion:6, full:3)"
        raise ValueError(f"breadth: found {value!r}, expected {expected}")
    return f"{word}:{int(number)}" if colon else USUAL[word]


def kind_of(breadth: Breadth) -> str:
    """Return which of `KINDS` a breadth is."""
    return breadth.partition(":")[0] if isinstance(breadth, str) else "hops"


def hops_of(breadth: Breadth) -> int | None:
    """Return the number in a breadth: hops, rounds, or hops told apart; None for plain `full`."""
    if not isinstance(breadth, str):
        return breadth
    number = breadth.partition(":")[2]
    return int(number) if number else None


def reach_of(breadth: Breadth) -> int | None:
    """Return how many hops far one layer sees, None where it sees everything."""
    return None if kind_of(breadth) == "full" else hops_of(breadth)


def ordered(breadths: Iterable[Breadth]) -> list[Breadth]:
    """Return the different breadths from near to far: hops, then learned, diffusion, full."""
    return sorted(set(breadths), key=place)


def place(breadth: Breadth) -> tuple[int, int]:
    """Return what breadths are sorted by."""
    return KINDS.index(kind_of(breadth)), hops_of(breadth) or 0

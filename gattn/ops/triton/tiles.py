"""How the work is cut: what a program takes, how large its tiles are, how many warps it has.

Everything follows from the sizes of the problem, never from a measurement of the call: so results
have the same bits in every run, and a kernel is compiled for kinds of sizes, not for every graph.
"""

from __future__ import annotations

from dataclasses import dataclass

LONG = 512
"""Pairs of a row that one program walks alone, at the least; in a large graph as many as do not
keep a program busy for longer than all the others are."""
PROGRAMS = 1 << 14

TILE = 2048
"""Numbers of the largest tile of a program, unless one pair has more."""

_OF_THREAD = 16
"""Numbers of a tile that a thread holds. More hide more latency, and leave registers for fewer
warps. As compiled for an H200, with 16 the tiles that fit into a multiprocessor together ask for 32
to 80 KiB of float32 tables at once, or 16 to 32 KiB of half types; 4.8 TB/s need about 23 KiB. With
32 it is half as much again, for a tenth more instructions for a row."""

_AT_ONCE = 16
"""Bytes that a thread loads at once. A tile has no more threads than load one pair: then each has
several pairs of its own to sum, and none are summed across threads. (For 4 heads of 32 channels, 50
pairs and float32, one warp with 4 pairs at a time needs a third fewer instructions for a row than
four warps with 16, and no barrier.)"""

_RUN = 1 << 15
"""Programs from which on one takes several rows."""

_MOST_RUN = 8


@dataclass(frozen=True)
class Tile:
    """Sizes of the tiles of a program.

    Args:
        pairs: BE.
        heads: BH.
        key: BC, of the channels of query and key.
        value: BD, of the channels of the value.
        features: BF.
        warps: of a program.
    """

    pairs: int
    heads: int
    key: int
    value: int
    features: int
    warps: int

    def blocks(self, heads: int) -> int:
        """Programs that share the heads of a row."""
        return -(-heads // self.heads)

    def sizes(self) -> dict[str, int]:
        """As kernels take them."""
        names = {"BE": self.pairs, "BH": self.heads, "BC": self.key, "BD": self.value}
        return names | {"BF": self.features}


def tile(heads: int, key: int, value: int, features: int, mean: float, size: int = 4) -> Tile:
    """The tiles for H heads of C and D channels, F features, and rows of so many pairs.

    Args:
        heads: H.
        key: C.
        value: D.
        features: F.
        mean: pairs of a row, on average.
        size: bytes of a number of the tables.
    """
    key, value, features = power(key), power(value), power(features)
    wide = max(key, value, features)
    together = power(heads)
    while together > 1 and together * wide > TILE // 2:
        together //= 2
    of_pair = together * wide
    most = min(TILE, _OF_THREAD * max(of_pair * size // _AT_ONCE, 32))
    pairs = 4 if mean < 12 else 16
    while pairs > 1 and pairs * of_pair > most:
        pairs //= 2
    warps = min(max(pairs * of_pair // (32 * _OF_THREAD), 1), 8)
    return Tile(pairs, together, key, value, features, warps)


def power(size: int) -> int:
    """The smallest power of two that is not below a size, and not below 1."""
    return 1 << max(size - 1, 0).bit_length()


@dataclass(frozen=True)
class Cut:
    """How the rows of compressed pairs are dealt out.

    Rows of more than `length` pairs are cut where chunks of so many pairs meet; there are two slots
    for each chunk, see `elementary.piece_of`. All other rows go to programs in their order, `run`
    at a time.

    Args:
        rows: R.
        pairs: E.
        length: of a chunk.
        run: rows of a program.
    """

    rows: int
    pairs: int
    length: int
    run: int

    @classmethod
    def of(cls, rows: int, pairs: int) -> Cut:
        """The cut of R rows with E pairs."""
        length = max(LONG, power(pairs // PROGRAMS))
        return cls(rows, pairs, length, min(max(rows // _RUN, 1), _MOST_RUN))

    @property
    def chunks(self) -> int:
        """Chunks; none where no row can be long."""
        return -(-self.pairs // self.length) if self.pairs > self.length else 0

    @property
    def slots(self) -> int:
        """Pieces of long rows at the most."""
        return 2 * self.chunks

    @property
    def programs(self) -> int:
        """Programs of a pass: one for every slot, then one for every run of rows."""
        return self.slots - (-self.rows // self.run)

    def numbers(self) -> dict[str, int]:
        """As kernels take them."""
        found = {"num_rows": self.rows, "num_pairs": self.pairs, "cut": self.length}
        return found | {"slots": self.slots, "run": self.run}

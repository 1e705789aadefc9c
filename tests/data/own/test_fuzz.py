"""Damaged files of every format are read or refused in one line; nothing else is ever raised."""

import random
import warnings

import pytest

from gattn.data import DatasetError, load

TRIES = 150


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The content cut short, or with some bits turned, or with a piece taken out or doubled."""
    place, way = draw.randrange(len(content)), draw.randrange(4)
    if way == 0:
        return content[:place]
    if way == 1:
        changed = bytearray(content)
        for _ in range(draw.choice([1, 3, 20])):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        return bytes(changed)
    end = min(len(content), place + draw.randrange(1, 60))
    return content[:place] + (content[place:end] * 2 if way == 2 else b"") + content[end:]


@pytest.mark.parametrize("seed", range(3))
def test_damage_is_one_line(own, seed):
    draw = random.Random(seed)
    files = sorted(own.iterdir()) if own.is_dir() else [own]
    whole = {file: file.read_bytes() for file in files}
    refused = 0
    for _ in range(TRIES):
        file = draw.choice(files)
        file.write_bytes(damaged(whole[file], draw))
        refused += _refused(own)
        file.write_bytes(whole[file])
    assert refused > TRIES // 4
    assert not _refused(own)


def _refused(path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            load(str(path))
        except DatasetError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 1000
            return True
    return False

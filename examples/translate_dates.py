"""Translation: dates as people write them to ISO dates, character by character.

    python examples/translate_dates.py [--smoke]

The encoder looks everywhere in its own text; the decoder looks back in what it has written, and
everywhere in what the encoder has read (cross-attention). `SequenceAttention` takes the words of
torch's `nn.MultiheadAttention`: texts of different lengths come padded, with a `key_padding_mask`.
"""

import argparse
import datetime
import random

import torch
from torch import nn

from gattn.nn import SequenceAttention

FORMATS = "{0.day}.{0.month}.{0:%Y}", "{0.day} {0:%b %Y}", "{0:%Y, %b %d}"
FORMATS += "{0:%B} {0.day}, {0:%Y}", "{0:%A}, {0.day} {0:%B %Y}", "the {0.day} of {0:%B, %Y}"
CHARACTERS = "_^" + "".join(map(chr, range(32, 123)))  # padding and start come first
FIRST, LAST = (datetime.date(year, 1, 1).toordinal() for year in (1950, 2050))


def pairs(days, count, draw):
    """Dates in one format or another, and in ISO's."""
    drawn = [datetime.date.fromordinal(draw.choice(days)) for _ in range(count)]
    return [draw.choice(FORMATS).format(day) for day in drawn], [day.isoformat() for day in drawn]


def coded(texts):
    """Characters as numbers `[B, L]`, padded at the end."""
    rows = [torch.tensor([CHARACTERS.index(c) for c in text]) for text in texts]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)


class Layer(nn.Module):
    """Self-attention, in a decoder attention to the other text, and a feed-forward network."""

    def __init__(self, dim, heads, causal):
        super().__init__()
        self.own = SequenceAttention(dim, heads, batch_first=True, causal=causal, position="rotary")
        self.other = SequenceAttention(dim, heads, batch_first=True) if causal else None
        self.widen, self.narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))

    def forward(self, x, padding=None, memory=None, memory_padding=None):
        """The text after the layer, and its weights in the other text `[B, L, S]`."""
        inner, seen = self.norms[0](x), None
        x = x + self.own(inner, inner, inner, padding, need_weights=False)[0]
        if self.other is not None:
            found, seen = self.other(self.norms[1](x), memory, memory, memory_padding)
            x = x + found
        return x + self.narrow(nn.functional.gelu(self.widen(self.norms[2](x)))), seen


class Translator(nn.Module):
    """What comes next in the ISO date, from a text and what is written of the date so far."""

    def __init__(self, channels=64, heads=4):
        super().__init__()
        self.embed = nn.Embedding(len(CHARACTERS), channels)
        self.encoder, self.decoder = Layer(channels, heads, False), Layer(channels, heads, True)
        self.norm, self.out = nn.LayerNorm(channels), nn.Linear(channels, len(CHARACTERS))

    def forward(self, source, target):
        """Scores of the next characters `[B, L, characters]`, and the weights in the source."""
        memory = self.norm(self.encoder(self.embed(source), source == 0)[0])
        x, seen = self.decoder(self.embed(target), None, memory, source == 0)
        return self.out(x), seen

    @torch.no_grad()
    def translate(self, source):
        """The ten most likely characters, one after the other, behind the start: `[B, 11]`."""
        target = torch.ones(len(source), 1, dtype=torch.int64)
        for _ in range(10):
            target = torch.cat([target, self(source, target)[0][:, -1:].argmax(-1)], dim=1)
        return target


def fit(model, days, steps, draw):
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.003, total_steps=steps)
    for _ in range(steps):
        texts, dates = pairs(days, 64, draw)
        source, target = coded(texts), coded(["^" + date for date in dates])
        loss = nn.functional.cross_entropy(model(source, target[:, :-1])[0].mT, target[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    torch.manual_seed(0)
    draw, model = random.Random(0), Translator()
    days = draw.sample(range(FIRST, LAST), LAST - FIRST)
    texts, dates = pairs(days[:7000], 50 if smoke else 1000, draw)
    losses = list(fit(model, days[7000:], 20 if smoke else 800, draw))
    found = model.translate(coded(texts))
    right = (found[:, 1:] == coded(dates)).all(1).sum() / len(texts)
    assert found.shape == (len(texts), 11) and sum(losses[-5:]) < sum(losses[:5])
    one = sum("." in text for text in texts) / len(texts)  # only the first format has it
    print(f"{len(texts)} dates of days that were not trained on, the whole ISO date right:")
    print(f"  a parser of the first of {len(FORMATS)} formats  {one:.1%}")
    print(f"  encoder and decoder                {right:.1%}")
    weights = model(coded(texts[:1]), found[:1, :-1])[1][0]
    print(f"where the decoder looks for each character:\n    {texts[0]}")
    for character, row in zip(found[0, 1:], weights, strict=True):
        shades = "".join(" .:+*#@"[min(int(7 * weight), 6)] for weight in row.tolist())
        print(f"  {CHARACTERS[character]} {shades}")


if __name__ == "__main__":
    main()

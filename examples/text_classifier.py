"""Text: which small word is missing in a sentence of Python's own documentation?

    python examples/text_classifier.py [--smoke]

The sentences are those of the docstrings of the installed Python. A batch is one long row of words,
and `ptr` says where a sentence ends: nothing is padded. Words attend to the words around them, with
a bias for each signed distance; then the gap attends to all words of its sentence.
"""

import argparse
import ast
import random
import re
import sysconfig
from collections import Counter
from pathlib import Path

import torch
from torch import nn

import gattn
from gattn.nn import AttentionBlock, GraphAttention

PACKAGES = ("asyncio", "email", "importlib", "http", "logging", "unittest", "urllib", "xml")
MISSING = ("the", "a", "to", "of", "in", "for", "is", "and")
RADIUS = 4


def sentences():
    """The different sentences of all docstrings, as tuples of words."""
    found, root = set(), Path(sysconfig.get_path("stdlib"))
    for path in (path for name in PACKAGES for path in (root / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for sentence in re.split(r"(?<=[.:!?])\s+|\n\n", ast.get_docstring(node) or ""):
                    found.add(tuple(re.findall(r"[a-z]+", sentence.lower())))
    return sorted(words for words in found if 4 <= len(words) <= 40)


def gaps(part):
    """Every sentence as often as one of its words can be missing: `(words, place, class)`."""
    places = ((words, at) for words in part for at, word in enumerate(words) if word in MISSING)
    return [((*w[:at], "_", *w[at + 1 :]), at, MISSING.index(w[at])) for w, at in places]


def packed(part, vocabulary):
    """Words `[N]`, one sentence behind the other, their ends, the gaps `[B]`, the classes `[B]`."""
    words = torch.tensor([vocabulary.get(word, 0) for found, _, _ in part for word in found])
    ptr = torch.tensor([0, *(len(found) for found, _, _ in part)]).cumsum(0)
    place, label = torch.tensor([rest for _, *rest in part]).unbind(1)
    return words, ptr, ptr[:-1] + place, label


class Classifier(nn.Module):
    """Words look around themselves, then the gaps look at all words of their sentences."""

    def __init__(self, num_words, channels=64, heads=4):
        super().__init__()
        self.embed, self.drop = nn.Embedding(num_words, channels), nn.Dropout(0.2)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.around = AttentionBlock(channels, heads, hop_bias=2 * RADIUS, dropout=0.1)
        self.look = GraphAttention(channels, channels // heads, heads)
        self.classes = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, len(MISSING)))

    def forward(self, words, ptr, gap):
        """Scores of the small words, `[B, 8]`."""
        span = gattn.window(radius=RADIUS, ptr=ptr, signed=True)
        x = self.around(self.drop(self.embed(words)), span)
        sentence = gattn.full(ptr=(ptr, torch.arange(len(ptr))))  # words, and one gap to each
        return self.classes(self.drop(x[gap] + self.look((x[gap], x), sentence)))


def fit(model, train, vocabulary, steps, draw):
    bias = model.around.attention.hop_bias  # from zero to some units: it gets larger steps
    others = [parameter for parameter in model.parameters() if parameter is not bias]
    optimizer = torch.optim.AdamW([{"params": others}, {"params": [bias]}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [0.003, 0.06], total_steps=steps)
    for _ in range(steps):
        words, ptr, gap, label = packed(draw.sample(train, 64), vocabulary)
        loss = nn.functional.cross_entropy(model(words, ptr, gap), label)
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
    draw, found = random.Random(0), sentences()[:: 9 if smoke else 1]
    draw.shuffle(found)
    held, train = gaps(found[: len(found) // 5]), gaps(found[len(found) // 5 :])
    count = Counter(word for words, _, _ in train for word in set(words))
    vocabulary = {word: i + 1 for i, word in enumerate(sorted(w for w in count if count[w] > 1))}
    model = Classifier(len(vocabulary) + 1)
    losses = list(fit(model, train, vocabulary, 20 if smoke else 1200, draw))
    words, ptr, gap, label = packed(held, vocabulary)
    score = model.eval()(words, ptr, gap).detach()
    assert score.shape == (len(held), len(MISSING)) and sum(losses[-5:]) < sum(losses[:5])
    count = Counter((words[:at][-1:], label) for words, at, label in train).most_common()
    after = {before: label for (before, label), _ in reversed(count)}  # the commonest comes last
    known = sum(after.get(words[:at][-1:], 0) == label for words, at, label in held) / len(held)
    print(f"{len(held)} gaps in sentences that were not trained on, {len(MISSING)} small words")
    print(f"  always {MISSING[0]!r}                    {(label == 0).sum() / len(held):.1%}")
    print(f"  commonest after the word before {known:.1%}")
    print(f"  attention                       {(score.argmax(-1) == label).sum() / len(held):.1%}")
    print(f"what the four heads look at around the first gap, which is {MISSING[label[0]]!r}:")
    x, span = model.embed(words[: ptr[1]]), gattn.window(int(ptr[1]), RADIUS, signed=True)
    weights = model.around.attention.attention_weights(model.around.norm_attention(x), span)
    source, target = span.expand().edge_index()
    for at, row in zip(source[target == gap[0]], weights[target == gap[0]].tolist(), strict=True):
        print(f"  {held[0][0][at]:>14s}  " + "  ".join(f"{weight:4.0%}" for weight in row))


if __name__ == "__main__":
    main()

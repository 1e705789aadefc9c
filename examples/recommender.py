"""Recommendation: which other events did a woman attend? Users attend to items.

    python examples/recommender.py [--smoke]

18 women, 14 events and 89 attendances (Davis, Gardner and Gardner, "Deep South", 1941) come with
networkx. Every attendance is hidden once, nine at a time; all events that a woman is not known to
have attended are then ranked for her. Women and events have features of different sizes: the layer
takes the pair `(x_women, x_events)`, and the edges lead from events to women.

In training, 30 % of the known attendances are masked in each step (`pair_bias` of -inf), and what
is left has to tell them. So no attendance is predicted from itself.
"""

import argparse

import networkx as nx
import torch
from torch import nn

import gattn
from gattn.nn import GraphAttention

HIDDEN = 9
MASKED = 0.3


def attendances():
    """Names of the women and of the events, and the edges `[2, 89]` from event to woman."""
    graph = nx.davis_southern_women_graph()
    women = [name for name, kind in graph.nodes(data="bipartite") if kind == 0]
    events = [name for name, kind in graph.nodes(data="bipartite") if kind == 1]
    pairs = [(events.index(e), women.index(w)) for w in women for e in graph[w]]
    return women, events, torch.tensor(sorted(pairs)).T.contiguous()


class Recommender(nn.Module):
    """A woman is what she finds at her events; an event fits if it looks alike."""

    def __init__(self, num_women, num_events, channels=16, heads=2):
        super().__init__()
        self.look = GraphAttention((num_women, num_events), channels // heads, heads)
        self.event = nn.Linear(num_events, channels)
        self.popularity = nn.Parameter(torch.zeros(num_events))

    def forward(self, x_women, x_events, around, masked):
        """Scores `[women, events]`; attendances that are masked are not looked at."""
        bias = torch.zeros(len(masked)).masked_fill(masked, float("-inf"))
        found = self.look((x_women, x_events), around, pair_bias=bias)
        return found @ self.event(x_events).T + self.popularity


def table(edges, shape):
    """`[women, events]`, true at the edges."""
    known = torch.zeros(shape, dtype=torch.bool)
    known[edges[1], edges[0]] = True
    return known


def fit(edges, hidden, shape, around, steps):
    """The scores of a model that has not seen the edges in `hidden`, and its losses."""
    torch.manual_seed(0)
    model = Recommender(*shape)
    sides = torch.eye(shape[0]), torch.eye(shape[1])  # nothing is known but who is who
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        asked = (torch.rand(len(hidden)) < MASKED) & ~hidden
        looked_at = table(edges[:, ~hidden & ~asked], shape)
        score = model(*sides, around, hidden | asked).masked_fill(looked_at, float("-inf"))
        loss = -score.log_softmax(-1)[edges[1, asked], edges[0, asked]].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        return model(*sides, around, hidden), losses


def ranks(score, edges, hidden, shape):
    """The place of every hidden event among those that its woman did not attend; 1 is best."""
    attended, found = table(edges, shape), []
    for event, woman in edges[:, hidden].T.tolist():
        others = score[woman][~attended[woman]]
        ahead = (others > score[woman, event]).sum() + (others == score[woman, event]).sum() / 2
        found.append(1 + float(ahead))
    return found


def report(name, found):
    place = torch.tensor(found)
    hits = float((place <= 3).float().mean())
    print(f"{name:12s} mean rank {float(place.mean()):.2f}, among the first three {hits:.0%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    women, events, edges = attendances()
    shape, count = (len(women), len(events)), edges.shape[1]
    around = gattn.from_edge_index(edges, num_nodes=(len(events), len(women)))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    popular, learned = [], []
    for first in range(0, HIDDEN if args.smoke else count, HIDDEN):
        hidden = torch.zeros(count, dtype=torch.bool)
        hidden[order[first : first + HIDDEN]] = True
        score, losses = fit(edges, hidden, shape, around, 60 if args.smoke else 100)
        learned += ranks(score, edges, hidden, shape)
        guests = table(edges[:, ~hidden], shape).sum(0).float()
        popular += ranks(guests.expand(shape), edges, hidden, shape)
        assert score.shape == shape
        assert sum(losses[-10:]) < sum(losses[:10])
    print(f"{len(learned)} hidden attendances, each ranked among the events not attended")
    report("popularity", popular)
    report("attention", learned)


if __name__ == "__main__":
    main()

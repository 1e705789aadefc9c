"""A score of your own: one class, and it runs on every backend that knows its form.

    python examples/new_score.py [--smoke]

The score is the negative squared distance of query and key. Written out,

    -|q - k|^2 = 2 <q, k> - |k|^2 - |q|^2

it is a product with a bias of the source and one of the target: the form `Multiplicative`, with no
work left for a kernel that it does not know already. A score that is none of the forms is a
function of a pair in the form `Given`.
"""

import argparse

import torch

import gattn
from gattn.forms import Given, Multiplicative
from gattn.nn import GraphAttention
from gattn.scores import Score
from gattn.testing import check_score


class Distance(Score):
    """Nearer keys score higher: s = -|q - k|^2."""

    def forward(self, query, key):
        """The product of query and key, and their norms as biases."""
        source_bias, target_bias = -key.square().sum(-1), -query.square().sum(-1)
        return Multiplicative(query, key, 2.0, source_bias, target_bias)


class Manhattan(Score):
    """The sum of absolute differences, s = -|q - k|_1: written pair by pair."""

    def forward(self, query, key):
        """A function of a block of pairs, `[P, H, C]` to `[P, H]`."""
        return Given(query, key, lambda q, k, hop: -(q - k).abs().sum(-1))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    nodes = 20 if args.smoke else 200
    edge_index = torch.randint(0, nodes, (2, 5 * nodes))
    neighborhood = gattn.k_hop(edge_index, num_hops=2, num_nodes=nodes)
    x = torch.randn(nodes, 8)
    for score in (Distance, Manhattan):
        check_score(score(), heads=2, channels=4)  # the contract of every score
        layer = GraphAttention(8, 4, heads=2, score=score, hop_bias=2)
        weights = layer.attention_weights(x, neighborhood)
        print(
            f"{score.__name__:10s} output {list(layer(x, neighborhood).shape)}  "
            f"weights {list(weights.shape)}, the largest {weights.max().item():.2f}"
        )


if __name__ == "__main__":
    main()

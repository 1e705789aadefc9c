"""A sequence is a graph: full, causal and windowed attention through the same `attend`.

    python examples/sequence.py [--smoke]

The neighbourhoods are spans: they take memory for the positions, not for the pairs. All of them run
on PyTorch's own `scaled_dot_product_attention`, windows tile by tile, and give what it gives.
"""

import argparse

import torch
import torch.nn.functional as F

import gattn


def reference(query, key, value, mask):
    """PyTorch's attention with a mask written out, `[N, N]`."""
    query, key, value = (tensor.transpose(0, 1) for tensor in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value, mask).transpose(0, 1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    length, radius = (32, 4) if args.smoke else (512, 32)
    torch.manual_seed(0)
    query, key, value = torch.randn(3, length, 4, 16).unbind(0)

    back = torch.arange(length)[:, None] - torch.arange(length)[None, :]
    cases = {
        "full": (gattn.full(length), back == back),
        "causal": (gattn.window(length, None, causal=True), back >= 0),
        "window": (gattn.window(length, radius), back.abs() <= radius),
        "causal window": (
            gattn.window(length, radius, causal=True),
            (back >= 0) & (back <= radius),
        ),
    }
    for name, (span, mask) in cases.items():
        out = gattn.attend(query, key, value, span)
        off = (out - reference(query, key, value, mask)).abs().max()
        reasons = gattn.backend_reasons(query, key, value, span)
        backend = next(backend for backend, against in reasons.items() if not against)
        print(f"{name:14s} {span.num_pairs:7d} pairs  on {backend:9s}  off by {off:.1e}")

    # Two sequences of a batch, one behind the other: neither sees the other.
    packed = gattn.full(ptr=torch.tensor([0, length // 4, length]))
    first = gattn.attend(query, key, value, packed)[: length // 4]
    query, key, value = (side[: length // 4] for side in (query, key, value))
    alone = gattn.attend(query, key, value, gattn.full(length // 4))
    off = (first - alone).abs().max()
    print(f"packed         a sequence alone and in a batch: off by {off:.1e}")


if __name__ == "__main__":
    main()

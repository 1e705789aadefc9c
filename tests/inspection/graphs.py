"""Small graphs, models and structures that the tests of inspection share."""

import torch

import gattn

EDGES = torch.tensor(
    [[0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 2, 5, 5, 5], [1, 0, 2, 1, 3, 2, 4, 3, 0, 4, 5, 2, 5, 5]]
)
"""A ring of five with a tail, a loop at 5 among its edges; node 6 stands alone."""

NODES = 7


def features(channels=6, seed=0):
    made = torch.Generator().manual_seed(seed)
    return torch.randn(NODES, channels, generator=made, dtype=torch.float64)


def ball(hops):
    return gattn.k_hop(EDGES, hops, NODES)


def stirred(model, seed=1):
    """In float64 and evaluation mode, with no parameter left where it starts."""
    made = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=made, dtype=torch.float64)
        parameter.data += 0.3 * noise
    return model

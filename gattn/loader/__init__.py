"""Mini-batches of large graphs from a plain installation: no pyg-lib, no torch-sparse.

    from gattn.loader import KHopLoader

    loader = KHopLoader(data, [15, 10], data.train_mask, batch_size=1024, shuffle=True, seed=0)
    for batch in loader:
        out = model(batch.x, batch.edge_index)[: batch.batch_size]

`KHopLoader` has the arguments of PyG's `NeighborLoader` and gives the same batches; `KHopSampler`
is the sampler itself, for PyG's `NodeLoader` and `LinkLoader`. `EgoLoader` keeps the whole ball
around every seed.

An attention on a sampled batch normalises over the neighbours that were sampled: with a softmax, a
node with 3 of 300 neighbours in the batch spreads a weight of 1 over those 3. With `num_neighbors`
of -1, or in an `EgoLoader` for all nodes that are not on the rim, it is the attention on the whole
graph. The gradient of a softmax over a sample is no unbiased estimate of that over all.
"""

from gattn.loader.ego import EgoLoader as EgoLoader
from gattn.loader.loaders import KHopLinkLoader as KHopLinkLoader
from gattn.loader.loaders import KHopLoader as KHopLoader
from gattn.loader.sampler import KHopSampler as KHopSampler

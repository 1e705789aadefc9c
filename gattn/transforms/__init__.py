"""Transforms of PyG: pairs within k hops as edges, neighbourhoods in the data, tokens of hops.

    from torch_geometric import transforms as T
    from gattn.transforms import KHop

    data = T.Compose([T.ToUndirected(), KHop(2)])(data)
    out = GATConv(16, 8, edge_dim=1, add_self_loops=False)(
        data.x, data.edge_index, data.edge_hop.float()
    )

Whatever changes nodes or edges comes before. `KHop(2)` writes plain edges, with `edge_hop` beside
them, which every layer, loader and batch of PyG takes. `KHop(2, attr="neighborhood")` and `OneHop`
keep an object instead, for the layers of this library. It moves with `data.to(device)`, is pinned
with `data.pin_memory()`, copied, pickled, and saved by an `InMemoryDataset`; `data.cpu()` and
`data.cuda()` leave it where it is. A PyG `Batch` keeps a list of the objects of its graphs, and
`gattn.batch` joins them:

    for data in DataLoader(dataset, batch_size=32):
        out = layer(data.x, gattn.batch(data.neighborhood))

Loaders that cut a graph into samples (`NeighborLoader` and the like) leave such an object whole;
the transform is applied to each sample then, as the `transform` of the loader.
"""

import torch

from gattn.neighborhood import Span, Sparse, Streamed, Transpose
from gattn.transforms.hop_tokens import HopTokens as HopTokens
from gattn.transforms.khop import KHop as KHop
from gattn.transforms.one_hop import OneHop as OneHop

# So that PyG's datasets, which trust only what they know, can read back what they wrote.
torch.serialization.add_safe_globals([Sparse, Span, Streamed, Transpose])

__all__ = ["HopTokens", "KHop", "OneHop"]

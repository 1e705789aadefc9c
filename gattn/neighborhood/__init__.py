"""Who attends to whom: breadth lives here and nowhere else.

A *neighbourhood* has rows and pairs. A row is a target node; each of its pairs names one source
that it attends to, so a pair is a directed edge source -> target, at a distance in hops where
there is one (0 = the node itself). Rows without pairs are allowed: their output is zero.

- `Sparse` stores the pairs, row by row (CSR): one hop of a graph, or `k` hops of it.
- `Streamed` stores the graph alone, and finds the pairs of a block of rows when they are needed.
- `Span` stores only where each row's contiguous range of sources starts and stops: the whole
  graph, packed graphs, a window of a sequence. Its pairs are never stored.

`Clusters` are two of them, from nodes to clusters and back.

All are frozen, validated once when they are built (so that no kernel can read out of bounds),
move with `.to(device)`, pickle, and join into a disjoint union with `batch`.
"""

from gattn.neighborhood.batching import batch as batch
from gattn.neighborhood.build import from_edge_index as from_edge_index
from gattn.neighborhood.build import full as full
from gattn.neighborhood.build import window as window
from gattn.neighborhood.clustering import Clusters as Clusters
from gattn.neighborhood.clustering import clusters as clusters
from gattn.neighborhood.clustering import communities as communities
from gattn.neighborhood.clustering import components as components
from gattn.neighborhood.estimating import Estimate as Estimate
from gattn.neighborhood.estimating import Interval as Interval
from gattn.neighborhood.estimating import estimate as estimate
from gattn.neighborhood.expander import expander as expander
from gattn.neighborhood.expander import long_edges as long_edges
from gattn.neighborhood.inducing import induced as induced
from gattn.neighborhood.khop import k_hop as k_hop
from gattn.neighborhood.span import Span as Span
from gattn.neighborhood.sparse import Sparse as Sparse
from gattn.neighborhood.sparse import Transpose as Transpose
from gattn.neighborhood.streamed import Streamed as Streamed

Neighborhood = Sparse | Span | Streamed

__all__ = [
    "Clusters",
    "Estimate",
    "Interval",
    "Neighborhood",
    "Span",
    "Sparse",
    "Streamed",
    "Transpose",
    "batch",
    "clusters",
    "communities",
    "components",
    "estimate",
    "expander",
    "from_edge_index",
    "full",
    "induced",
    "k_hop",
    "long_edges",
    "window",
]

"""Attention over k-hop neighbourhoods of graphs, with two dials: breadth and depth.

    import gattn

    neighborhood = gattn.k_hop(edge_index, num_hops=2, num_nodes=num_nodes)
    out = gattn.attend(query, key, value, neighborhood)

Layers are in `gattn.nn` (it imports PyTorch Geometric), scores in `gattn.scores`, normalisers in
`gattn.normalizers`, the three pairwise forms in `gattn.forms`.
"""

from gattn import forms as forms
from gattn import normalizers as normalizers
from gattn import scores as scores
from gattn.diffusion import aggregate as aggregate
from gattn.diffusion import degree_weights as degree_weights
from gattn.diffusion import diffuse as diffuse
from gattn.functional import attend as attend
from gattn.functional import attend_form as attend_form
from gattn.functional import attend_form_with_statistic as attend_form_with_statistic
from gattn.functional import attend_with_statistic as attend_with_statistic
from gattn.functional import attention_weights as attention_weights
from gattn.functional import backend_reasons as backend_reasons
from gattn.functional import form_weights as form_weights
from gattn.functional import pair_scores as pair_scores
from gattn.neighborhood import Clusters as Clusters
from gattn.neighborhood import Neighborhood as Neighborhood
from gattn.neighborhood import Span as Span
from gattn.neighborhood import Sparse as Sparse
from gattn.neighborhood import Streamed as Streamed
from gattn.neighborhood import batch as batch
from gattn.neighborhood import clusters as clusters
from gattn.neighborhood import communities as communities
from gattn.neighborhood import components as components
from gattn.neighborhood import expander as expander
from gattn.neighborhood import from_edge_index as from_edge_index
from gattn.neighborhood import full as full
from gattn.neighborhood import induced as induced
from gattn.neighborhood import k_hop as k_hop
from gattn.neighborhood import long_edges as long_edges
from gattn.neighborhood import window as window

__version__ = "0.1.0"

__all__ = [
    "Clusters",
    "Neighborhood",
    "Span",
    "Sparse",
    "Streamed",
    "aggregate",
    "attend",
    "attend_form",
    "attend_form_with_statistic",
    "attend_with_statistic",
    "attention_weights",
    "backend_reasons",
    "batch",
    "clusters",
    "communities",
    "components",
    "degree_weights",
    "diffuse",
    "expander",
    "form_weights",
    "forms",
    "from_edge_index",
    "full",
    "induced",
    "k_hop",
    "long_edges",
    "normalizers",
    "pair_scores",
    "scores",
    "window",
]

"""Drop-ins for PyG's attention layers: their constructor, parameters and calls, our operator.

    from gattn.nn import GATConv  # instead of torch_geometric.nn

Each is a subclass of PyG's layer of the same name with a forward of its own. PyG's forward still
runs where it has to (`handover.py` says when).
"""

from gattn.nn.conv.gat import GATConv as GATConv
from gattn.nn.conv.gatv2 import GATv2Conv as GATv2Conv
from gattn.nn.conv.transformer import TransformerConv as TransformerConv

__all__ = ["GATConv", "GATv2Conv", "TransformerConv"]

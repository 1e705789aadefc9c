"""Layers and models. Importing this imports PyTorch Geometric."""

from gattn.nn.attention import GraphAttention as GraphAttention
from gattn.nn.conv import GATConv as GATConv
from gattn.nn.conv import GATv2Conv as GATv2Conv
from gattn.nn.conv import TransformerConv as TransformerConv
from gattn.nn.models import GAT as GAT
from gattn.nn.models import AttentionBlock as AttentionBlock
from gattn.nn.models import AttentionGNN as AttentionGNN
from gattn.nn.position import Rotary as Rotary
from gattn.nn.sequence import SequenceAttention as SequenceAttention

__all__ = [
    "GAT",
    "AttentionBlock",
    "AttentionGNN",
    "GATConv",
    "GATv2Conv",
    "GraphAttention",
    "Rotary",
    "SequenceAttention",
    "TransformerConv",
]

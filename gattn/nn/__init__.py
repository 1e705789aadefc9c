"""Layers and models. Importing this imports PyTorch Geometric."""

from gattn.nn.attention import GraphAttention as GraphAttention
from gattn.nn.balance import DepthBreadth as DepthBreadth
from gattn.nn.conv import GATConv as GATConv
from gattn.nn.conv import GATv2Conv as GATv2Conv
from gattn.nn.conv import TransformerConv as TransformerConv
from gattn.nn.diffusion import DiffusionAttention as DiffusionAttention
from gattn.nn.diffusion import RoundGate as RoundGate
from gattn.nn.filling import FillingIn as FillingIn
from gattn.nn.hop_tokens import HopTokenAttention as HopTokenAttention
from gattn.nn.learned_span import LearnedSpan as LearnedSpan
from gattn.nn.levels import DEPTHS as DEPTHS
from gattn.nn.levels import LEVELS as LEVELS
from gattn.nn.levels import ClusterLevel as ClusterLevel
from gattn.nn.levels import FeatureLevel as FeatureLevel
from gattn.nn.levels import HopLevel as HopLevel
from gattn.nn.levels import LayerAttention as LayerAttention
from gattn.nn.models import GAT as GAT
from gattn.nn.models import AttentionBlock as AttentionBlock
from gattn.nn.models import AttentionGNN as AttentionGNN
from gattn.nn.position import Rotary as Rotary
from gattn.nn.recurrent import RecurrentGNN as RecurrentGNN
from gattn.nn.sequence import SequenceAttention as SequenceAttention

__all__ = [
    "DEPTHS",
    "GAT",
    "LEVELS",
    "AttentionBlock",
    "AttentionGNN",
    "ClusterLevel",
    "DepthBreadth",
    "DiffusionAttention",
    "FeatureLevel",
    "FillingIn",
    "GATConv",
    "GATv2Conv",
    "GraphAttention",
    "HopLevel",
    "HopTokenAttention",
    "LayerAttention",
    "LearnedSpan",
    "RecurrentGNN",
    "Rotary",
    "RoundGate",
    "SequenceAttention",
    "TransformerConv",
]

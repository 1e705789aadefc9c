"""Scores: how well a query and a key fit. Each does its work per node and returns a form.

A new score is one file like those here; `gattn.testing.check_score` is its contract.
"""

from gattn.scores.additive import Additive as Additive
from gattn.scores.base import Score as Score
from gattn.scores.cosine import Cosine as Cosine
from gattn.scores.distance import Distance as Distance
from gattn.scores.dot import Dot as Dot
from gattn.scores.dot import General as General
from gattn.scores.dot import ScaledDot as ScaledDot
from gattn.scores.gat import GAT as GAT
from gattn.scores.gat import GATv2 as GATv2
from gattn.scores.mlp import MLP as MLP
from gattn.scores.supergat import SuperGATMX as SuperGATMX
from gattn.scores.supergat import SuperGATSD as SuperGATSD
from gattn.scores.tempered import Tempered as Tempered

__all__ = [
    "GAT",
    "MLP",
    "Additive",
    "Cosine",
    "Distance",
    "Dot",
    "GATv2",
    "General",
    "ScaledDot",
    "Score",
    "SuperGATMX",
    "SuperGATSD",
    "Tempered",
]

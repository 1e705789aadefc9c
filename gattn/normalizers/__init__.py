"""Normalisers turn the scores of a row into the weights of a row."""

from gattn.normalizers.base import Normalizer as Normalizer
from gattn.normalizers.base import Rows as Rows
from gattn.normalizers.sigmoid import Sigmoid as Sigmoid
from gattn.normalizers.sigmoid import Tanh as Tanh
from gattn.normalizers.softmax import Hard as Hard
from gattn.normalizers.softmax import Softmax as Softmax
from gattn.normalizers.softmax import TopK as TopK
from gattn.normalizers.sparse import Entmax15 as Entmax15
from gattn.normalizers.sparse import Sparsemax as Sparsemax

__all__ = [
    "Entmax15",
    "Hard",
    "Normalizer",
    "Rows",
    "Sigmoid",
    "Softmax",
    "Sparsemax",
    "Tanh",
    "TopK",
]

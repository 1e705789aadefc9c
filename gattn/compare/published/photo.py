"""Photo, 60/20/20: the tuned classic with the settings that are published for it."""

from __future__ import annotations

from gattn.compare.published.line import Line, Study

PHOTO = Study(
    asks="Does the tuned GAT reach what is published for it, and Polynormer with it?",
    lines=(
        Line(
            "tuned GAT, published settings",
            {
                "dataset": "photo",
                "model": "stack-gat",
                "options": (("normalize_features", True),),
                "epochs": 700,
                "patience": 150,
            },
            96.6,
            0.33,
            "Luo et al., 2024; Polynormer 96.46",
            96.6 - 0.33,
            seeds=3,
        ),
    ),
)

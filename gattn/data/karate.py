"""Zachary's karate club with the four communities of Kipf and Welling (2017, arXiv:1609.02907)."""

from __future__ import annotations

import torch

from gattn.data.task import Task


def karate() -> Task:
    """Loads the karate club, which needs no file.

    Training has the first member of every community. The other members, in the order of their
    numbers, are in turn for validation and for testing.
    """
    from torch_geometric.datasets import KarateClub

    club = KarateClub().get(0).to_dict()
    train = club["train_mask"]
    others = torch.nonzero(~train).flatten()
    val = torch.zeros_like(train).index_fill_(0, others[::2], True)
    return Task(
        name="karate",
        x=club["x"],
        edge_index=club["edge_index"],
        y=club["y"],
        train_mask=train[:, None],
        val_mask=val[:, None],
        test_mask=~(train | val)[:, None],
        metric="accuracy",
        num_classes=int(club["y"].max()) + 1,
    )

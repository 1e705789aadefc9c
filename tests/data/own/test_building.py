"""Options of a file of one's own, and the features that are made of it."""

import pytest
import torch

from gattn.data import DatasetError, load
from gattn.data.own.building import OwnOptions, degree_features


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": 3}, "label: found 3, expected text"),
        ({"undirected": "yes"}, "undirected: found 'yes', expected True or False"),
        ({"normalize_features": None}, "normalize_features: found None, expected True or False"),
        ({"metric": "mse"}, "metric: found 'mse', expected one of accuracy"),
        ({"train": 0.9, "val": 0.1}, "train, val: found 0.9 and 0.1, expected both above 0"),
        ({"train": 0}, "train, val: found 0.0 and 0.2"),
        ({"train": 2}, "train: found 2"),
        ({"num_splits": 0}, "num_splits: found 0, expected an integer >= 1"),
        ({"split_seed": -1}, "split_seed: found -1, expected an integer >= 0"),
        ({"normalize_features": True, "standardize_features": True}, "standardize_features: fou"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        OwnOptions(**options)


def test_degrees_are_told_in_classes_that_grow():
    degrees = [0, 1, 2, 3, 4, 5, 8, 9]
    target = torch.repeat_interleave(torch.arange(8), torch.tensor(degrees))
    x = degree_features(torch.stack([torch.zeros_like(target), target]), 8)
    assert x.argmax(dim=1).tolist() == [0, 1, 2, 3, 3, 4, 4, 5]
    assert x.sum(dim=1).eq(1).all()


@pytest.fixture
def path(tmp_path):
    x = torch.tensor([[1.0, 3.0], [0.0, 0.0], [2.0, 2.0]]).repeat(4, 1)
    y = torch.arange(12) % 2
    torch.save({"x": x, "y": y, "edge_index": torch.tensor([[0], [1]])}, tmp_path / "g.pt")
    return str(tmp_path / "g.pt")


def test_features_are_divided_by_their_sum(path):
    x = load(path, normalize_features=True).x
    assert x[:3].tolist() == [[0.25, 0.75], [0.0, 0.0], [0.5, 0.5]]


def test_features_are_standardized(path):
    x = load(path, standardize_features=True).x
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(2))
    torch.testing.assert_close(x.std(dim=0, correction=0), torch.ones(2))


def test_negative_features_have_no_shares(tmp_path):
    y = torch.arange(12) % 2
    x = torch.full((12, 1), -1.0)
    torch.save({"x": x, "y": y, "edge_index": torch.tensor([[0], [1]])}, tmp_path / "g.pt")
    with pytest.raises(DatasetError, match="found features below 0, expected none, for normalize"):
        load(str(tmp_path / "g.pt"), normalize_features=True)
    assert load(str(tmp_path / "g.pt"), standardize_features=True).x.eq(0).all()


def test_an_area_needs_two_classes(tmp_path):
    y = torch.arange(12) % 3
    torch.save({"y": y, "edge_index": torch.tensor([[0], [1]])}, tmp_path / "g.pt")
    with pytest.raises(DatasetError, match="y: found 3 classes, expected 2 for roc_auc"):
        load(str(tmp_path / "g.pt"), metric="roc_auc")

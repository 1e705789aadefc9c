"""Which values are classes, in which order, and which are none."""

import pytest
import torch

from gattn.data import DatasetError
from gattn.data.own.graph import OwnGraph
from gattn.data.own.labels import classes


def found(labels):
    edges = torch.empty(2, 0, dtype=torch.int64)
    return classes(OwnGraph("file", edges, labels, "y", None, None, True))


@pytest.mark.parametrize(
    ("labels", "y", "names"),
    [
        ([0, 1, 0], [0, 1, 0], [0, 1]),
        (["10", "9", "10"], [1, 0, 1], [9, 10]),
        (["b", "a", "b"], [1, 0, 1], ["a", "b"]),
        ([True, False, True], [1, 0, 1], [0, 1]),
        (["1.0", "2.0", "1"], [0, 1, 0], [1, 2]),
        (["a", "1", "a"], [1, 0, 1], ["1", "a"]),
        (["1.5", "a", "a"], [0, 1, 1], ["1.5", "a"]),
    ],
)
def test_numbers_by_size_and_texts_by_the_alphabet(labels, y, names):
    numbers, labelled, found_names = found(labels)
    assert (numbers.tolist(), found_names) == (y, names)
    assert labelled.all()


@pytest.mark.parametrize("nothing", [None, "", " ", "nan", float("nan"), -1, "-1", "None"])
@pytest.mark.parametrize("labels", [[3, 5, 5], ["x", "y", "y"]])
def test_nodes_may_have_no_label(labels, nothing):
    numbers, labelled, _ = found([*labels, nothing])
    assert numbers.tolist() == [0, 1, 1, 0]
    assert labelled.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "found 0 classes (none), expected at least 2"),
        ([1, 1], "found 1 classes (1), expected at least 2"),
        ([0.5, 1.5, 0.5], "found the label 0.5, expected classes"),
        (["0.5", "1", "1"], "found the label 0.5, expected classes"),
        (list(range(2000)) * 2, "found 2,000 distinct labels, expected at most 1,000 classes"),
        (["a", "b", "c"], "found a label of its own for each of 3 nodes (a, b, c), expected cl"),
    ],
)
def test_what_is_no_class_is_refused(labels, message):
    with pytest.raises(DatasetError) as caught:
        found(labels)
    assert str(caught.value).startswith(f"file: y: {message}")

"""Metrics against pair counting, loops over classes, and examples worked by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from gattn.metrics import (
    BETTER_MORE,
    METRICS,
    accuracy,
    average_precision,
    calibration_error,
    evaluate,
    log_loss,
    macro_f1,
    macro_recall,
    roc_auc,
)

# Six nodes, three classes; predicted 0 0 1 2 2 0 against 0 1 1 2 0 0.
LOGITS = torch.tensor(
    [[3.0, 1, 0], [2, 1, 0], [0, 5, 1], [0, 1, 2], [1, 0, 4], [9, 0, 0]], dtype=torch.float64
)
Y = torch.tensor([0, 1, 1, 2, 0, 0])


def pair_counting_auc(scores, y):
    """Count pairs one by one: 1 where class 1 is above class 0, 1/2 where they are equal."""
    ones = [s for s, label in zip(scores, y, strict=True) if label == 1]
    zeros = [s for s, label in zip(scores, y, strict=True) if label == 0]
    points = [1.0 if a > b else 0.5 if a == b else 0.0 for a in ones for b in zeros]
    return sum(points) / len(points)


def loop_recall_and_f1(predicted, y):
    recalls, f1s = [], []
    for label in set(y) | set(predicted):
        hits = sum(p == t == label for p, t in zip(predicted, y, strict=True))
        precision = hits / predicted.count(label) if label in predicted else 0.0
        recall = hits / y.count(label) if label in y else 0.0
        f1s.append(2 * precision * recall / (precision + recall) if hits else 0.0)
        if label in y:
            recalls.append(recall)
    return sum(recalls) / len(recalls), sum(f1s) / len(f1s)


def test_worked_example():
    assert accuracy(LOGITS, Y) == pytest.approx(4 / 6)
    assert macro_recall(LOGITS, Y) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert macro_f1(LOGITS, Y) == pytest.approx((2 / 3 + 2 / 3 + 2 / 3) / 3)


def test_worked_auc_with_a_tie():
    scores = torch.tensor([[0.1], [0.4], [0.4], [0.8]])
    assert roc_auc(scores, torch.tensor([0, 0, 1, 1])) == pytest.approx((1 + 1 + 1 + 0.5) / 4)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=60))
def test_auc_counts_pairs(nodes):
    scores, y = [float(s) for s, _ in nodes], [int(label) for _, label in nodes]
    if len(set(y)) < 2:
        y[0] = 1 - y[0]
    one_logit, labels = torch.tensor(scores).unsqueeze(1), torch.tensor(y)
    two_logits = torch.cat([torch.ones_like(one_logit), one_logit + 1], dim=1)
    expected = pair_counting_auc(scores, y)
    assert roc_auc(one_logit, labels) == pytest.approx(expected, abs=1e-12)
    assert roc_auc(two_logits, labels) == pytest.approx(expected, abs=1e-12)
    assert roc_auc(-one_logit, labels) == pytest.approx(1 - expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_macro_metrics_loop_over_classes(nodes):
    predicted, y = [p for p, _ in nodes], [t for _, t in nodes]
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), 4).float()
    recall, f1 = loop_recall_and_f1(predicted, y)
    assert macro_recall(logits, torch.tensor(y)) == pytest.approx(recall, abs=1e-12)
    assert macro_f1(logits, torch.tensor(y)) == pytest.approx(f1, abs=1e-12)


def test_auc_keeps_scores_that_float32_would_merge():
    logits = torch.tensor([[0.0, 1e8], [1.0, 1e8]])
    assert roc_auc(logits, torch.tensor([1, 0])) == 1.0


def test_one_column_is_the_logit_of_class_one():
    logits, y = torch.tensor([[-1.0], [2.0], [3.0]]), torch.tensor([0, 1, 0])
    assert accuracy(logits, y) == pytest.approx(2 / 3)
    assert macro_recall(logits, y) == pytest.approx((1 / 2 + 1) / 2)


def test_evaluate_leaves_out_what_is_not_defined():
    of_any = {"accuracy", "macro_f1", "macro_recall", "log_loss", "calibration_error"}
    assert set(evaluate(LOGITS, Y)) == of_any
    two = torch.eye(2)
    assert set(evaluate(two, torch.tensor([0, 1]))) == set(METRICS)
    assert "roc_auc" not in evaluate(two, torch.tensor([1, 1]))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("logits", "y", "message"),
    [
        (torch.tensor([[0.0, math.nan]]), torch.tensor([0]), "logits: found 1 NaN"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), "y: found no nodes"),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.long), "logits: found shape"),
        (torch.zeros(2, 2), torch.tensor([0, 2]), "y: found labels from 0 to 2"),
    ],
)
def test_bad_input_is_named(name, logits, y, message):
    with pytest.raises(ValueError, match=message):
        METRICS[name](logits, y)


@pytest.mark.parametrize("label", [0, 1])
def test_auc_needs_both_classes(label):
    with pytest.raises(ValueError, match="expected both for roc_auc"):
        roc_auc(torch.zeros(3, 2), torch.full((3,), label))


def test_auc_needs_two_classes():
    with pytest.raises(ValueError, match="found 3 classes"):
        roc_auc(LOGITS, Y)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=60))
def test_average_precision_is_that_of_sklearn(nodes):
    scores, y = [float(s) for s, _ in nodes], [int(label) for _, label in nodes]
    y[0] = 1
    logits, labels = torch.tensor(scores).unsqueeze(1), torch.tensor(y)
    expected = sklearn.average_precision_score(y, scores)
    assert average_precision(logits, labels) == pytest.approx(expected, abs=1e-12)
    wide = torch.cat([torch.ones_like(logits), logits + 1], dim=1)
    assert average_precision(wide, labels) == pytest.approx(expected, abs=1e-12)


def test_average_precision_needs_class_one_of_two():
    with pytest.raises(ValueError, match="found 0 nodes of class 1"):
        average_precision(torch.zeros(2, 2), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="found 3 classes, expected 2 for average_precision"):
        average_precision(LOGITS, Y)


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_log_loss_is_that_of_sklearn(classes):
    torch.manual_seed(classes)
    logits, y = torch.randn(40, classes) * 3, torch.arange(40) % max(classes, 2)
    wide = torch.cat([torch.zeros(40, 1), logits], dim=1) if classes == 1 else logits
    probability = wide.double().softmax(1)
    expected = sklearn.log_loss(y.numpy(), probability.numpy())
    assert log_loss(logits, y) == pytest.approx(expected, rel=1e-9)
    assert log_loss(logits * 1e4, y) >= 0  # no probability of zero makes it infinite


def test_calibration_error_in_a_loop_over_bins():
    torch.manual_seed(0)
    logits, y = torch.randn(200, 3) * 2, torch.randint(3, (200,))
    confidence, predicted = logits.double().softmax(1).max(1)
    total = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            hits = (predicted[inside] == y[inside]).double().mean()
            total += inside.double().mean() * (hits - confidence[inside].mean()).abs()
    assert calibration_error(logits, y) == pytest.approx(float(total), abs=1e-12)
    certain = torch.tensor([[50.0], [-50.0]])
    assert calibration_error(certain, torch.tensor([1, 0])) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(certain, torch.tensor([0, 0])) == pytest.approx(0.5)


def test_tasks_are_judged_by_what_is_better_the_more():
    good, bad = torch.tensor([[-9.0], [9.0]]), torch.tensor([[9.0], [-9.0]])
    y = torch.tensor([0, 1])
    for name, metric in METRICS.items():
        assert (metric(good, y) > metric(bad, y)) == (name in BETTER_MORE)

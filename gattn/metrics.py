"""Metrics of node classification, from logits and labels to one number between 0 and 1.

A metric is called as `metric(logits, y)`: `logits` is `[n, K]` with one column per class (or one
column, the logit of class 1 against class 0), `y` is `[n]`. `METRICS` names them for tasks and the
command line.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Metric = Callable[[Tensor, Tensor], float]


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Return the share of nodes whose class is predicted correctly.

    Args:
        logits: scores of the classes, `[n, K]`, or `[n, 1]` for two classes.
        y: classes, `[n]`.

    Raises:
        ValueError: no nodes, a shape that does not fit, a NaN logit, a label out of range.
    """
    _check(logits, y)
    return (_predicted(logits) == y).double().mean().item()


def macro_f1(logits: Tensor, y: Tensor) -> float:
    """Return the unweighted mean over classes of F1 = 2 hits / (true + predicted).

    A class that neither occurs in `y` nor is predicted has no F1 and is left out of the mean.

    Args:
        logits: scores of the classes, `[n, K]`, or `[n, 1]` for two classes.
        y: classes, `[n]`.

    Raises:
        ValueError: no nodes, a shape that does not fit, a NaN logit, a label out of range.
    """
    hits, true, predicted = _counts(logits, y)
    seen = true + predicted > 0
    return (2 * hits[seen] / (true + predicted)[seen]).mean().item()


def macro_recall(logits: Tensor, y: Tensor) -> float:
    """Return the unweighted mean of hits / true over the classes in `y` (the balanced accuracy).

    A class that does not occur in `y` has no recall and is left out of the mean.

    Args:
        logits: scores of the classes, `[n, K]`, or `[n, 1]` for two classes.
        y: classes, `[n]`.

    Raises:
        ValueError: no nodes, a shape that does not fit, a NaN logit, a label out of range.
    """
    hits, true, _ = _counts(logits, y)
    seen = true > 0
    return (hits[seen] / true[seen]).mean().item()


def roc_auc(logits: Tensor, y: Tensor) -> float:
    """Return the probability that a node of class 1 scores above one of class 0.

    Ties count one half. With R the sum of the ranks of the P nodes of class 1 among all n (tied
    scores share their mean rank), AUC = (R - P (P + 1) / 2) / (P (n - P)): the Mann-Whitney
    statistic, O(n log n).

    Args:
        logits: `[n, 2]` (scored by the difference of the two) or `[n, 1]`.
        y: classes 0 and 1, `[n]`; both must occur.

    Raises:
        ValueError: more than two classes, or a class without nodes, or what every metric refuses.
    """
    _check(logits, y)
    if logits.size(1) > 2:
        raise ValueError(f"logits: found {logits.size(1)} classes, expected 2 for roc_auc")
    positives = int(y.sum())
    negatives = y.numel() - positives
    if positives == 0 or negatives == 0:
        raise ValueError(
            f"y: found {negatives} nodes of class 0 and {positives} of class 1, "
            "expected both for roc_auc"
        )
    scores = logits.double()
    ranks = _mean_ranks(scores[:, 1] - scores[:, 0] if logits.size(1) == 2 else scores[:, 0])
    rank_sum = ranks[y == 1].sum().item()
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "macro_recall": macro_recall,
    "roc_auc": roc_auc,
}


def evaluate(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Return every metric that is defined for these nodes, by name.

    ROC AUC is left out unless there are two classes and both occur.

    Args:
        logits: scores of the classes, `[n, K]`, or `[n, 1]` for two classes.
        y: classes, `[n]`.
    """
    names = [name for name in METRICS if name != "roc_auc"]
    if logits.size(1) <= 2 and bool((y == 0).any()) and bool((y == 1).any()):
        names.append("roc_auc")
    return {name: METRICS[name](logits, y) for name in names}


def _check(logits: Tensor, y: Tensor) -> None:
    if logits.dim() != 2 or y.dim() != 1 or logits.size(0) != y.numel():
        found = f"{tuple(logits.shape)} with y {tuple(y.shape)}"
        raise ValueError(f"logits: found shape {found}, expected [n, K] with y [n]")
    if y.numel() == 0:
        raise ValueError(
            "y: found no nodes, expected at least one (is the mask of this split empty?)"
        )
    if bool(logits.isnan().any()):
        raise ValueError(f"logits: found {int(logits.isnan().sum())} NaN, expected none")
    classes = _num_classes(logits)
    if int(y.min()) < 0 or int(y.max()) >= classes:
        found = f"labels from {int(y.min())} to {int(y.max())}"
        raise ValueError(f"y: found {found}, expected 0 <= label < {classes} = number of classes")


def _num_classes(logits: Tensor) -> int:
    return max(logits.size(1), 2)


def _predicted(logits: Tensor) -> Tensor:
    return (logits[:, 0] > 0).long() if logits.size(1) == 1 else logits.argmax(dim=1)


def _counts(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return hits, true and predicted nodes of every class, each `[K]` float64."""
    _check(logits, y)
    classes, predicted = _num_classes(logits), _predicted(logits)
    hits = torch.bincount(y[predicted == y], minlength=classes).double()
    true = torch.bincount(y, minlength=classes).double()
    return hits, true, torch.bincount(predicted, minlength=classes).double()


def _mean_ranks(scores: Tensor) -> Tensor:
    """Return the rank of every score, from 1, the mean rank where scores are equal."""
    _, place, count = scores.unique(sorted=True, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count - 1).double() / 2)[place]

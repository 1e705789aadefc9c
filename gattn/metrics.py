"""Metrics of node classification, from logits and labels to one number.

It is between 0 and 1 and better the larger it is, but for `log_loss` (from 0 on) and
`calibration_error`, which are better the smaller they are: a task is not judged by those.

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
    scores = _scores(logits, y, "roc_auc")
    positives = int(y.sum())
    negatives = y.numel() - positives
    if positives == 0 or negatives == 0:
        raise ValueError(
            f"y: found {negatives} nodes of class 0 and {positives} of class 1, "
            "expected both for roc_auc"
        )
    ranks = _mean_ranks(scores)
    rank_sum = ranks[y == 1].sum().item()
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(logits: Tensor, y: Tensor) -> float:
    r"""Return the area under the steps of precision over recall, by falling score.

    $$ \sum_t (R_t - R_{t-1}) P_t $$

    over the different scores t, of which nodes at or above t count as class 1.

    Args:
        logits: `[n, 2]` (scored by the difference of the two) or `[n, 1]`.
        y: classes 0 and 1, `[n]`; class 1 must occur.

    Raises:
        ValueError: more than two classes, no node of class 1, or what every metric refuses.
    """
    scores = _scores(logits, y, "average_precision")
    positives = int(y.sum())
    if positives == 0:
        raise ValueError("y: found 0 nodes of class 1, expected at least one for average_precision")
    order = scores.argsort(descending=True)
    hits = y[order].double().cumsum(0)
    _, count = (-scores).unique(sorted=True, return_counts=True)
    last = count.cumsum(0) - 1
    precision, recall = hits[last] / (last + 1).double(), hits[last] / positives
    steps = torch.cat([recall[:1], recall.diff()])
    return (precision * steps).sum().item()


def log_loss(logits: Tensor, y: Tensor) -> float:
    """Return the mean of -log p of the true class, in nats.

    Args:
        logits: scores of the classes, `[n, K]`, or `[n, 1]` for two classes.
        y: classes, `[n]`.

    Raises:
        ValueError: no nodes, a shape that does not fit, a NaN logit, a label out of range.
    """
    _check(logits, y)
    return -_wide(logits).log_softmax(1).gather(1, y[:, None]).mean().item()


def calibration_error(logits: Tensor, y: Tensor, bins: int = 15) -> float:
    r"""Return the expected calibration error: how far confidence and accuracy are apart.

    $$ \sum_b \frac{n_b}{n} |\mathrm{accuracy}_b - \mathrm{confidence}_b| $$

    over bins of equal width of the confidence, the largest probability of a node.

    Args:
        logits: scores of the classes, `[n, K]`, or `[n, 1]` for two classes.
        y: classes, `[n]`.
        bins: how many; bin b of B holds confidences in (b / B, (b + 1) / B].

    Raises:
        ValueError: no nodes, a shape that does not fit, a NaN logit, a label out of range.

    Guo et al., "On calibration of modern neural networks", 2017.
    """
    _check(logits, y)
    confidence, predicted = _wide(logits).softmax(1).max(1)
    place = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    gap = (predicted == y).double() - confidence
    return gap.new_zeros(bins).index_add(0, place, gap).abs().sum().item() / y.numel()


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "macro_recall": macro_recall,
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "calibration_error": calibration_error,
}

BETTER_MORE = tuple(name for name in METRICS if name not in ("log_loss", "calibration_error"))
"""Metrics by which a task can be judged."""

OF_TWO = ("roc_auc", "average_precision")
"""Metrics of two classes, both of which have to occur."""


def evaluate(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Return every metric that is defined for these nodes, by name.

    ROC AUC and average precision are left out unless there are two classes and both occur.

    Args:
        logits: scores of the classes, `[n, K]`, or `[n, 1]` for two classes.
        y: classes, `[n]`.
    """
    both = logits.size(1) <= 2 and bool((y == 0).any()) and bool((y == 1).any())
    names = [name for name in METRICS if both or name not in OF_TWO]
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


def _scores(logits: Tensor, y: Tensor, name: str) -> Tensor:
    """How much each node looks like class 1 of two, `[n]` float64."""
    _check(logits, y)
    if logits.size(1) > 2:
        raise ValueError(f"logits: found {logits.size(1)} classes, expected 2 for {name}")
    scores = logits.double()
    return scores[:, 1] - scores[:, 0] if logits.size(1) == 2 else scores[:, 0]


def _wide(logits: Tensor) -> Tensor:
    """One column for each class, `[n, K]` float64."""
    wide = logits.double()
    return torch.cat([torch.zeros_like(wide), wide], dim=1) if wide.size(1) == 1 else wide


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

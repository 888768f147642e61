"""Metrics of the order in which rows are ranked: of the positive class, or the mean of one class versus the rest.

NaN where all rows are of one class. Rows of equal score are one step of the curve. On resamples of many rows the
ranking is cut into at most `Weights.steps` steps, about as many rows and positive rows in each, so that a thousand
resamples cost a thousand sums a step and not a row; the bootstrap takes the difference to the exact value off.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.metrics.metric import CLASSES, Answers, Metric
from components.shared.metrics.weights import Floats, Indices, Weights


def roc_auc(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Share of the pairs of a row of the class and another that are in the right order; ties count half."""
    return _mean_over_classes(_area_under_roc, target, answers, weights=weights)


def pr_auc(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Average precision: the mean over the rows of the class of the precision down to each."""
    return _mean_over_classes(_average_precision, target, answers, weights=weights)


def _area_under_roc(hits: Floats, others: Floats) -> Floats:
    lower = others.sum(axis=0) - np.cumsum(others, axis=0) + others / 2
    return np.asarray((hits * lower).sum(axis=0) / (hits.sum(axis=0) * others.sum(axis=0)), dtype=np.float64)


def _average_precision(hits: Floats, others: Floats) -> Floats:
    found = np.cumsum(hits, axis=0)
    seen = found + np.cumsum(others, axis=0)
    precision = np.where(seen > 0, found / seen, 0.0)
    told = others.sum(axis=0) > 0
    return np.where(told, (hits * precision).sum(axis=0) / hits.sum(axis=0), np.nan)


def _mean_over_classes(
    area: Callable[[Floats, Floats], Floats], target: NDArray[Any], answers: Answers, *, weights: Weights
) -> Floats:
    classes = [1] if answers.classes == 2 else range(answers.classes)
    areas = np.array(
        [area(*_curve(target == index, answers.probabilities[:, index], weights=weights)) for index in classes]
    )
    told = np.isfinite(areas)
    return np.asarray(np.where(told, areas, 0.0).sum(axis=0) / told.sum(axis=0), dtype=np.float64)


def _curve(positive: NDArray[np.bool_], scores: Floats, *, weights: Weights) -> tuple[Floats, Floats]:
    """Weighted rows of the class and others by step, highest score first; each of shape (steps, resamples)."""
    steps = _steps(positive, scores, most=weights.steps)
    count = int(steps.max(initial=0)) + 1
    return weights.sums(steps, count, positive), weights.sums(steps, count, ~positive)


def _steps(positive: NDArray[np.bool_], scores: Floats, *, most: int) -> Indices:
    """The step of the curve that each row is on, from 0 for the highest scores."""
    distinct, steps = np.unique(-scores, return_inverse=True)
    if not most or len(distinct) <= most:
        return np.asarray(steps, dtype=np.int64)
    # Half of the steps go by all rows, half by the positive ones: rare positives among the highest scores are told
    # apart as well as many are.
    share = np.bincount(steps, 0.5 / len(scores) + 0.5 * positive / max(1, positive.sum()))
    middle = np.cumsum(share) - share / 2
    return np.minimum(middle * most, most - 1).astype(np.int64)[steps]


METRICS = (
    Metric("roc_auc", "ROC AUC", roc_auc, CLASSES, margin=0.005),
    Metric("pr_auc", "PR AUC", pr_auc, CLASSES, margin=0.01),
)

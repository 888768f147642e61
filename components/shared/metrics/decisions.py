"""Metrics of the class answered: how often it is right, overall and by class.

Precision, recall and F1 are those of the positive class when there are two, NaN without a positive row, and means over
the classes among the rows when there are more. What the model fails to do is the worst value, not NaN: precision is 0
when there are positive rows and none is answered.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.metrics.metric import CLASSES, Answers, Metric
from components.shared.metrics.weights import Floats, Weights


def accuracy(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Share of the rows answered rightly."""
    return weights.sum(target == answers.chosen) / weights.sum()


def balanced_accuracy(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Mean over the classes among the rows of the share answered rightly; NaN where all rows are of one class."""
    true, _, right = _counts(target, answers, weights)
    present = true > 0
    shares = np.where(present, right / true, 0.0).sum(axis=0) / present.sum(axis=0)
    return np.where(present.sum(axis=0) > 1, shares, np.nan)


def precision(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Share of those answered with a class that are of it."""
    true, answered, right = _counts(target, answers, weights)
    return _of_positive_or_mean(np.where(answered > 0, right / answered, 0.0), true)


def recall(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Share of those of a class that are answered with it."""
    true, _, right = _counts(target, answers, weights)
    return _of_positive_or_mean(right / true, true)


def f1(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Harmonic mean of precision and recall."""
    true, answered, right = _counts(target, answers, weights)
    return _of_positive_or_mean(2 * right / (true + answered), true)


def _counts(target: NDArray[Any], answers: Answers, weights: Weights) -> tuple[Floats, Floats, Floats]:
    """Weighted rows of each class, answered with it, and both; each of shape (classes, resamples)."""
    classes, chosen = answers.classes, answers.chosen

    def make() -> tuple[Floats, Floats, Floats]:
        right = weights.sums(target, classes, target == chosen)
        return weights.sums(target, classes), weights.sums(chosen, classes), right

    return weights.shared("counts of classes", (target, answers), make)


def _of_positive_or_mean(values: Floats, true: Floats) -> Floats:
    present = true > 0
    if len(values) == 2:
        return np.where(present[1], values[1], np.nan)
    return np.asarray(np.where(present, values, 0.0).sum(axis=0) / present.sum(axis=0), dtype=np.float64)


METRICS = (
    Metric("accuracy", "Accuracy", accuracy, CLASSES, margin=0.005, percent=True),
    Metric("balanced_accuracy", "Balanced accuracy", balanced_accuracy, CLASSES, margin=0.01, percent=True),
    Metric("precision", "Precision", precision, CLASSES, margin=0.01, percent=True),
    Metric("recall", "Recall", recall, CLASSES, margin=0.01, percent=True),
    Metric("f1", "F1", f1, CLASSES, margin=0.01, percent=True),
)

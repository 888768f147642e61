"""Metrics of the probabilities themselves: weighted means of a loss that each row has."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.metrics.metric import CLASSES, Answers, Metric
from components.shared.metrics.weights import Floats, Weights


def log_loss(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Mean negative logarithm of the probability of the row's own class."""
    return weights.sum(-np.log(_of_own_class(target, answers))) / weights.sum()


def brier(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Mean squared error of the positive class's probability; of more classes, of the vector of probabilities."""
    squared = (answers.probabilities**2).sum(axis=1) - 2 * _of_own_class(target, answers) + 1
    # With two classes both components err alike; the positive one's counts.
    return weights.sum(squared / (2 if answers.classes == 2 else 1)) / weights.sum()


def _of_own_class(target: NDArray[Any], answers: Answers) -> Floats:
    return np.asarray(answers.probabilities[np.arange(len(target)), target], dtype=np.float64)


METRICS = (
    Metric("log_loss", "Log loss", log_loss, CLASSES, margin=0.01, lower_is_better=True, relative=True),
    Metric("brier", "Brier score", brier, CLASSES, margin=0.01, lower_is_better=True, relative=True),
)

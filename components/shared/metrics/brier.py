"""Brier score (Brier, 1950), the weighted mean over the rows."""

from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.own_class import of_true_class
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def brier(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Mean squared error of the positive class's probability; of more classes, of the vector of probabilities."""
    squared = (answers.probabilities**2).sum(axis=1) - 2 * of_true_class(target, answers) + 1
    # With two classes both components err alike; the positive one's counts.
    return weights.sum(squared / (2 if answers.classes == 2 else 1)) / weights.sum()


METRIC = Metric("brier", "Brier score", brier, margin=0.01, lower_is_better=True, relative=True)

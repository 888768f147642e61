"""Recall: of two classes that of the positive one, NaN without a positive row; else the mean over the classes."""

from components.shared.metrics.class_counts import counts_of_classes, of_positive_or_mean
from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def recall(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Share of those of a class that are answered with it."""
    true, _, right = counts_of_classes(target, answers, weights)
    return of_positive_or_mean(right / true, true)


METRIC = Metric("recall", "Recall", recall, margin=0.01, percent=True, threshold_by="f1")

"""Precision: of two classes that of the positive one, NaN without a positive row; else the mean over the classes."""

import numpy as np

from components.shared.metrics.class_counts import counts_of_classes, of_positive_or_mean
from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def precision(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Share of those answered with a class that are of it."""
    true, answered, right = counts_of_classes(target, answers, weights)
    return of_positive_or_mean(np.where(answered > 0, right / answered, 0.0), true)


METRIC = Metric("precision", "Precision", precision, margin=0.01, percent=True, threshold_by="f1")

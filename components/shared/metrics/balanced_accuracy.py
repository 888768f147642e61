"""Balanced accuracy (Brodersen et al., 2010): how often it is right, each class counting the same."""

import numpy as np

from components.shared.metrics.class_counts import counts_of_classes
from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def balanced_accuracy(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Mean over the classes among the rows of the share answered rightly; NaN where all rows are of one class."""
    true, _, right = counts_of_classes(target, answers, weights)
    present = true > 0
    shares = np.where(present, right / true, 0.0).sum(axis=0) / present.sum(axis=0)
    return np.where(present.sum(axis=0) > 1, shares, np.nan)


METRIC = Metric(
    "balanced_accuracy",
    "Balanced accuracy",
    balanced_accuracy,
    margin=0.01,
    percent=True,
    threshold_by="balanced_accuracy",
)

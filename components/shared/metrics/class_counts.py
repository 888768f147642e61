"""What metrics of the class answered are made of.

Precision, recall and F1 are those of the positive class when there are two, NaN without a positive row, and means over
the classes among the rows when there are more. What the model fails to do is the worst value, not NaN: precision is 0
when there are positive rows and none is answered.
"""

import numpy as np

from components.shared.metrics.metric import Answers
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def counts_of_classes(target: TargetArray, answers: Answers, weights: Weights) -> tuple[Floats, Floats, Floats]:
    """Weighted rows of each class, answered with it, and both; each of shape (classes, resamples)."""
    classes, chosen = answers.classes, answers.chosen

    def make() -> tuple[Floats, Floats, Floats]:
        classes_of_rows = np.asarray(target, dtype=np.int64)
        right = weights.sums(classes_of_rows, classes, target == chosen)
        return weights.sums(classes_of_rows, classes), weights.sums(chosen, classes), right

    return weights.shared("counts of classes", (target, answers), make)


def of_positive_or_mean(values: Floats, true: Floats) -> Floats:
    """The positive class's value when there are two classes, else the mean over those that have rows.

    Args:
        values: Of each class, shape (classes, resamples).
        true: Weighted rows of each class, shape (classes, resamples).
    """
    present = true > 0
    if len(values) == 2:
        return np.where(present[1], values[1], np.nan)
    return np.asarray(np.where(present, values, 0.0).sum(axis=0) / present.sum(axis=0), dtype=np.float64)

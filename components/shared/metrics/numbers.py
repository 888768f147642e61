"""What metrics of predicted numbers are made of."""

import numpy as np

from components.shared.metrics.metric import Answers
from components.shared.metrics.weights import Floats
from components.shared.tasks.arrays import TargetArray


def errors(target: TargetArray, answers: Answers) -> Floats:
    """Prediction minus truth, shape (rows,)."""
    return np.asarray(answers.scores.astype(np.float64) - target, dtype=np.float64)


def absolute_error(target: Floats, predicted: Floats) -> Floats:
    """A loss of each row, shape (rows,)."""
    return np.abs(predicted - target)


def squared_error(target: Floats, predicted: Floats) -> Floats:
    """A loss of each row, shape (rows,)."""
    return np.asarray((predicted - target) ** 2, dtype=np.float64)


def zero_targets(target: TargetArray) -> int:
    """Rows that MAPE leaves out."""
    return int(np.count_nonzero(target == 0))

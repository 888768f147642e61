"""Mean absolute error."""

import numpy as np

from components.shared.metrics.metric import Answers, Metric, RowLoss
from components.shared.metrics.numbers import absolute_error, errors
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def mae(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Mean absolute error, in the target's unit."""
    return weights.sum(np.abs(errors(target, answers))) / weights.sum()


METRIC = Metric(
    "mae",
    "MAE",
    mae,
    margin=0.01,
    lower_is_better=True,
    relative=True,
    best_constant="median",
    row_loss=RowLoss(absolute_error),
)

"""Root mean squared error."""

import numpy as np

from components.shared.metrics.metric import Answers, Metric, RowLoss
from components.shared.metrics.numbers import errors, squared_error
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def rmse(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Root of the mean squared error, in the target's unit."""
    return np.sqrt(weights.sum(errors(target, answers) ** 2) / weights.sum())


METRIC = Metric(
    "rmse",
    "RMSE",
    rmse,
    margin=0.01,
    lower_is_better=True,
    relative=True,
    row_loss=RowLoss(squared_error, of_mean=lambda mean, *_: np.sqrt(mean)),
)

"""Mean absolute percentage error."""

import numpy as np

from components.shared.metrics.metric import Answers, Metric, RowLoss
from components.shared.metrics.numbers import absolute_error, errors
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def mape(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Mean absolute error as a share of the true value; rows with target 0 are left out (`zero_targets`)."""
    some = target != 0
    shares = np.where(some, np.abs(errors(target, answers)) / np.where(some, np.abs(target), 1.0), 0.0)
    return weights.sum(shares) / weights.sum(some)


def _share(target: Floats, predicted: Floats) -> Floats:
    """The loss of rows with another target than 0."""
    return absolute_error(target, predicted) / np.abs(target)


METRIC = Metric(
    "mape",
    "MAPE",
    mape,
    margin=0.01,
    lower_is_better=True,
    relative=True,
    percent=True,
    best_constant="median",
    row_loss=RowLoss(_share, counts=lambda target: target != 0),
)

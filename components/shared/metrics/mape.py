"""Mean absolute percentage error."""

import numpy as np

from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.numbers import errors
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def mape(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Mean absolute error as a share of the true value; rows with target 0 are left out (`zero_targets`)."""
    some = target != 0
    shares = np.where(some, np.abs(errors(target, answers)) / np.where(some, np.abs(target), 1.0), 0.0)
    return weights.sum(shares) / weights.sum(some)


METRIC = Metric("mape", "MAPE", mape, margin=0.01, lower_is_better=True, relative=True, percent=True)

"""Log loss, the weighted mean over the rows."""

import numpy as np

from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.own_class import of_true_class
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def log_loss(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Mean negative logarithm of the probability of the row's own class."""
    return weights.sum(-np.log(of_true_class(target, answers))) / weights.sum()


METRIC = Metric("log_loss", "Log loss", log_loss, margin=0.01, lower_is_better=True, relative=True)

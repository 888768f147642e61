"""Metrics of predicted numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.metrics.metric import NUMBERS, Answers, Metric
from components.shared.metrics.weights import Floats, Weights


def mae(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Mean absolute error, in the target's unit."""
    return weights.sum(np.abs(_errors(target, answers))) / weights.sum()


def rmse(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Root of the mean squared error, in the target's unit."""
    return np.sqrt(weights.sum(_errors(target, answers) ** 2) / weights.sum())


def r2(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Share of the target's variance that the predictions explain; NaN of a constant target."""
    centred = target - (target.mean() if len(target) else 0.0)  # for the sake of rounding: it changes no variance
    second = weights.sum(centred**2)
    spread = second - weights.sum(centred) ** 2 / weights.sum()
    explained = 1 - weights.sum(_errors(target, answers) ** 2) / spread
    # What rounding leaves of a constant target's variance is no variance.
    return np.where(spread > 1e-12 * second, explained, np.nan)


def mape(target: NDArray[Any], answers: Answers, weights: Weights) -> Floats:
    """Mean absolute error as a share of the true value; rows with target 0 are left out (`zero_targets`)."""
    some = target != 0
    shares = np.where(some, np.abs(_errors(target, answers)) / np.where(some, np.abs(target), 1.0), 0.0)
    return weights.sum(shares) / weights.sum(some)


def zero_targets(target: NDArray[Any]) -> int:
    """Rows that MAPE leaves out."""
    return int(np.count_nonzero(target == 0))


def _errors(target: NDArray[Any], answers: Answers) -> Floats:
    return np.asarray(answers.scores.astype(np.float64) - target, dtype=np.float64)


METRICS = (
    Metric("mae", "MAE", mae, NUMBERS, margin=0.01, lower_is_better=True, relative=True),
    Metric("rmse", "RMSE", rmse, NUMBERS, margin=0.01, lower_is_better=True, relative=True),
    Metric("r2", "R²", r2, NUMBERS, margin=0.01),
    Metric("mape", "MAPE", mape, NUMBERS, margin=0.01, lower_is_better=True, relative=True, percent=True),
)

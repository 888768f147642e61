"""R², the coefficient of determination."""

import numpy as np

from components.shared.metrics.metric import Answers, Metric, RowLoss
from components.shared.metrics.numbers import errors, squared_error
from components.shared.metrics.weights import Floats, Weights
from components.shared.tasks.arrays import TargetArray


def r2(target: TargetArray, answers: Answers, weights: Weights) -> Floats:
    """Share of the target's variance that the predictions explain; NaN of a constant target."""
    centred = target - (target.mean() if len(target) else 0.0)  # against rounding errors; the variance stays the same
    second = weights.sum(centred**2)
    spread = second - weights.sum(centred) ** 2 / weights.sum()
    explained = 1 - weights.sum(errors(target, answers) ** 2) / spread
    # A spread this small is the rounding error of a constant target.
    return np.where(spread > 1e-12 * second, explained, np.nan)


def _of_mean(mean: Floats, predicted: Floats, weights: Floats) -> Floats:
    """R² from the mean squared error, of predictions that are taken for unbiased."""
    explained = float(weights @ (predicted - weights @ predicted) ** 2)
    # Of predictions without a bias the target's variance is theirs and that of their errors together.
    return 1 - mean / (explained + mean)


METRIC = Metric("r2", "R²", r2, margin=0.01, row_loss=RowLoss(squared_error, of_mean=_of_mean))

"""R², the coefficient of determination."""

import numpy as np

from components.shared.metrics.metric import Answers, Metric
from components.shared.metrics.numbers import errors
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


METRIC = Metric("r2", "R²", r2, margin=0.01)

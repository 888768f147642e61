"""What metrics of predicted numbers are made of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.metrics.metric import Answers
from components.shared.metrics.weights import Floats


def errors(target: NDArray[Any], answers: Answers) -> Floats:
    """Prediction minus truth, shape (rows,)."""
    return np.asarray(answers.scores.astype(np.float64) - target, dtype=np.float64)


def zero_targets(target: NDArray[Any]) -> int:
    """Rows that MAPE leaves out."""
    return int(np.count_nonzero(target == 0))

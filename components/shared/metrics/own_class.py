"""What metrics of the probabilities themselves are made of: weighted means of a loss that each row has."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.metrics.metric import Answers
from components.shared.metrics.weights import Floats


def of_true_class(target: NDArray[Any], answers: Answers) -> Floats:
    """The probability of each row's own class, shape (rows,)."""
    return np.asarray(answers.probabilities[np.arange(len(target)), target], dtype=np.float64)

"""What metrics of the probabilities themselves are made of: weighted means of a loss that each row has."""

import numpy as np

from components.shared.metrics.metric import Answers
from components.shared.metrics.weights import Floats
from components.shared.tasks.arrays import TargetArray


def of_true_class(target: TargetArray, answers: Answers) -> Floats:
    """The probability of each row's own class, shape (rows,)."""
    return np.asarray(
        answers.probabilities[np.arange(len(target)), np.asarray(target, dtype=np.int64)], dtype=np.float64
    )

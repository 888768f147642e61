"""Types of the arrays that every kind of problem hands on: which of a type's forms it is, the task says."""

import numpy as np
from numpy.typing import NDArray

TargetArray = NDArray[np.int64] | NDArray[np.float64]  # class indices, or values; shape (rows,)
ScoreArray = NDArray[np.float32] | NDArray[np.float64]  # probabilities, shape (rows, classes), or values, (rows,)

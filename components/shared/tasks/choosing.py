"""Which class is answered, given probabilities."""

import numpy as np
from numpy.typing import NDArray

from components.shared.tasks.arrays import ScoreArray


def choose_classes(probabilities: ScoreArray, *, threshold: float = 0.5) -> NDArray[np.int64]:
    """Class index per row: the most probable one, or by the threshold on the positive class when there are two."""
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)

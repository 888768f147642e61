"""Scoring rows with one feature's values shuffled among them: the step of every permutation importance."""

import numpy as np
from numpy.typing import NDArray

from components.shared.package.scoring import Inputs, Scorer, score_rows
from components.shared.shapley import Indices, column, differ


def score_shuffled(
    scorer: Scorer, inputs: Inputs, feature: int, *, order: Indices, reference: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Predictions with one feature's values in another order; only rows whose value changes are scored again.

    Args:
        scorer: The model.
        inputs: The rows.
        feature: Index of the feature in `Schema.columns`.
        order: The row of which each row gets the value.
        reference: The predictions of the rows as they are, shape (rows, …).
    """
    values = column(inputs, feature)
    changed = np.flatnonzero(differ(values, values[order]))
    scores = reference.copy()
    if len(changed):
        some = inputs.rows(changed)
        column(some, feature)[:] = values[order][changed]
        scores[changed] = score_rows(scorer, some)
    return scores

"""How much the model uses each feature: what tells drift that matters from drift that does not.

It is found without labels, from the reference that travels with the version: how far the predictions move when the
values of a feature are shuffled among the rows. That is permutation importance (Breiman 2001; Fisher, Rudin and
Dominici 2019), with the mean absolute change of the prediction in place of the change of the loss.
"""

import numpy as np
import pandas as pd

from components.shared.frames import inputs
from components.shared.package.scoring import Scorer, score_rows
from components.shared.permutation import score_shuffled

_SHUFFLES = 3
_CELLS = 20_000_000  # rows × columns that are scored
_FEWEST_ROWS, _MOST_ROWS = 50, 2_000


def feature_importance(scorer: Scorer, reference: pd.DataFrame) -> dict[str, float]:
    """Share of all movement of the predictions that each feature causes; the shares add up to 1.

    Args:
        scorer: The version.
        reference: Rows of its input columns, as `frames.features` makes them; some are drawn when there are many.

    Returns:
        By name of the feature; the same share for each where none moves the predictions.
    """
    names = scorer.schema.columns
    most = int(np.clip(_CELLS // (_SHUFFLES * len(names) ** 2), _FEWEST_ROWS, _MOST_ROWS))
    drawn = reference if len(reference) <= most else reference.sample(most, random_state=0)
    rows = inputs(drawn, scorer.schema)
    scores = score_rows(scorer, rows)
    orders = [np.random.default_rng([0, index]).permutation(len(rows)) for index in range(_SHUFFLES)]

    def movement(feature: int) -> float:
        shuffled = [score_shuffled(scorer, rows, feature, order=order, reference=scores) for order in orders]
        return float(np.mean([np.abs(one - scores).mean() for one in shuffled]))

    moved = np.array([movement(feature) for feature in range(len(names))])
    total = float(moved.sum())
    shares = moved / total if total > 0 else np.full(len(names), 1 / len(names))
    return dict(zip(names, map(float, shares), strict=True))

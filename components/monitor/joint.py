"""Joint drift: whether a classifier can tell rows of the window from rows of the reference.

Columns may each look as before and yet belong together in another way, as when two of them are swapped for half of the
rows. A classifier sees that: trained on half of the rows of both, its area under the ROC curve on the other half is 0.5
when they are of one distribution (the classifier two-sample test, Lopez-Paz and Oquab 2017; compared with others by
Rabanser, Günnemann and Lipton, "Failing Loudly", 2019). The threshold is that of Evidently's domain classifier.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.shared.decisions.evidence import Estimate

Floats = NDArray[np.float64]

_MOST_ROWS = 4_000  # of each side
_FEWEST_ROWS = 40  # of each side: with fewer no half teaches anything
_TREES = 60
# So few rows are learned from soonest by one thread.
_PARAMETERS = {
    "objective": "binary",
    "num_leaves": 15,
    "num_threads": 1,
    "seed": 0,
    "deterministic": True,
    "verbose": -1,
}


@dataclass(frozen=True, slots=True)
class JointDrift:
    """What the classifier can tell.

    Attributes:
        auc: Its area under the ROC curve on rows it has not seen, with the 95 % interval.
        threshold: From where it is drift.
        drifted: Whether the value reaches the threshold and chance does not explain it.
    """

    auc: Estimate
    threshold: float
    drifted: bool


def joint_drift(
    reference: pd.DataFrame, current: pd.DataFrame, *, threshold: float, numeric: frozenset[str]
) -> JointDrift | None:
    """Train the classifier on half of the rows and judge it on the other half, and the other way around.

    Args:
        reference: Rows to compare with; some are drawn when there are many.
        current: The newest rows, with the same columns.
        threshold: The area under the ROC curve from where it is drift.
        numeric: Columns that are numbers; the others are categories.

    Returns:
        What it can tell; None with fewer than 40 rows on a side, or without columns.
    """
    windows = [frame if len(frame) <= _MOST_ROWS else frame.sample(_MOST_ROWS, random_state=0)
               for frame in (reference, current)]  # fmt: skip
    if min(map(len, windows)) < _FEWEST_ROWS or not len(reference.columns):
        return None
    rows = _encoded(pd.concat([frame[list(reference)] for frame in windows], ignore_index=True), numeric)
    side = np.repeat([0, 1], [len(frame) for frame in windows])
    half = np.random.default_rng(0).permutation(len(side)) % 2
    areas, variances = np.array([_judged(rows, side, test=half == part) for part in (0, 1)]).T
    area, error = float(areas.mean()), float(np.sqrt(variances.sum()) / 2)
    low, high = area - 1.96 * error, area + 1.96 * error
    return JointDrift(
        Estimate(value=area, low=max(0.0, low), high=min(1.0, high)), threshold, area >= threshold and low > 0.5
    )


def _encoded(frame: pd.DataFrame, numeric: frozenset[str]) -> Floats:
    """Numbers as they are and categories as ranks by frequency, shape (rows, columns); missing values are NaN."""
    columns = []
    for name in frame:
        if name in numeric:
            columns.append(frame[name].to_numpy(np.float64))
        else:
            ranks = frame[name].value_counts().rank(method="first")
            columns.append(frame[name].map(ranks).to_numpy(np.float64))
    return np.column_stack(columns)


def _judged(rows: Floats, side: NDArray[np.int64], *, test: NDArray[np.bool_]) -> tuple[float, float]:
    """Area under the ROC curve on the test rows of a classifier that learned from the others, and its variance."""
    import lightgbm

    known = lightgbm.Dataset(rows[~test], side[~test], free_raw_data=False)
    scores = np.asarray(lightgbm.train(_PARAMETERS, known, num_boost_round=_TREES).predict(rows[test]))
    return _area(scores[side[test] == 0], scores[side[test] == 1])


def _area(negatives: Floats, positives: Floats) -> tuple[float, float]:
    """Area under the ROC curve and its variance (DeLong, DeLong and Clarke-Pearson 1988), from placements.

    A placement is the share of the other side's scores that a score exceeds, ties counting half.
    """
    above = _placements(positives, negatives)
    below = 1 - _placements(negatives, positives)
    return float(above.mean()), float(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))


def _placements(scores: Floats, others: Floats) -> Floats:
    ordered = np.sort(others)
    left, right = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    return np.asarray((left + right) / 2 / len(ordered))

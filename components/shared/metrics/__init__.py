"""How good predictions are: the metrics by which models are chosen, judged and compared, and their curves.

Everywhere, `target` holds class indices (int64) or values (float64) of shape (rows,), as `frames.Part` does, and
`scores` holds probabilities of shape (rows, classes), the positive class last when there are two, or values of shape
(rows,). The values are scikit-learn's, weighted rows included. What the rows cannot tell is NaN, never a warning:
ranking metrics where all rows are of one class, precision, recall and F1 without a positive row, R² of a constant
target. Each metric is one function of target, answers and weights (`metric.Metric`); `table.TABLE` lists them.
"""

from components.shared.metrics.curves import (
    CalibrationBin,
    Curve,
    calibration,
    calibration_error,
    confusion,
    pr_curve,
    roc_curve,
)
from components.shared.metrics.metric import Answers, Metric, RowLoss, check_finite, normalise
from components.shared.metrics.numbers import zero_targets
from components.shared.metrics.table import (
    LABELS,
    TABLE,
    compute,
    gain,
    score,
)
from components.shared.metrics.weights import Weights

__all__ = [
    "LABELS",
    "TABLE",
    "Answers",
    "CalibrationBin",
    "Curve",
    "Metric",
    "RowLoss",
    "Weights",
    "calibration",
    "calibration_error",
    "check_finite",
    "compute",
    "confusion",
    "gain",
    "normalise",
    "pr_curve",
    "roc_curve",
    "score",
    "zero_targets",
]

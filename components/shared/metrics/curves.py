"""What is drawn of predictions: ROC and precision against recall, confusion, calibration; thinned to what is seen.

A curve of a million rows has a million points, and nobody sees more than some hundred. They are thinned along the
curve's own length: thinned by rows, a steep rise that few rows make would be lost.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve, in order; `thresholds` are the probabilities they belong to, all finite."""

    x: list[float]
    y: list[float]
    thresholds: list[float]


Weighting = NDArray[np.float64] | None


# Example, two classes: rows of class 0, 1, 1 are answered 1, 1, 0. As cells 0 * 2 + 1, 1 * 2 + 1 and 1 * 2 + 0 that is
# 1, 3, 2, so the counts are [[0, 1], [1, 1]].
def confusion(
    target: NDArray[np.int64], chosen: NDArray[np.int64], *, classes: int, weights: Weighting = None
) -> NDArray[np.float64]:
    """Rows, or sums of their weights, of shape (classes, classes): row is the true class, column the answered one."""
    counts = np.bincount(target * classes + chosen, weights=weights, minlength=classes * classes)
    return np.asarray(counts.reshape(classes, classes), dtype=np.float64)


def roc_curve(
    positive: NDArray[np.bool_], probabilities: NDArray[np.generic], *, points: int = 200, weights: Weighting = None
) -> Curve | None:
    """False against true positive rate, thinned to at most `points`; None when all rows are of one class."""
    positive, probabilities, weights = _counting(positive, probabilities, weights)
    if positive.all() or not positive.any():
        return None
    from sklearn.metrics import roc_curve as curve

    false, true, thresholds = curve(positive, probabilities, sample_weight=weights)
    # scikit-learn starts at infinity: the threshold nothing reaches. JSON and KFP hold none.
    thresholds[0] = np.nextafter(max(1.0, float(np.max(probabilities))), 2.0)
    return _thin(false, true, thresholds, points=points)


def pr_curve(
    positive: NDArray[np.bool_], probabilities: NDArray[np.generic], *, points: int = 200, weights: Weighting = None
) -> Curve | None:
    """Recall against precision, thinned to at most `points`; None when all rows are of one class."""
    positive, probabilities, weights = _counting(positive, probabilities, weights)
    if positive.all() or not positive.any():
        return None
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(positive, probabilities, sample_weight=weights)
    return _thin(recall[:-1], precision[:-1], thresholds, points=points)


def _counting(
    truth: NDArray[Any], predicted: NDArray[Any], weights: Weighting
) -> tuple[NDArray[Any], NDArray[Any], Weighting]:
    """The rows that count at all."""
    if weights is None:
        return truth, predicted, None
    some = weights > 0
    return truth[some], predicted[some], weights[some]


def _thin(x: NDArray[Any], y: NDArray[Any], thresholds: NDArray[Any], *, points: int) -> Curve:
    """Keep points evenly spaced along the curve's own length, both ends among them."""
    if len(x) > points:
        length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], points)))
        kept[0], kept[-1] = 0, len(x) - 1
        x, y, thresholds = x[kept], y[kept], thresholds[kept]
    return Curve(x.tolist(), y.tolist(), [float(value) for value in thresholds])


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows of similar predictions: what was predicted for them on average, and what came true."""

    lower: float
    upper: float
    predicted: float
    observed: float
    rows: int
    weight: float


# Example: the predictions 0.1, 0.2, 0.3 and 0.4 in two bins have the edges 0.1, 0.25 and 0.4: two rows in each.
def calibration(
    truth: NDArray[Any], predicted: NDArray[Any], *, bins: int = 10, weights: Weighting = None
) -> list[CalibrationBin]:
    """Mean prediction and mean truth by bins of about as many rows each; equal predictions stay together.

    Args:
        truth: Whether each row is of the class (its mean is the observed share), or the target's values.
        predicted: Probabilities of the class, or predicted values.
        bins: Most bins.
        weights: How much each row counts in the means; rows of no weight are left out.
    """
    truth, predicted, weights = _counting(truth, predicted, weights)
    if not len(truth):
        return []
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)))
    # The last edge belongs to the last bin; a single distinct prediction is one bin.
    places = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, max(0, len(edges) - 2))
    found = (np.flatnonzero(places == place) for place in np.unique(places))
    return [_bin(truth[rows], predicted[rows], None if weights is None else weights[rows]) for rows in found]


def _bin(truth: NDArray[np.generic], predicted: NDArray[np.generic], weights: Weighting) -> CalibrationBin:
    return CalibrationBin(
        lower=float(predicted.min()),
        upper=float(predicted.max()),
        predicted=float(np.average(predicted.astype(np.float64), weights=weights)),
        observed=float(np.average(truth.astype(np.float64), weights=weights)),
        rows=len(truth),
        weight=float(len(truth) if weights is None else weights.sum()),
    )


def calibration_error(bins: list[CalibrationBin]) -> float:
    """Expected calibration error: mean distance of predicted and observed, weighted as rows are; NaN without bins."""
    weight = sum(item.weight for item in bins)
    return sum(abs(item.predicted - item.observed) * item.weight for item in bins) / weight if weight else float("nan")

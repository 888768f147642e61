"""How good predictions are: the metrics by which models are chosen, judged and compared, and their curves.

Everywhere, `target` holds class indices (int64) or values (float64) of shape (rows,), as `frames.Part` does, and
`scores` holds probabilities of shape (rows, classes), the positive class last when there are two, or values of shape
(rows,). The values are scikit-learn's. What the rows cannot tell is NaN, never a warning: ranking metrics where all
rows are of one class, precision, recall and F1 without a positive row, R² of a constant target. What the model fails
to do is the worst value, not NaN: precision is 0 when there are positive rows and it answers none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.config import LOWER_IS_BETTER, Metric, Task
from components.shared.errors import DataError
from components.shared.package.scoring import choose_classes

CLASSIFICATION: tuple[Metric, ...] = ("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier")
REGRESSION: tuple[Metric, ...] = ("mae", "rmse", "r2", "mape")
_DECIDED = frozenset({"accuracy", "precision", "recall", "f1"})  # judged by the class answered, not by its probability
SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)  # models answer float32: nothing below can be told from 0

Floats = NDArray[np.float64]


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """The metrics of a task, in the order they are shown."""
    return REGRESSION if task == "regression" else CLASSIFICATION


def gain(metric: Metric, value: float, reference: float) -> float:
    """How much better `value` is than `reference`, in the metric's unit: positive is better whatever the metric."""
    return reference - value if metric in LOWER_IS_BETTER else value - reference


def compute(task: Task, target: NDArray[Any], scores: NDArray[Any], *, threshold: float = 0.5) -> dict[Metric, float]:
    """All metrics of a task.

    Args:
        task: Decides which metrics there are.
        target: Class indices or values, shape (rows,).
        scores: Probabilities, shape (rows, classes), or values, shape (rows,).
        threshold: Binary only: probability from which the positive class is answered.

    Returns:
        Value by metric, NaN where the rows cannot tell.

    Raises:
        DataError: The model answered NaN or infinity.
    """
    check_finite(scores)
    if task == "regression":
        return {metric: _regression(metric, target, scores) for metric in REGRESSION}
    probabilities, chosen = normalise(scores), choose_classes(scores, threshold=threshold)
    return {metric: _classification(metric, target, probabilities, chosen=chosen) for metric in CLASSIFICATION}


def score(metric: Metric, task: Task, target: NDArray[Any], scores: NDArray[Any], *, threshold: float = 0.5) -> float:
    """One metric; see `compute`.

    Precision, recall and F1 are those of the positive class when binary and macro averages over the classes among the
    rows when multiclass. ROC AUC (one class versus the rest) and PR AUC (average precision) likewise. Brier is the mean
    squared error of the positive class's probability, or the mean squared distance of the probability vector when
    multiclass. MAPE is a share of 1; rows with target 0 are left out (`zero_targets` counts them).

    Raises:
        DataError: The model answered NaN or infinity.
    """
    check_finite(scores)
    if task == "regression":
        return _regression(metric, target, scores)
    return _classification(metric, target, normalise(scores), chosen=choose_classes(scores, threshold=threshold))


def zero_targets(target: NDArray[Any]) -> int:
    """Rows that MAPE leaves out."""
    return int(np.count_nonzero(target == 0))


def check_finite(scores: NDArray[Any]) -> None:
    """Refuse predictions that are no numbers.

    Raises:
        DataError: Some are NaN or infinite.
    """
    if np.isfinite(scores).all():
        return
    bad = np.count_nonzero(~np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))
    raise DataError(
        f"The model answers NaN or infinity on {bad:,} of {len(scores):,} rows, so it cannot be judged; it diverged in "
        "training or its features hold values far beyond the training part's. Check the columns' ranges in the profile."
    )


def normalise(scores: NDArray[Any]) -> Floats:
    """Probabilities in double precision, none of them 0 and each row adding up to 1.

    Models answer float32, in which 1 - 1e-9 is 1: without the lower limit one such row could decide the log loss.
    """
    probabilities: Floats = np.clip(scores.astype(np.float64), SMALLEST_PROBABILITY, 1.0)
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True), dtype=np.float64)


def _classification(metric: Metric, target: NDArray[Any], probabilities: Floats, *, chosen: NDArray[np.int64]) -> float:
    if not len(target):
        return float("nan")
    if metric in _DECIDED:
        return _decided(metric, target, chosen, binary=probabilities.shape[1] == 2)
    if metric in ("roc_auc", "pr_auc"):
        return _ranking(metric, target, probabilities)
    from sklearn.metrics import brier_score_loss, log_loss

    labels = np.arange(probabilities.shape[1])
    if metric == "log_loss":
        return float(log_loss(target, probabilities, labels=labels))
    if len(labels) == 2:
        return float(brier_score_loss(target, probabilities[:, 1], labels=labels))
    return float(brier_score_loss(target, probabilities, labels=labels, scale_by_half=False))


def _decided(metric: Metric, target: NDArray[Any], chosen: NDArray[np.int64], *, binary: bool) -> float:
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

    if metric == "accuracy":
        return float(accuracy_score(target, chosen))
    functions: dict[str, Callable[..., Any]] = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    present = np.unique(target)
    if not binary:
        return float(functions[metric](target, chosen, labels=present, average="macro", zero_division=0))
    if 1 not in present:
        return float("nan")
    return float(functions[metric](target, chosen, labels=[0, 1], zero_division=0))


def _ranking(metric: Metric, target: NDArray[Any], probabilities: Floats) -> float:
    from sklearn.metrics import average_precision_score, roc_auc_score

    function = roc_auc_score if metric == "roc_auc" else average_precision_score
    classes = probabilities.shape[1]
    positives = np.bincount(target, minlength=classes)
    told = [index for index in ([1] if classes == 2 else range(classes)) if 0 < positives[index] < len(target)]
    values = [float(function(target == index, probabilities[:, index])) for index in told]
    return float(np.mean(values)) if values else float("nan")


def _regression(metric: Metric, target: NDArray[Any], values: NDArray[Any]) -> float:
    from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, r2_score, root_mean_squared_error

    values = values.astype(np.float64)
    if metric == "mape":
        kept = target != 0
        target, values = target[kept], values[kept]
    if not len(target) or (metric == "r2" and np.ptp(target) == 0):
        return float("nan")
    functions: dict[str, Callable[..., Any]] = {
        "mae": mean_absolute_error,
        "rmse": root_mean_squared_error,
        "r2": r2_score,
        "mape": mean_absolute_percentage_error,
    }
    return float(functions[metric](target, values))


# Curves


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve, in order; `thresholds` are the probabilities they belong to, all finite."""

    x: list[float]
    y: list[float]
    thresholds: list[float]


def confusion(target: NDArray[Any], chosen: NDArray[Any], *, classes: int) -> NDArray[np.int64]:
    """Counts of shape (classes, classes): row is the true class, column the answered one."""
    counts = np.bincount(target * classes + chosen, minlength=classes * classes)
    return np.asarray(counts.reshape(classes, classes), dtype=np.int64)


def roc_curve(positive: NDArray[np.bool_], probabilities: NDArray[Any], *, points: int = 200) -> Curve | None:
    """False against true positive rate, thinned to at most `points`; None when all rows are of one class."""
    if positive.all() or not positive.any():
        return None
    from sklearn.metrics import roc_curve as curve

    false, true, thresholds = curve(positive, probabilities)
    # scikit-learn starts at infinity: the threshold nothing reaches. JSON and KFP hold none.
    thresholds[0] = np.nextafter(max(1.0, float(np.max(probabilities))), 2.0)
    return _thin(false, true, thresholds, points=points)


def pr_curve(positive: NDArray[np.bool_], probabilities: NDArray[Any], *, points: int = 200) -> Curve | None:
    """Recall against precision, thinned to at most `points`; None when all rows are of one class."""
    if positive.all() or not positive.any():
        return None
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(positive, probabilities)
    return _thin(recall[:-1], precision[:-1], thresholds, points=points)


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


def calibration(truth: NDArray[Any], predicted: NDArray[Any], *, bins: int = 10) -> list[CalibrationBin]:
    """Mean prediction and mean truth by bins of about as many rows each; equal predictions stay together.

    Args:
        truth: Whether each row is of the class (its mean is the observed share), or the target's values.
        predicted: Probabilities of the class, or predicted values.
        bins: Most bins.
    """
    if not len(truth):
        return []
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)))
    # The last edge belongs to the last bin; a single distinct prediction is one bin.
    places = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, max(0, len(edges) - 2))
    found = (np.flatnonzero(places == place) for place in np.unique(places))
    return [_bin(truth[rows], predicted[rows]) for rows in found]


def _bin(truth: NDArray[Any], predicted: NDArray[Any]) -> CalibrationBin:
    return CalibrationBin(
        lower=float(predicted.min()),
        upper=float(predicted.max()),
        predicted=float(predicted.mean(dtype=np.float64)),
        observed=float(truth.mean(dtype=np.float64)),
        rows=len(truth),
    )


def calibration_error(bins: list[CalibrationBin]) -> float:
    """Expected calibration error: mean distance of predicted and observed, weighted by rows; NaN without bins."""
    rows = sum(item.rows for item in bins)
    return sum(abs(item.predicted - item.observed) * item.rows for item in bins) / rows if rows else float("nan")

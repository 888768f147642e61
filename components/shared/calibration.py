"""Calibration: mapping a classifier's probabilities to the shares that are observed, inside the model.

`sigmoid` is Platt's (1999) for two classes, and its extension to more: softmax of one slope times the logarithms of
the probabilities plus an offset a class (temperature scaling, Guo et al., 2017, with the offsets that a shifted share
of the classes needs). It keeps a useful shape on few rows. `isotonic` (Zadrozny and Elkan, 2002) follows any rising
curve and needs many; here it is fitted to bins and interpolated, with slopes so limited that the float32 of the served
graph stays within the tolerance of parity. It is for two classes: one curve a class would need many rows of each.
"""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

SMALLEST = 1e-6  # below it, probabilities count as it: their logarithms would be noise
_SPREAD = (1.0, 5.0)  # prior standard deviation of the slope's distance from 1, and of offsets: weak, for few rows
_BINS = 50
_BIN_ROWS = 50
_STEEPEST = 40.0  # float32 rounds by 6e-8: times this, it stays well below 1e-5

Floats = NDArray[np.float64]
Method = Literal["sigmoid", "isotonic"]


# Example: a slope of 0.5 takes the square roots of probabilities: (0.9, 0.1) becomes (0.95, 0.32) before, and (0.75,
# 0.25) after they are made to add up to 1. The model was too sure. A slope of 1 without offsets changes nothing.
class SigmoidCalibrator(BaseEstimator):  # type: ignore[misc]
    """softmax(slope × log p + offsets)."""

    def fit(self, probabilities: Floats, target: NDArray[np.generic], weights: Floats | None = None) -> Self:
        """Learn `slope_` and `offsets_`, shape (classes,), by penalised maximum likelihood.

        Args:
            probabilities: Of rows that the model did not learn from, shape (rows, classes).
            target: Class indices, shape (rows,).
            weights: How much each row counts; None for all the same.
        """
        from scipy.optimize import minimize

        logarithms = _log(probabilities)
        hits = np.eye(probabilities.shape[1])[target]
        counted = np.ones(len(target)) if weights is None else weights * (len(weights) / weights.sum())

        def loss(parameters: Floats) -> tuple[float, Floats]:
            slope, offsets = parameters[0], np.concatenate([[0.0], parameters[1:]])
            answers = _softmax(slope * logarithms + offsets)
            gaps = (answers - hits) * counted[:, None]
            surprise = -np.sum(counted * np.log(np.maximum(answers[hits == 1], 1e-300)))
            penalty = ((slope - 1) / _SPREAD[0]) ** 2 / 2 + np.sum((offsets / _SPREAD[1]) ** 2) / 2
            gradient = np.concatenate([[np.sum(gaps * logarithms)], gaps.sum(axis=0)[1:]])
            pull = np.concatenate([[(slope - 1) / _SPREAD[0] ** 2], offsets[1:] / _SPREAD[1] ** 2])
            return float(surprise + penalty), gradient + pull

        start = np.concatenate([[1.0], np.zeros(probabilities.shape[1] - 1)])
        bounds = [(0.05, 20.0), *[(-20.0, 20.0)] * (len(start) - 1)]
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        # six digits: the last bits depend on the order in which processors add
        rounded = np.array([float(f"{value:.6g}") for value in found])
        self.slope_ = float(rounded[0])
        self.offsets_ = np.concatenate([[0.0], rounded[1:]]).astype(np.float32)
        return self

    def transform(self, probabilities: Floats) -> Floats:
        """Calibrated probabilities, of the same shape."""
        return _softmax(self.slope_ * _log(probabilities) + self.offsets_.astype(np.float64))


class IsotonicCalibrator(BaseEstimator):  # type: ignore[misc]
    """A rising, piecewise linear curve over the positive class's probability."""

    def fit(self, probabilities: Floats, target: NDArray[np.generic], weights: Floats | None = None) -> Self:
        """Learn the knots `x_` and `y_`, float32 of shape (knots,); the arguments are those of `SigmoidCalibrator`."""
        from sklearn.isotonic import isotonic_regression

        counted = np.ones(len(target)) if weights is None else weights
        order = np.argsort(probabilities[:, 1], kind="stable")
        bins = np.array_split(order, max(1, min(_BINS, len(order) // _BIN_ROWS)))
        sums = np.array([counted[rows].sum() for rows in bins])
        bins = [rows for rows, total in zip(bins, sums, strict=True) if total > 0]
        sums = sums[sums > 0]
        overall = float(np.average(target == 1, weights=counted))
        x = np.array([np.average(probabilities[rows, 1], weights=counted[rows]) for rows in bins])
        hits = np.array([counted[rows][target[rows] == 1].sum() for rows in bins])
        y = isotonic_regression((hits + overall) / (sums + 1), sample_weight=sums)
        self.x_, self.y_ = _knots(x, y)
        return self

    def transform(self, probabilities: Floats) -> Floats:
        """Calibrated probabilities, of the same shape."""
        positive = np.interp(probabilities[:, 1], self.x_.astype(np.float64), self.y_.astype(np.float64))
        return np.column_stack([1 - positive, positive])


Calibrator = SigmoidCalibrator | IsotonicCalibrator
CALIBRATORS: dict[Method, type[Calibrator]] = {"sigmoid": SigmoidCalibrator, "isotonic": IsotonicCalibrator}


class CalibratedModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose probabilities a fitted calibrator maps; fitting it fits the classifier alone.

    Args:
        estimator: The classifier.
        calibrator: Fitted on predictions of rows that a model like it did not learn from.
    """

    def __init__(self, estimator: BaseEstimator = None, calibrator: BaseEstimator = None) -> None:
        self.estimator = estimator
        self.calibrator = calibrator

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier; features of shape (rows, columns), class indices of shape (rows,)."""
        self.estimator.fit(X, y, sample_weight=sample_weight)
        self.classes_ = self.estimator.classes_
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Calibrated probabilities, shape (rows, classes)."""
        probabilities = np.asarray(self.estimator.predict_proba(X), dtype=np.float64)
        calibrated: Floats = self.calibrator.transform(probabilities)
        return calibrated

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """The most probable class, shape (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


def _log(probabilities: Floats) -> Floats:
    return np.log(np.clip(np.asarray(probabilities, dtype=np.float64), SMALLEST, 1.0))


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _knots(x: Floats, y: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The curve's knots, with ends that go on rising to 0 and 1, none steeper than what float32 can follow."""
    places = [0.0, *x, 1.0]
    values = [y[0] / 2, *y, (1 + y[-1]) / 2]
    kept = [(places[0], values[0])]
    for place, value in zip(places[1:], values[1:], strict=True):
        if place - kept[-1][0] > max(1e-4, (value - kept[-1][1]) / _STEEPEST):
            kept.append((float(f"{place:.6g}"), float(f"{value:.6g}")))
    found = np.array(kept, dtype=np.float32)
    return found[:, 0].copy(), found[:, 1].copy()

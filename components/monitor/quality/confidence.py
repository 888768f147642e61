"""How good answers with probabilities are before their labels come: confidence-based performance estimation (CBPE).

A calibrated probability says how often such an answer is right. So the true class of a row, though unknown, counts for
each class with the probability of that class, and every metric that is made of weighted sums over rows has an estimate
(Garg et al., 2022, for accuracy; nannyml's CBPE for others). It rests on the probabilities being calibrated for the
rows at hand: it sees what a shift of the inputs does, and not that the relation of inputs and target has changed.

Interval: the true classes are independent draws by these probabilities. So the cells of the confusion matrix are
Poisson binomial, and any metric has the distribution that draws of the cells give (Kivimäki et al., 2025,
arXiv:2505.05295). Rows of the same answered class and nearly the same probability are drawn together, as one
multinomial. What the few rows that the calibration was learned from leave open comes on top, by refits to bootstrap
resamples of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from components.shared import calibration
from components.shared.bootstrap import STEPS, Estimate
from components.shared.calibration import IsotonicCalibrator, SigmoidCalibrator
from components.shared.metrics import TABLE, Answers, Weights
from components.shared.metrics.weights import Floats, Indices
from components.shared.names import MetricName
from components.shared.tasks.arrays import ScoreArray

FEWEST_ROWS = 50  # fewer tell nothing of a calibration
_REFITS = 20
_DRAWS = 25  # for each refit
_GROUPS = 500
_FOLDS = 5
_ENOUGH_FOR_A_CURVE = 500  # rows from which a rising curve may be better than two parameters


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows whose true class is known.

    Attributes:
        scores: The model's probabilities, shape (rows, classes).
        target: Class indices, shape (rows,).
        weights: How much each row counts, shape (rows,).
    """

    scores: ScoreArray
    target: Indices
    weights: Floats

    def subset(self, rows: Indices) -> "Judged":
        """Some of the rows."""
        return Judged(self.scores[rows], self.target[rows], self.weights[rows])


class ClassCurves:
    """A rising curve for each class against all others, together one again (Zadrozny and Elkan, 2002).

    It follows what one slope for all classes cannot: a model that is too sure of one class and not sure enough of
    another. No served model is calibrated by it, so that it need not fit into a graph.
    """

    def fit(self, probabilities: Floats, target: Indices, weights: Floats | None = None) -> Self:
        """Learn a curve a class; the arguments are those of `SigmoidCalibrator`."""
        self.curves_ = [
            IsotonicCalibrator().fit(_against_others(column), target == place, weights)
            for place, column in enumerate(probabilities.T)
        ]
        return self

    def transform(self, probabilities: Floats) -> Floats:
        """Calibrated probabilities, of the same shape."""
        columns = zip(self.curves_, probabilities.T, strict=True)
        found = np.column_stack([curve.transform(_against_others(column))[:, 1] for curve, column in columns])
        return np.asarray(found / found.sum(axis=1, keepdims=True))


def _against_others(probabilities: Floats) -> Floats:
    return np.column_stack([1 - probabilities, probabilities])


Calibrator = calibration.Calibrator | ClassCurves


# Example: three answers whose calibrated probabilities of being right are 0.9, 0.8 and 0.6 have an accuracy of (0.9 +
# 0.8 + 0.6) / 3 = 0.77, whatever their labels will be.
class ConfidenceEstimator:
    """Estimates metrics of classes from probabilities alone.

    Args:
        calibrate: The calibration; None where the probabilities are as good as they are.
        refits: The same on resamples of the rows that it was learned from.
    """

    def __init__(self, calibrate: Calibrator | None, refits: Sequence[Calibrator | None]) -> None:
        self._calibrate = calibrate
        self._refits = refits

    @classmethod
    def fit(cls, rows: Judged, *, seed: int = 0) -> "ConfidenceEstimator":
        """Learn what the probabilities are worth.

        Args:
            rows: In the order of time, none of which the model has learned from; at least `FEWEST_ROWS`.
            seed: The same seed gives the same estimator.
        """
        kind = _best_kind(rows)
        if kind is None:
            return cls(None, [None])
        random = np.random.default_rng(seed)
        count = len(rows.target)
        refits = [_fitted(kind, rows.subset(random.integers(0, count, count))) for _ in range(_REFITS)]
        return cls(_fitted(kind, rows), refits)

    def probabilities(self, answers: Answers) -> Floats:
        """Calibrated probabilities, shape (rows, classes)."""
        return _calibrated(self._calibrate, answers.probabilities)

    def estimate(
        self, metric: MetricName, answers: Answers, weights: Floats | None = None, *, seed: int = 0
    ) -> Estimate:
        """Estimate a metric of rows whose true classes are not known.

        Args:
            metric: Which.
            answers: What the model says of them; at least one row.
            weights: How much each row counts, shape (rows,); by default all the same.
            seed: The same seed gives the same interval.

        Returns:
            The estimate; its resamples are what the metric may be on these very rows.
        """
        rows = len(answers.scores)
        counted = np.ones(rows) if weights is None else weights
        value = _expected(metric, answers, self.probabilities(answers), counted)
        groups = _Groups(answers, counted)
        random = np.random.default_rng(seed)
        drawn = [
            groups.metric(metric, random, _calibrated(refit, answers.probabilities), draws=_draws(self._refits))
            for refit in self._refits
        ]
        coarse = groups.expected(metric, self.probabilities(answers))
        return Estimate(value, np.concatenate(drawn) + (value - coarse), float("inf"))


def _draws(refits: Sequence[object]) -> int:
    return _REFITS * _DRAWS // len(refits)


def _calibrated(calibrator: Calibrator | None, probabilities: Floats) -> Floats:
    return probabilities if calibrator is None else calibrator.transform(probabilities)


def _fitted(kind: type[Calibrator], rows: Judged) -> Calibrator:
    probabilities = Answers(rows.scores).probabilities
    return kind().fit(probabilities, rows.target, rows.weights)


def _best_kind(rows: Judged) -> type[Calibrator] | None:
    """The calibration with the smallest log loss on rows that it was not fitted to; None for none at all."""
    kinds: list[type[Calibrator]] = [SigmoidCalibrator]
    if len(rows.target) >= _ENOUGH_FOR_A_CURVE:
        kinds.append(IsotonicCalibrator if rows.scores.shape[1] == 2 else ClassCurves)
    folds = np.array_split(np.arange(len(rows.target)), _FOLDS)
    probabilities = Answers(rows.scores).probabilities
    losses: dict[type[Calibrator] | None, float] = {None: _log_loss(probabilities, rows)}
    for kind in kinds:
        found = np.empty_like(probabilities)
        for fold in folds:
            rest = np.setdiff1d(np.arange(len(rows.target)), fold)
            found[fold] = _fitted(kind, rows.subset(rest)).transform(probabilities[fold])
        losses[kind] = _log_loss(found, rows)
    return min(losses, key=lambda kind: losses[kind])


def _log_loss(probabilities: Floats, rows: Judged) -> float:
    of_true = probabilities[np.arange(len(rows.target)), rows.target]
    return float(np.average(-np.log(np.maximum(of_true, 1e-9)), weights=rows.weights))


def _expected(metric: MetricName, answers: Answers, probabilities: Floats, weights: Floats) -> float:
    """The metric where each row is of each class with its probability."""
    each = (probabilities * weights[:, None]).reshape(-1)
    return float(TABLE[metric](*_each_class(answers), Weights(each))[0])


def _each_class(answers: Answers) -> tuple[Indices, Answers]:
    """Every row once for each class, with that class as target."""
    rows, classes = answers.scores.shape
    place = np.repeat(np.arange(rows), classes)
    repeated = Answers(answers.scores[place], answers.threshold, answers.chosen[place])
    return np.tile(np.arange(classes), rows), repeated


class _Groups:
    """Rows of one answered class and of nearly the same probability, which are drawn together."""

    def __init__(self, answers: Answers, weights: Floats) -> None:
        rows = len(answers.scores)
        ranked = answers.scores[:, -1] if answers.classes == 2 else answers.scores.max(axis=1)
        order = np.lexsort((ranked, answers.chosen))
        chosen = answers.chosen[order]
        step = np.arange(rows) * _GROUPS // max(rows, _GROUPS)
        borders = np.flatnonzero((np.diff(chosen, prepend=-1) != 0) | (np.diff(step, prepend=-1) != 0))
        self._order, self._borders = order, borders
        self._sizes = np.diff(np.append(borders, rows))
        self._weights = np.add.reduceat(weights[order], borders) / self._sizes
        means = self._means(answers.scores.astype(np.float64))
        self._target, self._answers = _each_class(Answers(means.astype(np.float32), answers.threshold, chosen[borders]))

    def _means(self, values: Floats) -> Floats:
        sums = np.add.reduceat(values[self._order], self._borders, axis=0)
        return np.asarray(sums / self._sizes[:, None], dtype=np.float64)

    def expected(self, metric: MetricName, probabilities: Floats) -> float:
        """As `_expected`, of the groups; `probabilities` are the rows'."""
        each = self._means(probabilities) * (self._sizes * self._weights)[:, None]
        counts = each.reshape(-1, 1)
        return float(self._value(metric, counts)[0])

    def metric(self, metric: MetricName, random: np.random.Generator, probabilities: Floats, *, draws: int) -> Floats:
        """The metric on so many draws of the true classes, shape (draws,); `probabilities` are the rows'."""
        means = np.clip(self._means(probabilities), 0.0, 1.0)
        means /= means.sum(axis=1, keepdims=True)
        drawn = random.multinomial(self._sizes, means, size=(draws, len(self._sizes)))  # (draws, groups, classes)
        counts = (drawn * self._weights[:, None]).reshape(draws, -1).T
        return self._value(metric, counts)

    def _value(self, metric: MetricName, counts: Floats) -> Floats:
        cells = len(self._target)
        return TABLE[metric](
            self._target, self._answers, Weights(np.ones(cells), np.arange(cells), counts, steps=STEPS)
        )

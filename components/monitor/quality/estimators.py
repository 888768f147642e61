"""One way to estimate a metric without labels, whatever the kind of problem.

Labels come late or never, and the question whether the model is still good does not wait. For classes the calibrated
probabilities themselves say how often answers are right (`confidence`); a number has no probability, so its loss is
learned from the features (`loss_model`). Both also tell what they are off by on rows with labels, which is what shows
that the relation between features and target has changed: an estimate cannot see that by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.monitor.quality import confidence
from components.monitor.quality.confidence import ConfidenceEstimator, Judged
from components.monitor.quality.loss_model import LossModel, Measured
from components.shared.bootstrap import Estimate
from components.shared.metrics import TABLE, Answers
from components.shared.metrics.weights import Floats, Indices
from components.shared.names import MetricName
from components.shared.tasks.arrays import TargetArray

MOST_ROWS = 100_000  # of numbers whose loss is estimated: the mean of more is no better known
_CHUNKS = 5


@dataclass(frozen=True, slots=True)
class Known:
    """Rows whose label is known and that the model has not learned from, in the order of time.

    Attributes:
        answers: What the model said.
        target: Class indices or values, shape (rows,).
        frame: Their features; without columns where only probabilities are looked at.
        weights: How much each row counts, shape (rows,).
    """

    answers: Answers
    target: TargetArray
    frame: pd.DataFrame
    weights: Floats

    def subset(self, rows: Indices) -> "Known":
        """Some of the rows."""
        return Known(self.answers.subset(rows), self.target[rows], self.frame.iloc[rows], self.weights[rows])

    def with_rows(self, other: "Known") -> "Known":
        """These rows and others after them."""
        answered = None
        if self.answers.scores.ndim == 2:
            answered = np.concatenate([self.answers.chosen, other.answers.chosen])
        answers = Answers(np.concatenate([self.answers.scores, other.answers.scores]), self.answers.threshold, answered)
        frame = pd.concat([self.frame, other.frame], ignore_index=True)
        target = np.concatenate([self.target, other.target])
        return Known(answers, target, frame, np.concatenate([self.weights, other.weights]))


class Estimator:
    """Estimates one metric of rows without labels."""

    def __init__(self, metric: MetricName, fitted: ConfidenceEstimator | LossModel) -> None:
        self._metric = metric
        self._fitted = fitted

    @classmethod
    def fit(cls, metric: MetricName, rows: Known) -> "Estimator | None":
        """Learn from rows whose label is known; None where too few of them tell the metric, or no losses of rows do."""
        if rows.answers.scores.ndim == 2:
            if len(rows.target) < confidence.FEWEST_ROWS:
                return None
            judged = Judged(rows.answers.scores, np.asarray(rows.target, dtype=np.int64), rows.weights)
            return cls(metric, ConfidenceEstimator.fit(judged))
        target = np.asarray(rows.target, dtype=np.float64)
        fitted = LossModel.fit(metric, Measured(rows.frame, rows.answers.scores, target, rows.weights))
        return cls(metric, fitted) if fitted else None

    def estimate(self, answers: Answers, frame: pd.DataFrame, weights: Floats | None = None) -> Estimate:
        """Estimate the metric.

        Args:
            answers: What the model says; at least one row.
            frame: Features of the rows, with the columns that were learned from.
            weights: How much each row counts, shape (rows,); by default all the same.
        """
        if isinstance(self._fitted, ConfidenceEstimator):
            return self._fitted.estimate(self._metric, answers, weights)
        rows = np.arange(len(answers.scores))
        if len(rows) > MOST_ROWS:
            rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
        counted = None if weights is None else weights[rows]
        return self._fitted.estimate(frame.iloc[rows], answers.scores[rows], counted)

    def off_by(self, rows: Known) -> Estimate:
        """By how much an estimate of rows whose label is known is off: measured minus estimated.

        Returns:
            The difference; its resamples are what chance alone explains.
        """
        measured = TABLE[self._metric].value(rows.target, rows.answers, rows.weights)
        found = self.estimate(rows.answers, rows.frame, rows.weights)
        return found.times(-1.0).plus(measured)


def off_in_parts(metric: MetricName, rows: Known) -> Sequence[Estimate]:
    """The errors (measured minus estimated) of estimates of each fifth of the rows, learned from the other fifths.

    Args:
        metric: The metric.
        rows: In the order of time, so that the fifths differ as times do.
    """
    found = []
    for part in np.array_split(np.arange(len(rows.target)), _CHUNKS):
        rest = np.setdiff1d(np.arange(len(rows.target)), part)
        estimator = Estimator.fit(metric, rows.subset(rest))
        if estimator is not None and len(part):
            found.append(estimator.off_by(rows.subset(part)))
    return [one for one in found if np.isfinite(one.value)]

"""The probability from which the positive class is answered, chosen on rows that the model did not learn from.

Of two classes a probability says more than a class; where a class has to be answered, 0.5 is right only when both
errors cost the same and accuracy is what counts (Elkan, 2001). Here a metric is made as large, or the cost of errors
as small, as the rows allow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.shared.config import ErrorCosts, ThresholdRule
from components.shared.metrics import TABLE, Answers, Weights
from components.shared.names import ThresholdMetric
from components.shared.tasks.arrays import ScoreArray, TargetArray

Floats = NDArray[np.float64]
_MOST_CANDIDATES = 1_000


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What becomes of rows at each of some thresholds, all of shape (thresholds,); rows count by their weights.

    Attributes:
        thresholds: Ascending.
        hits: Positive rows that are answered as such.
        false_alarms: Other rows that are.
        positives: All positive rows, a number.
        negatives: All others, a number.
    """

    thresholds: Floats
    hits: Floats
    false_alarms: Floats
    positives: float
    negatives: float

    @property
    def precision(self) -> Floats:
        """Share of the rows answered as positive that are; 1 where none is answered."""
        answered = self.hits + self.false_alarms
        return np.divide(self.hits, answered, out=np.ones_like(answered), where=answered > 0)

    @property
    def recall(self) -> Floats:
        """Share of the positive rows that are answered as such."""
        return self.hits / self.positives

    def metric(self, name: ThresholdMetric) -> Floats:
        """A metric at each threshold: that of four rows, one for each cell of the confusion matrix."""
        hits, alarms = self.hits, self.false_alarms
        counts = np.array([hits, self.positives - hits, alarms, self.negatives - alarms])
        answered = np.array([1, 0, 1, 0])
        answers = Answers(np.eye(2)[answered], answered=answered)
        return TABLE[name](np.array([1, 1, 0, 0]), answers, Weights(np.ones(4), np.arange(4), counts))

    def cost(self, costs: ErrorCosts) -> Floats:
        """Mean cost of a row at each threshold."""
        missed = self.positives - self.hits
        total = costs.false_positive * self.false_alarms + costs.false_negative * missed
        return np.asarray(total / (self.positives + self.negatives))


# Example: of the probabilities 0.2, 0.4 and 0.8 the last two are of positive rows. At 0.3 there are 2 hits and no false
# alarm, at 0.1 there are 2 hits and 1 false alarm, at 0.6 there is 1 hit.
def outcomes(
    target: TargetArray, probabilities: ScoreArray, weights: Floats | None, *, thresholds: Floats | None = None
) -> Outcomes:
    """What becomes of rows at each threshold.

    Args:
        target: 1 for rows of the positive class, else 0, shape (rows,); some of each.
        probabilities: Of the positive class, shape (rows,).
        weights: How much each row counts; None for all the same.
        thresholds: Ascending; by default those that `candidates` gives.
    """
    places = candidates(probabilities) if thresholds is None else thresholds
    counted = np.ones(len(target)) if weights is None else weights
    order = np.argsort(probabilities, kind="stable")
    positive = np.where(target[order] == 1, counted[order], 0.0)
    negative = np.where(target[order] == 1, 0.0, counted[order])
    first = np.searchsorted(probabilities[order], places, side="left")  # the first row that is answered as positive
    return Outcomes(
        thresholds=places,
        hits=_from(positive, first),
        false_alarms=_from(negative, first),
        positives=float(positive.sum()),
        negatives=float(negative.sum()),
    )


# Example: for 0.2, 0.4 and 0.8 they are 0.1, 0.3, 0.6 and 0.9.
def candidates(probabilities: ScoreArray) -> Floats:
    """Thresholds worth trying, ascending: between neighbouring probabilities, below all and above all of them.

    Of four significant digits, so that the last bits of a sum do not change the choice.
    """
    distinct = np.unique(probabilities.astype(np.float64))
    if len(distinct) > _MOST_CANDIDATES:
        distinct = np.quantile(distinct, np.linspace(0, 1, _MOST_CANDIDATES))
    middles = (distinct[1:] + distinct[:-1]) / 2
    ends = [distinct[0] / 2, (distinct[-1] + 1) / 2]
    rounded = np.array([float(f"{value:.4g}") for value in (*middles, *ends)])
    return np.unique(rounded[(rounded > 0) & (rounded < 1)])


def choose_threshold(
    target: TargetArray,
    probabilities: ScoreArray,
    weights: Floats | None,
    *,
    metric: ThresholdMetric = "f1",
    costs: ErrorCosts | None = None,
) -> float:
    """The best threshold for some rows, the middle one of equals; 0.5 where the rows are all of one class.

    Args:
        target: 1 for rows of the positive class, else 0, shape (rows,).
        probabilities: Of the positive class, shape (rows,).
        weights: How much each row counts; None for all the same.
        metric: What is to be as large as possible.
        costs: What errors cost, instead of a metric: to be as small as possible.
    """
    if not can_choose(target, weights):
        return 0.5
    found = outcomes(target, probabilities, weights)
    worth = found.metric(metric) if costs is None else -found.cost(costs)
    best = np.flatnonzero(worth >= worth.max() - 1e-12)
    return float(found.thresholds[best[len(best) // 2]])


def can_choose(target: TargetArray, weights: Floats | None) -> bool:
    """Whether there are rows of both classes that count."""
    counted = target if weights is None else target[weights > 0]
    return len(np.unique(counted)) == 2


def metric_of(rule: ThresholdRule) -> ThresholdMetric:
    """The metric of a rule without costs."""
    return rule.metric or "f1"


def _from(values: Floats, first: NDArray[np.int64]) -> Floats:
    """Sums of the values from each position on."""
    sums = np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])
    return np.asarray(sums[first], dtype=np.float64)

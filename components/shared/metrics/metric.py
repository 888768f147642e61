"""What a metric is, and what a model's answers are to one.

A metric is asked by many: the search, the evaluation with its bootstrap, the gate, the monitor and the pages. All that
one of them has to know of it stands in one object, so that a new metric is a file with such an object and a name
(`table`). The function works on `Weights`, which makes it a value of rows, of weighted rows and of a thousand resamples
at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from components.shared.errors import DataError
from components.shared.metrics.weights import Floats, Indices, Weights
from components.shared.names import MetricName, ThresholdMetric
from components.shared.tasks.arrays import ScoreArray, TargetArray
from components.shared.tasks.baseline import Constant
from components.shared.tasks.choosing import choose_classes

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)  # models answer float32: nothing below differs from 0


@dataclass(frozen=True)
class Answers:
    """What a model says of rows.

    Attributes:
        scores: Probabilities, shape (rows, classes), the positive class last when there are two; or values, (rows,).
        threshold: Binary only: probability from which the positive class is answered.
        answered: Class answered, shape (rows,), where it does not follow from the others.
    """

    scores: ScoreArray
    threshold: float = 0.5
    answered: Indices | None = None

    @cached_property
    def probabilities(self) -> Floats:
        """Probabilities in double precision; see `normalise`."""
        return normalise(self.scores)

    @cached_property
    def chosen(self) -> Indices:
        """Class answered, shape (rows,)."""
        if self.answered is not None:
            return self.answered
        return choose_classes(self.scores, threshold=self.threshold)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.scores.shape[1])

    def subset(self, rows: Indices) -> "Answers":
        """The answers to some of the rows."""
        return Answers(self.scores[rows], self.threshold, None if self.answered is None else self.answered[rows])

    def reordered(self, order: Sequence[int]) -> "Answers":
        """These answers with the classes in another order, given by the present index of each."""
        # The threshold is one of the class that was last: the classes answered stay what they were.
        return Answers(self.scores[:, order], self.threshold, np.argsort(order)[self.chosen])


@dataclass(frozen=True, slots=True)
class RowLoss:
    """How a metric of numbers follows from a loss of each row, by which it is estimated before true values come.

    Attributes:
        loss: From true values and predictions of shape (rows,) to the loss of each row.
        of_mean: From the mean loss on each resample, shape (resamples,), and the rows' predictions and weights, which
            add up to 1, to the metric on each resample; by default it is the mean loss itself.
        counts: From true values to which rows have a loss; by default all.
    """

    loss: Callable[[Floats, Floats], Floats]
    of_mean: Callable[[Floats, Floats, Floats], Floats] = lambda mean, *_: mean
    counts: Callable[[Floats], NDArray[np.bool_]] = lambda target: np.ones(len(target), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: one function, and all that is said of it anywhere.

    Attributes:
        name: As the configuration and the files call it.
        label: As pages call it.
        function: From class indices or values of shape (rows,), answers and weights to the value on each resample,
            shape (resamples,); NaN where the rows cannot tell.
        margin: The loss of a candidate that nobody minds, for the comparison with the champion.
        lower_is_better: Whether less of it is better.
        relative: Whether the margin is a share of the champion's value, not in the metric's own unit.
        percent: Whether it is a share of 1, which people read in percent.
        threshold_by: What the threshold is chosen by while trials are compared by this metric; None where the metric
            does not depend on it. Precision and recall alone would be perfect where everything or hardly anything is
            answered.
        best_constant: Numbers only: whether by this metric the mean or the median is the better answer to all rows, for
            the baseline.
        row_loss: Numbers only: how it is estimated without true values; None where it follows from no mean of losses,
            and is not estimated.
    """

    name: MetricName
    label: str
    function: Callable[[TargetArray, Answers, Weights], Floats]
    margin: float
    lower_is_better: bool = False
    relative: bool = False
    percent: bool = False
    threshold_by: ThresholdMetric | None = None
    best_constant: Constant = "mean"
    row_loss: RowLoss | None = None

    def __call__(self, target: TargetArray, answers: Answers, weights: Weights) -> Floats:
        """The value on each resample, shape (resamples,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.function(target, answers, weights)

    def value(self, target: TargetArray, answers: Answers, weights: NDArray[np.float64] | None = None) -> float:
        """The value on the rows themselves, each counting 1 where there are no weights."""
        return float(self(target, answers, Weights(np.ones(len(target)) if weights is None else weights))[0])


def normalise(scores: ScoreArray) -> Floats:
    """Probabilities in double precision, none of them 0 and each row adding up to 1.

    Models answer float32, in which 1 - 1e-9 is 1: without the lower limit one such row could decide the log loss.
    """
    probabilities: Floats = np.clip(scores.astype(np.float64), SMALLEST_PROBABILITY, 1.0)
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True), dtype=np.float64)


def check_finite(scores: ScoreArray) -> None:
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

"""What a model of a kind of problem has to be better than: the best answer that looks at no feature.

An accuracy of 0.95 says little where 95 of 100 rows are of one class. The gate therefore asks whether a model beats the
best constant answer, and that depends on the metric: what a mean is for squared errors the median is for absolute ones.
It is found in the training part, as a model is, and judged on the test part.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:  # the configuration loads without them
    import numpy as np
    from numpy.typing import NDArray

    from components.shared.tasks.arrays import TargetArray

Constant = Literal["mean", "median"]  # of the target, by which of the two a metric is better


class Baseline(ABC):
    """One answer to all rows, found in the training part.

    Attributes:
        about: What it answers, in a sentence.
        untold: Why test rows may not tell a metric, the end of a sentence.
    """

    about: ClassVar[str]
    untold: ClassVar[str]

    @abstractmethod
    def answer(
        self, constant: Constant, target: "TargetArray", weights: "NDArray[np.float64] | None", *, classes: int
    ) -> "NDArray[np.float64]":
        """The answer that is judged by a metric.

        Args:
            constant: Which answer is the best of numbers by this metric (`Metric.best_constant`).
            target: Of the training part, class indices or values, shape (rows,).
            weights: How much each row counts, shape (rows,); None for all the same.
            classes: How many classes there are; 0 for numbers.

        Returns:
            Probabilities, shape (classes,), or a value, shape ().
        """


class ClassShares(Baseline):
    """The share of each class."""

    about = "The baseline always answers the training part's class shares."
    untold = "its rows are of too few classes"

    def answer(
        self,
        constant: Constant,  # noqa: ARG002, the interface
        target: "TargetArray",
        weights: "NDArray[np.float64] | None",
        *,
        classes: int,
    ) -> "NDArray[np.float64]":
        """The weighted shares, whatever the metric."""
        import numpy as np

        counts = np.bincount(np.asarray(target, dtype=np.int64), weights, minlength=classes).astype(np.float64)
        return np.asarray(counts / counts.sum(), dtype=np.float64)


class MeanOrMedian(Baseline):
    """The mean, or where a metric is of absolute errors, the median."""

    about = "The baseline always answers the training part's mean, or its median where a metric is of absolute errors."
    untold = "its target is 0 or constant"

    def answer(
        self,
        constant: Constant,
        target: "TargetArray",
        weights: "NDArray[np.float64] | None",
        *,
        classes: int,  # noqa: ARG002, the interface
    ) -> "NDArray[np.float64]":
        """The weighted mean or median."""
        import numpy as np

        if constant == "mean":
            return np.asarray(np.average(target, weights=weights), dtype=np.float64)
        if weights is None:
            return np.asarray(np.median(target), dtype=np.float64)
        return np.asarray(np.quantile(target, 0.5, weights=weights, method="inverted_cdf"), dtype=np.float64)

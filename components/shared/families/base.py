"""What a model family is: the interface that each file beside this one implements.

Tune, train and the exporter treat all families alike, and what differs between them, such as the name of the parameter
that counts trees or how to stop early, is asked of the family. A new family is a file with such a class and a name
(`table`). Heavy libraries are imported inside functions: the command line asks for names and spaces only.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from components.shared.config import FamilyName, ParameterSpace, TaskName
from components.shared.tasks import TASKS
from components.shared.tasks.base import Value

if TYPE_CHECKING:  # loading these takes longer than compiling a pipeline
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from components.shared.tasks.arrays import TargetArray

_LEAST_FALL = 3e-4  # as a share of the loss of the best constant answer

Parameters = dict[str, Value]
Space = dict[str, ParameterSpace]


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search of a family starts, and where it may go; both by the estimator's own names."""

    defaults: Parameters
    space: Space


@dataclass(frozen=True, slots=True)
class Rows:
    """What a model learns from or is judged on.

    Attributes:
        features: Preprocessed, float32 of shape (rows, columns).
        target: Class indices or values, shape (rows,).
        weights: How much each row counts, shape (rows,); None where all count the same.
    """

    features: "NDArray[np.float32]"
    target: "TargetArray"
    weights: "NDArray[np.float64] | None" = None

    def head(self, count: int) -> "Rows":
        """The first rows."""
        weights = None if self.weights is None else self.weights[:count]
        return Rows(self.features[:count], self.target[:count], weights)


class Family(ABC):
    """One family of models: a scikit-learn estimator for classes, one for numbers, and how they are searched.

    Attributes:
        name: Its name in the configuration, and of its file.
        tasks: The tasks it can do.
        linear: Whether it needs scaled inputs and can neither use ordinal codes nor missing values.
        rounds: The parameter that counts the trees it adds up; empty when it is no ensemble.
        stops_early: Whether more rounds can be worse, so that how many are right is found on rows not learned from.
        modules: What a process loads ahead of a task that trains it.
        trusted: Types that skops may load in a package of it, besides scikit-learn's own estimators.
    """

    name: ClassVar[FamilyName]
    tasks: ClassVar[frozenset[TaskName]] = frozenset(TASKS)
    linear: ClassVar[bool] = False
    rounds: ClassVar[str] = ""
    stops_early: ClassVar[bool] = False
    modules: ClassVar[tuple[str, ...]] = ()
    trusted: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def search(self, task: TaskName) -> Search:
        """Where the search starts, and where it may go."""

    @abstractmethod
    def estimator(self, task: TaskName) -> "BaseEstimator":
        """An unfitted estimator, with what is fixed for every model of the family."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What fitting raises when parameters or rows do not suit the family."""
        return (ValueError, ArithmeticError)

    def check(self, task: TaskName, name: str, value: Value) -> None:
        """Let the estimator itself judge a parameter's value, before anything is learned.

        Raises:
            ValueError: It refuses the value; or any other of `errors`, or TypeError.
        """
        self.estimator(task).set_params(**{name: value})._validate_params()

    def fit(self, estimator: "BaseEstimator", rows: Rows) -> None:
        """Fit an estimator of the family."""
        estimator.fit(rows.features, rows.target, sample_weight=rows.weights)

    def fit_early(self, estimator: "BaseEstimator", rows: Rows, unseen: Rows, *, most: int) -> "NDArray[np.float64]":
        """Fit with as many rounds as serve rows that are not learned from.

        Only for families that stop early.

        Args:
            estimator: Unfitted; afterwards fitted with the rounds that served best, which its parameters say too.
            rows: What is learned from.
            unseen: What tells when to stop, by the loss that the family learns by.
            most: Rounds at most.

        Returns:
            The mean loss of an unseen row after each round, those after the best included, shape (rounds,).
        """
        raise NotImplementedError(f"{self.name} does not stop early")

    def for_onnx(self, estimator: "BaseEstimator") -> "BaseEstimator":
        """A fitted estimator as ONNX can hold it exactly, for float32 features; its converter is registered."""
        return estimator


# Example: 25 rounds at a learning rate of 0.1, 83 at 0.03, and 10 at 0.3.
def patience(learning_rate: float) -> int:
    """Rounds without improvement after which boosting stops: the more, the smaller its steps are.

    A fixed number would end slow learners at the first plateau of a noisy loss, and favour fast ones.
    """
    return min(100, max(10, round(2.5 / learning_rate)))


def least_fall(unseen: Rows, *, regression: bool) -> float:
    """By how much the loss has to fall within the rounds of `patience`, so that boosting goes on.

    Where classes can be separated entirely the loss falls by ever less and never rises: a fit to a hundred rows would
    go on for thousands of rounds. The limit is a share of the loss of the best constant answer.
    """
    import numpy as np

    if regression:
        return _LEAST_FALL * float(np.var(unseen.target))
    shares = np.bincount(unseen.target, weights=unseen.weights)
    shares = shares[shares > 0] / shares.sum()
    return _LEAST_FALL * float(-(shares * np.log(shares)).sum())


# Example: the losses 0.5, 0.4, 0.45 and 0.6, 0.5, of which the second ended earlier and counts on as 0.5. Their means
# are 0.55, 0.45 and 0.475, so two rounds are best.
def best_rounds(curves: "Sequence[NDArray[np.float64]]") -> int:
    """The rounds after which the mean of several losses is least, each shape (rounds,); 1 at least.

    A loss whose fit stopped earlier is taken to stay as it was at its end. So rows on which more rounds do harm count
    for as much as they lose, and rows on which more rounds change little count for little.
    """
    import numpy as np

    longest = max(len(curve) for curve in curves)
    mean = np.mean([np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves], axis=0)
    return int(mean.argmin()) + 1


# Spaces


def real(low: float, high: float, *, log: bool = False) -> ParameterSpace:
    """Numbers between two ends."""
    return ParameterSpace(low=low, high=high, log=log)


def integer(low: int, high: int, *, log: bool = False) -> ParameterSpace:
    """Whole numbers between two ends."""
    return ParameterSpace(low=low, high=high, log=log, integer=True)


def choice(*values: Value) -> ParameterSpace:
    """One of some values."""
    return ParameterSpace(choices=list(values))

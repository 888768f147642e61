"""The baseline: what is answered without looking at a feature. It can never win."""

from typing import TYPE_CHECKING

from components.shared.config import Task
from components.shared.families.base import Family, Search

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class Dummy(Family):
    """The shares of the classes, or the mean."""

    name = "dummy"

    def search(self, task: Task) -> Search:  # noqa: ARG002, the interface
        """Nothing to search."""
        return Search({}, {})

    def estimator(self, task: Task) -> "BaseEstimator":
        """`DummyRegressor` or `DummyClassifier`."""
        from sklearn.dummy import DummyClassifier, DummyRegressor

        return DummyRegressor() if task == "regression" else DummyClassifier(strategy="prior")


FAMILY = Dummy()

"""Linear models: logistic regression for classes, ridge regression for numbers."""

from typing import TYPE_CHECKING

from components.shared.config import TaskName
from components.shared.families.base import Family, Search, real
from components.shared.tasks import TASKS

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class Linear(Family):
    """A weighted sum of the features, its weights kept small."""

    name = "linear"
    linear = True
    modules = ("sklearn.linear_model",)

    def search(self, task: TaskName) -> Search:
        """The strength of the penalty."""
        if TASKS[task].has_classes:
            return Search({"C": 1.0, "max_iter": 300}, {"C": real(0.001, 100, log=True)})
        return Search({"alpha": 1.0}, {"alpha": real(0.01, 10_000, log=True)})

    def estimator(self, task: TaskName) -> "BaseEstimator":
        """`Ridge` or `LogisticRegression`."""
        from sklearn.linear_model import LogisticRegression, Ridge

        return LogisticRegression() if TASKS[task].has_classes else Ridge()


FAMILY = Linear()

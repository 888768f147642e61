"""Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006): split points are drawn, the best of them is taken.

Each tree learns from all rows. Smoother than a random forest and cheaper to fit; not among the default families,
because on most tables the two err alike.
"""

from typing import TYPE_CHECKING

from components.shared.config import TaskName
from components.shared.families.base import Search, choice
from components.shared.families.trees import Forest
from components.shared.tasks import TASKS

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class ExtraTrees(Forest):
    """Random splits need more features to choose from than searched ones."""

    name = "extra_trees"

    def search(self, task: TaskName) -> Search:
        """A forest's, with more features a split."""
        shared = super().search(task)
        return Search(
            {**shared.defaults, "max_features": 0.5}, {**shared.space, "max_features": choice("sqrt", 0.5, 1.0)}
        )

    def estimator(self, task: TaskName) -> "BaseEstimator":
        """`ExtraTreesRegressor` or `ExtraTreesClassifier`."""
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        return ExtraTreesClassifier() if TASKS[task].has_classes else ExtraTreesRegressor()


FAMILY = ExtraTrees()

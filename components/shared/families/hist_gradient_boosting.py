"""scikit-learn's gradient boosting on binned features.

It needs nothing beyond scikit-learn, which keeps the trees that were added after the best one; they are cut off here,
so that the model is what it was when it scored best.
"""

import copy
from typing import TYPE_CHECKING

from components.shared.config import TaskName
from components.shared.families.base import Family, Rows, Search, best_rounds, integer, least_fall, patience, real
from components.shared.families.trees import round_down
from components.shared.tasks import TASKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator


class HistGradientBoosting(Family):
    """Small trees, each fitted to what those before it got wrong."""

    name = "hist_gradient_boosting"
    rounds = "max_iter"
    stops_early = True
    modules = ("sklearn.ensemble",)
    trusted = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)

    def search(self, task: TaskName) -> Search:  # noqa: ARG002, the interface
        """How far a tree moves the answer, and how large it may be; how many there are is found while fitting."""
        return Search(
            defaults={
                "learning_rate": 0.1,
                "max_iter": 100,
                "max_leaf_nodes": 31,
                "min_samples_leaf": 20,
                "l2_regularization": 0.0,
            },
            space={
                "learning_rate": real(0.03, 0.3, log=True),
                "max_leaf_nodes": integer(8, 63, log=True),
                "min_samples_leaf": integer(5, 100, log=True),
                "l2_regularization": real(0.0, 5.0),
            },
        )

    def estimator(self, task: TaskName) -> "BaseEstimator":
        """`HistGradientBoostingRegressor` or `HistGradientBoostingClassifier`, which stops at `max_iter`."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        boosting = HistGradientBoostingClassifier if TASKS[task].has_classes else HistGradientBoostingRegressor
        return boosting(early_stopping=False, categorical_features=None)

    def fit_early(self, estimator: "BaseEstimator", rows: Rows, unseen: Rows, *, most: int) -> "NDArray[np.float64]":
        """Add trees until the loss on unseen rows has not fallen for a while, and keep those up to the best."""
        from sklearn.base import is_regressor

        usual = {name: estimator.get_params()[name] for name in ("early_stopping", "n_iter_no_change", "tol")}
        estimator.set_params(
            early_stopping=True,
            scoring="loss",
            n_iter_no_change=patience(estimator.learning_rate),
            tol=least_fall(unseen, regression=is_regressor(estimator)),
            max_iter=most,
        )
        estimator.fit(
            rows.features,
            rows.target,
            sample_weight=rows.weights,
            X_val=unseen.features,
            y_val=unseen.target,
            sample_weight_val=unseen.weights,
        )
        losses: NDArray[np.float64] = -estimator.validation_score_[1:]  # the first is that of no tree at all
        best = best_rounds([losses])
        del estimator._predictors[best:]
        estimator.set_params(**usual, max_iter=best)
        return losses

    def for_onnx(self, estimator: "BaseEstimator") -> "BaseEstimator":
        """With thresholds that are float32 values."""
        changed = copy.deepcopy(estimator)
        for predictor in (one for iteration in changed._predictors for one in iteration):
            predictor.nodes["num_threshold"] = round_down(predictor.nodes["num_threshold"])
        return changed


FAMILY = HistGradientBoosting()

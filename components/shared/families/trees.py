"""What families of trees share: thresholds that ONNX can hold, and forests."""

import copy
from typing import TYPE_CHECKING

from components.shared.config import TaskName
from components.shared.families.base import Family, Search, choice, integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator


# Example: the float32 nearest to 0.1 is 0.10000000149, which is above it. The one below is 0.09999999404, and no
# float32 lies between, so x <= 0.1 and x <= 0.09999999404 are the same question.
def round_down(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The largest float32 not above each value, as float64.

    For a float32 `x`, `x <= t` holds exactly when `x <= down(t)`: predictions are the same, and ONNX can hold them.
    """
    import numpy as np

    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float64)


class Forest(Family):
    """Trees that learn from samples of the rows and features, each for itself; their answers are averaged."""

    rounds = "n_estimators"
    modules = ("sklearn.ensemble",)
    trusted = ("sklearn.tree._tree.Tree",)

    def search(self, task: TaskName) -> Search:  # noqa: ARG002, the interface
        """Small enough to serve: trees of full depth would outgrow the package and the latency budget."""
        return Search(
            defaults={"n_estimators": 50, "max_depth": 12, "min_samples_leaf": 5, "max_features": "sqrt"},
            space={
                "n_estimators": integer(50, 80),
                "max_depth": integer(6, 14),
                "min_samples_leaf": integer(2, 50, log=True),
                "max_features": choice("sqrt", 0.3),
            },
        )

    def for_onnx(self, estimator: "BaseEstimator") -> "BaseEstimator":
        """With thresholds that are float32 values."""
        changed = copy.deepcopy(estimator)
        for tree in changed.estimators_:
            tree.tree_.threshold[:] = round_down(tree.tree_.threshold)
        return changed

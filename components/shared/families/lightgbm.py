"""LightGBM (Ke et al., 2017): gradient boosting that grows the leaf which gains most.

It is made to give the same trees on any number of cores, since a version is named by its bytes. For ONNX its thresholds
become float32 values: ONNX compares in float32, and a row between a threshold and its rounded value would go the other
way.
"""

import copy
from typing import TYPE_CHECKING

from components.shared.config import TaskName
from components.shared.families.base import Family, Rows, Search, integer, least_fall, patience, real
from components.shared.families.trees import round_down
from components.shared.tasks import TASKS
from components.shared.tasks.base import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator


class LightGBM(Family):
    """Small trees, each fitted to what those before it got wrong."""

    name = "lightgbm"
    rounds = "n_estimators"
    stops_early = True
    modules = ("lightgbm",)
    trusted = (
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
    )

    def search(self, task: TaskName) -> Search:  # noqa: ARG002, the interface
        """How far a tree moves the answer, and how large it may be; how many there are is found while fitting."""
        return Search(
            defaults={
                "learning_rate": 0.1,
                "n_estimators": 100,
                "num_leaves": 31,
                "min_child_samples": 20,
                "reg_lambda": 0.0,
                "colsample_bytree": 1.0,
            },
            space={
                "learning_rate": real(0.03, 0.3, log=True),
                "num_leaves": integer(8, 63, log=True),
                "min_child_samples": integer(5, 100, log=True),
                "reg_lambda": real(0.0, 5.0),
                "colsample_bytree": real(0.5, 1.0),
            },
        )

    def estimator(self, task: TaskName) -> "BaseEstimator":
        """`LGBMRegressor` or `LGBMClassifier`, silent, and the same on any number of cores."""
        from lightgbm import LGBMClassifier, LGBMRegressor

        boosted = LGBMClassifier if TASKS[task].has_classes else LGBMRegressor
        return boosted(verbosity=-1, deterministic=True, force_row_wise=True)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """LightGBM's own besides Python's."""
        from lightgbm.basic import LightGBMError

        return (*super().errors, LightGBMError)

    def check(self, task: TaskName, name: str, value: Value) -> None:
        """LightGBM checks its parameters only when it learns: a few rows are enough."""
        import numpy as np

        estimator = self.estimator(task)
        default = estimator.get_params()[name]
        if isinstance(default, int) and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"{name} has to be a whole number; in a range, say `integer: true`")
        rows = np.arange(40, dtype=np.float32)
        small = {"n_estimators": 1} if name != "n_estimators" or (isinstance(value, int) and value > 1) else {}
        estimator.set_params(**{name: value, **small}).fit(rows.reshape(-1, 1), rows.astype(int) % 2)

    def fit_early(self, estimator: "BaseEstimator", rows: Rows, unseen: Rows, *, most: int) -> "NDArray[np.float64]":
        """Add trees until the loss on unseen rows has not fallen for a while, and keep those up to the best."""
        import numpy as np
        from lightgbm import early_stopping
        from sklearn.base import is_regressor

        fall = least_fall(unseen, regression=is_regressor(estimator))
        estimator.set_params(n_estimators=most)
        estimator.fit(
            rows.features,
            rows.target,
            sample_weight=rows.weights,
            eval_X=unseen.features,
            eval_y=unseen.target,
            eval_sample_weight=None if unseen.weights is None else [unseen.weights],
            callbacks=[early_stopping(patience(estimator.learning_rate), verbose=False, min_delta=fall)],
        )
        best = max(1, int(estimator.best_iteration_))
        estimator.set_params(n_estimators=best)
        losses = np.array(next(iter(estimator.evals_result_["valid_0"].values())))
        # falls of less than `min_delta` count as none, and the trees after the best are gone
        return np.append(losses[:best], np.maximum(losses[best:], losses[best - 1]))

    def for_onnx(self, estimator: "BaseEstimator") -> "BaseEstimator":
        """With thresholds that are float32 values."""
        _register_converters()
        return _with_float32_thresholds(estimator)


def _register_converters() -> None:
    """Tell skl2onnx about LightGBM; done again it changes nothing."""
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    classifier_options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options=classifier_options,
    )
    update_registered_converter(
        LGBMRegressor,
        "LightGbmLGBMRegressor",
        calculate_linear_regressor_output_shapes,
        convert_lightgbm,
        options={"split": None},
    )


def _with_float32_thresholds(estimator: "BaseEstimator") -> "BaseEstimator":
    import numpy as np
    from lightgbm import Booster

    lines = []
    for line in estimator.booster_.model_to_string().splitlines():
        key, _, values = line.partition("=")
        if key == "threshold":
            rounded = round_down(np.asarray(values.split(), dtype=np.float64))
            lines.append("threshold=" + " ".join(repr(float(value)) for value in rounded))
        else:
            lines.append(line)
    changed = copy.copy(estimator)
    changed._Booster = Booster(model_str=_with_tree_sizes(lines))
    return changed


def _with_tree_sizes(lines: list[str]) -> str:
    """LightGBM's text names the bytes of each tree; without that line it finds the trees by itself."""
    return "\n".join(line for line in lines if not line.startswith("tree_sizes=")) + "\n"


FAMILY = LightGBM()

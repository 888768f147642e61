"""The names that a configuration may give: of kinds of problem, of metrics, and of model families.

Each name is a file: of `tasks/`, `metrics/` or `families/`, whose tables are made from these lists. A new one is that
file and its name here; the configuration's schema, its defaults and every list elsewhere follow. Nothing is imported
here, because the configuration has to load without numpy.
"""

from typing import Literal

TaskName = Literal["binary", "multiclass", "regression"]
DefaultFamily = Literal["linear", "hist_gradient_boosting", "lightgbm", "random_forest"]  # compared by default
FamilyName = Literal[DefaultFamily, "extra_trees"]

# In the order in which they are shown.
ClassMetric = Literal[
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier"
]
NumberMetric = Literal["mae", "rmse", "r2", "mape"]
MetricName = Literal[ClassMetric, NumberMetric]
ThresholdMetric = Literal["f1", "accuracy", "balanced_accuracy"]  # by which a threshold can be chosen

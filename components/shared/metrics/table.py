"""The table of all metrics, by name, in the order they are shown: each name of the configuration is a file beside this.

A new metric is `metrics/<name>.py` with its function and a `METRIC`, and its name in `components.shared.names`.
"""

from importlib import import_module
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from components.shared.metrics.metric import Answers, Metric, check_finite
from components.shared.metrics.weights import Weights
from components.shared.names import MetricName, TaskName
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import ScoreArray, TargetArray

TABLE: dict[MetricName, Metric] = {
    name: import_module(f"components.shared.metrics.{name}").METRIC for name in get_args(MetricName)
}
LABELS: dict[MetricName, str] = {name: metric.label for name, metric in TABLE.items()}


def gain(metric: MetricName, value: float, reference: float) -> float:
    """How much better `value` is than `reference`, in the metric's unit: positive is better whatever the metric."""
    return reference - value if TABLE[metric].lower_is_better else value - reference


def compute(
    task: TaskName,
    target: TargetArray,
    scores: ScoreArray,
    *,
    threshold: float = 0.5,
    weights: NDArray[np.float64] | None = None,
) -> dict[MetricName, float]:
    """All metrics of a task.

    Args:
        task: Decides which metrics there are.
        target: Class indices or values, shape (rows,).
        scores: Probabilities, shape (rows, classes), or values, shape (rows,).
        threshold: Binary only: probability from which the positive class is answered.
        weights: How much each row counts, shape (rows,); by default all the same.

    Returns:
        Value by metric, NaN where the rows cannot tell.

    Raises:
        DataError: The model answered NaN or infinity.
    """
    check_finite(scores)
    answers, counted = Answers(scores, threshold), Weights(np.ones(len(target)) if weights is None else weights)
    return {metric: float(TABLE[metric](target, answers, counted)[0]) for metric in TASKS[task].metrics}


def score(
    metric: MetricName,
    task: TaskName,
    target: TargetArray,
    scores: ScoreArray,
    *,
    threshold: float = 0.5,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """One metric; the arguments are those of `compute`.

    Raises:
        DataError: The model answered NaN or infinity.
        ValueError: The metric is none of the task's.
    """
    if metric not in TASKS[task].metrics:
        raise ValueError(f"{metric} is no metric of the task {task}; those are {', '.join(TASKS[task].metrics)}")
    check_finite(scores)
    return TABLE[metric].value(target, Answers(scores, threshold), weights)

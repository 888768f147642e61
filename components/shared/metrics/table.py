"""The table of all metrics, by name, in the order they are shown; everything else that lists metrics follows it.

A new metric is a function and an entry in `METRICS` of a file beside this one, and its name among the configuration's
(`components.shared.config.base`), which cannot import this table because it has to load without numpy.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.config import Metric as MetricName
from components.shared.config import Task
from components.shared.metrics import decisions, numbers, probabilities, ranking
from components.shared.metrics.metric import Answers, Metric, check_finite
from components.shared.metrics.weights import Weights

TABLE: dict[MetricName, Metric] = {
    metric.name: metric for module in (decisions, ranking, probabilities, numbers) for metric in module.METRICS
}
LABELS: dict[MetricName, str] = {name: metric.label for name, metric in TABLE.items()}


def metrics_of(task: Task) -> tuple[MetricName, ...]:
    """The metrics of a task, in the order they are shown."""
    return tuple(name for name, metric in TABLE.items() if task in metric.tasks)


CLASSIFICATION = metrics_of("binary")
REGRESSION = metrics_of("regression")


def gain(metric: MetricName, value: float, reference: float) -> float:
    """How much better `value` is than `reference`, in the metric's unit: positive is better whatever the metric."""
    return reference - value if TABLE[metric].lower_is_better else value - reference


def compute(
    task: Task,
    target: NDArray[Any],
    scores: NDArray[Any],
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
    return {metric: float(TABLE[metric](target, answers, counted)[0]) for metric in metrics_of(task)}


def score(
    metric: MetricName,
    task: Task,
    target: NDArray[Any],
    scores: NDArray[Any],
    *,
    threshold: float = 0.5,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """One metric; the arguments are those of `compute`.

    Raises:
        DataError: The model answered NaN or infinity.
        ValueError: The metric is none of the task's.
    """
    if task not in TABLE[metric].tasks:
        raise ValueError(f"{metric} is no metric of the task {task}; those are {', '.join(metrics_of(task))}")
    check_finite(scores)
    return TABLE[metric].value(target, Answers(scores, threshold), weights)

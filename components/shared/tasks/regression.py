"""A number."""

from typing import get_args

from components.shared.names import NumberMetric
from components.shared.tasks.answer import Values
from components.shared.tasks.base import Task
from components.shared.tasks.baseline import MeanOrMedian
from components.shared.tasks.target import Numbers

TASK = Task(
    name="regression",
    about="a number",
    metrics=get_args(NumberMetric),
    default_metric="rmse",
    shown_metrics=("mae", "r2"),
    target=Numbers(),
    answer=Values(),
    baseline=MeanOrMedian(),
)

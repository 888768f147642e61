"""One of several classes; the most probable one is answered."""

from typing import get_args

from components.shared.names import ClassMetric
from components.shared.tasks.answer import Probabilities
from components.shared.tasks.base import Task
from components.shared.tasks.baseline import ClassShares
from components.shared.tasks.target import MOST_CLASSES, Classes

TASK = Task(
    name="multiclass",
    about="one of several classes",
    metrics=get_args(ClassMetric),
    default_metric="log_loss",
    shown_metrics=("accuracy", "f1", "log_loss"),
    target=Classes(
        most=MOST_CLASSES,
        if_more=". Group them in the query.",
        has_positive=False,
    ),
    answer=Probabilities(of_positive=False),
    baseline=ClassShares(),
)

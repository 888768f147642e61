"""Yes or no: two classes, of which one is asked for; a threshold on its probability decides."""

from typing import get_args

from components.shared.names import ClassMetric
from components.shared.tasks.answer import Probabilities
from components.shared.tasks.base import Task
from components.shared.tasks.baseline import ClassShares
from components.shared.tasks.target import Classes

TASK = Task(
    name="binary",
    about="yes or no",
    metrics=get_args(ClassMetric),
    default_metric="roc_auc",
    shown_metrics=("accuracy", "f1", "log_loss"),
    target=Classes(
        most=2, if_more="; a binary task has two. Use `multiclass`, or make it two in the query.", has_positive=True
    ),
    answer=Probabilities(of_positive=True),
    baseline=ClassShares(),
)

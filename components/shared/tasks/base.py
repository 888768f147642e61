"""What a kind of problem is: all that stages, pages and the endpoint have to know of it.

Stages ask a task what they need to know instead of comparing its name, so that another kind of problem is another file
and no search for ifs. Everything that depends on it is in here or in the parts it is made of: target, answer and
baseline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.shared.names import FamilyName, MetricName, TaskName
from components.shared.tasks.answer import Answer
from components.shared.tasks.baseline import Baseline
from components.shared.tasks.target import Classes, Numbers

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Task:
    """A kind of problem.

    Attributes:
        name: Its name in the configuration, and of its file.
        about: What is predicted, in some words.
        metrics: What models are judged by, in the order in which they are shown.
        default_metric: What is optimised unless the configuration names another metric.
        shown_metrics: Those that a short table shows beside the optimised one.
        target: What the target may hold, and how it is read.
        answer: What a model answers, and how it is served, logged, watched and compared.
        baseline: What a model has to be better than.
        objectives: By family, parameters of its estimator that are fixed for this kind of problem, such as the loss.
    """

    name: TaskName
    about: str
    metrics: tuple[MetricName, ...]
    default_metric: MetricName
    shown_metrics: tuple[MetricName, ...]
    target: Numbers | Classes
    answer: Answer
    baseline: Baseline
    objectives: Mapping[FamilyName, Mapping[str, Value]] = field(default_factory=dict)

    @property
    def has_classes(self) -> bool:
        """Whether the target is one of some classes; otherwise it is a number."""
        return isinstance(self.target, Classes)

    @property
    def has_positive_class(self) -> bool:
        """Whether there are two classes of which one is asked for: only then is there a threshold."""
        return isinstance(self.target, Classes) and self.target.has_positive

    @property
    def is_one_number(self) -> bool:
        """Whether target and prediction are one number a row: a value, or of two classes the positive one's."""
        return not self.has_classes or self.has_positive_class

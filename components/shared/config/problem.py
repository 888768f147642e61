"""`problem`: what is to be predicted from what.

Most mistakes in a machine-learning project are mistakes about columns: one that is known too late, one that is an
identifier, one that counts rows. Each role has a name here, and a column that is given two roles that exclude each
other is refused before a row is read.
"""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.shared.config.base import Section
from components.shared.names import TaskName, ThresholdMetric
from components.shared.tasks import TASKS


class ErrorCosts(Section):
    """What a wrong answer costs, in any unit; only the ratio decides."""

    false_positive: float = Field(gt=0, description="Cost of answering the positive class where it is not true.")
    false_negative: float = Field(gt=0, description="Cost of missing the positive class.")


class ThresholdRule(Section):
    """What a threshold is chosen by: the largest metric, or the smallest cost."""

    metric: ThresholdMetric | None = Field(
        default=None, description="The metric to be as large as possible; F1 unless costs are given."
    )
    costs: ErrorCosts | None = Field(default=None, description="What each kind of error costs, instead of a metric.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.metric and self.costs:
            raise ValueError("give `metric` or `costs`, not both")
        return self


class ProblemConfig(Section):
    """What is to be predicted from what."""

    target: str = Field(description="Column to predict.")
    task: TaskName = Field(
        description="; ".join(f"`{name}`: {task.about}" for name, task in TASKS.items()) + ".",
    )
    positive: bool | int | str | None = Field(
        default=None,
        description="Binary only: the class whose probability is asked for; by default the larger one (true, 1).",
    )
    threshold: float | Literal["auto"] = Field(
        default="auto",
        description="Binary only: probability, above 0 and below 1, from which the positive class is answered; "
        "`auto` chooses it by `threshold_by` on rows that the model did not learn from.",
    )
    threshold_by: ThresholdRule = Field(
        default=ThresholdRule(), description="What `threshold: auto` is chosen by: a metric, or what errors cost."
    )
    time_column: str = Field(
        default="",
        description="Date or timestamp that orders the rows; with it the data window and the split go by time.",
    )
    keys: list[str] = Field(
        default=[], description="Columns that together identify a row; features only when named there."
    )
    features: list[str] = Field(
        default=[],
        description="Columns to learn from; empty for all but the target, time column, weights, keys, the group of the "
        "split, ignored and leak columns, row numbers, free text, and columns that are constant or empty. Those named "
        "stay whatever they hold, in this order.",
    )
    ignore: list[str] = Field(default=[], description="Columns that are neither features nor anything else.")
    leaks: list[str] = Field(
        default=[], description="Columns known only after the moment of prediction: naming one as a feature is refused."
    )
    categorical: list[str] = Field(
        default=[],
        description="Whole-number columns to treat as categories, such as codes; texts to keep as categories although "
        "they look like free text.",
    )
    weights: str = Field(
        default="",
        description="Column that says how much each row counts, in training, metrics and intervals; never a feature.",
    )

    @field_validator("threshold", mode="before")
    @classmethod
    def _a_probability_or_auto(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value != "auto" and not (number and 0 < value < 1):
            raise ValueError(f"found {value!r}; expected `auto` or a probability above 0 and below 1")
        return value

    @model_validator(mode="after")
    def _threshold_has_a_use(self) -> Self:
        given = self.threshold_by != ThresholdRule()
        if not TASKS[self.task].has_positive_class and (given or self.threshold != "auto"):
            name = "threshold_by" if given else "threshold"
            raise ValueError(f"{name} is for binary tasks; a {self.task} task has no threshold: remove it")
        if self.threshold != "auto" and given:
            raise ValueError(
                f"threshold is fixed at {self.threshold}, so threshold_by would have no effect: remove one of them"
            )
        return self

    @model_validator(mode="after")
    def _features_are_known_in_time(self) -> Self:
        weights = [self.weights] if self.weights else []
        excluded = {"leaks": self.leaks, "ignore": self.ignore, "target": [self.target], "weights": weights}
        mistakes = [
            f"features names {column!r}, which is also in problem.{role}"
            for role, columns in excluded.items()
            for column in self.features
            if column in columns
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    @model_validator(mode="after")
    def _weights_are_nothing_else(self) -> Self:
        roles = {"target": [self.target], "time_column": [self.time_column], "keys": self.keys, "leaks": self.leaks}
        taken = [role for role, columns in {**roles, "ignore": self.ignore}.items() if self.weights in columns]
        if self.weights and taken:
            raise ValueError(f"weights names {self.weights!r}, which is also problem.{taken[0]}")
        return self

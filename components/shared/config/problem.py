"""`problem`: what is to be predicted from what."""

from typing import Self

from pydantic import Field, model_validator

from components.shared.config.base import Section, Task


class ProblemConfig(Section):
    """What is to be predicted from what."""

    target: str = Field(description="Column to predict.")
    task: Task = Field(description="`binary`, `multiclass` or `regression`.")
    positive: bool | int | str | None = Field(
        default=None,
        description="Binary only: the class whose probability is asked for; by default the larger one (true, 1).",
    )
    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Binary only: probability from which the positive class is answered."
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
        "split, ignored and leak columns, row numbers and free text.",
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

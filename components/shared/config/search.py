"""`search`: the model families and how each is tuned.

The budget is of each family, in trials and in seconds; the clock comes second, because a search that it cuts short
gives other results on another machine. Spaces are given by the estimator's own names, which the families check.
"""

import logging
from typing import Any, Self, get_args

from pydantic import Field, field_validator, model_validator

from components.shared.config.base import Section
from components.shared.names import DefaultFamily, FamilyName, MetricName
from components.shared.tasks import TASKS

_logger = logging.getLogger(__name__)


class ParameterSpace(Section):
    """Values a hyperparameter may take: a range, or choices."""

    low: float | None = Field(default=None, description="Smallest value.")
    high: float | None = Field(default=None, description="Largest value.")
    log: bool = Field(default=False, description="Whether the range is searched on a logarithmic scale.")
    integer: bool = Field(default=False, description="Whether only whole numbers are tried.")
    choices: list[bool | int | float | str | None] = Field(
        default=[], description="The values to try, instead of a range."
    )

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        is_range = self.low is not None and self.high is not None
        if is_range == bool(self.choices):
            raise ValueError("give either `low` and `high`, or `choices`")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        if self.log and (self.low or 0) <= 0:
            raise ValueError("a logarithmic range needs low above 0")
        return self


class Budget(Section):
    """What the search of one model family may cost."""

    seconds: float = Field(default=60, gt=0, description="Wall-clock seconds; no trial starts after them.")
    trials: int = Field(default=10, ge=1, description="Number of trials.")


class SearchConfig(Section):
    """How each model family is tuned."""

    families: list[FamilyName] = Field(
        default=list(get_args(DefaultFamily)),
        min_length=1,
        description="Model families to compare, each with the baseline too, which is always computed.",
    )
    metric: MetricName | None = Field(
        default=None,
        description="What is optimised on the validation part; by default "
        + ", ".join(f"`{task.default_metric}` ({name})" for name, task in TASKS.items())
        + ".",
    )
    budget: Budget = Field(default=Budget(), description="Per family.")
    rows: int = Field(
        default=50_000, ge=50, description="Training rows sampled for the trials; the final model learns from all."
    )
    rounds: int = Field(
        default=2_000,
        ge=1,
        description="Most rounds of boosted trees. How many are used is found on rows not learned from, unless "
        "`space` names the parameter that counts them.",
    )
    pruning: bool = Field(
        default=True,
        description="Whether trials start with a share of the rows (of the folds where there are few), and only the "
        "best third goes on to more.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the search and of the models.")
    space: dict[FamilyName, dict[str, ParameterSpace]] = Field(
        default={}, description="Overrides of the search spaces: family, then parameter."
    )

    @field_validator("families", mode="before")
    @classmethod
    def _without_the_baseline(cls, families: Any) -> Any:
        """Earlier configurations name `dummy`, the baseline, which evaluate always computes."""
        if not isinstance(families, list) or "dummy" not in families:
            return families
        if not (others := [family for family in families if family != "dummy"]):
            raise ValueError("`dummy` is only the baseline: name at least one other family")
        _logger.warning("search.families: `dummy` is left out, as evaluate always computes the baseline. Remove it.")
        return others

    @field_validator("families")
    @classmethod
    def _each_once(cls, families: list[FamilyName]) -> list[FamilyName]:
        if len(set(families)) < len(families):
            raise ValueError("each family may be named once")
        return families

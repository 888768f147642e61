"""What tuning a model family found: written by tune, one JSON file a family, read by train.

Tune runs once for each family, at the same time or on other machines, and train has to choose among what they found.
All trials are kept, not only the best: the record and the card say how much was tried, and how many trials the clock
cut short.
"""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from components.shared.config import FamilyName, Metric
from components.shared.evaluation import metric_text
from components.shared.metrics import LABELS

Value = bool | int | float | str | None
State = Literal["complete", "pruned", "cut", "failed"]


class Trial(BaseModel):
    """One set of parameters tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    state: State = Field(description="`pruned` fell behind others on as many rows; `cut` was ended by the clock.")
    parameters: dict[str, Value] = Field(description="With the rounds found, for boosted trees.")
    score: float | None = Field(description="On rows not learned from; of a pruned or cut trial, where it ended.")
    rows: int = Field(default=0, description="Training rows from which it learned last; of folds, on average.")
    seconds: float
    detail: str = Field(default="", description="Why it failed or ended early.")


class Best(BaseModel):
    """The best trial."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: dict[str, Value]
    score: float
    rows: int = Field(default=0, description="Training rows from which it learned; of folds, on average.")
    cut: bool = Field(default=False, description="Whether the clock ended it: no trial of the family was completed.")


class FamilyTrials(BaseModel):
    """All trials of a family."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: FamilyName
    metric: Metric
    rows: int = Field(description="Rows that the trials had to learn from, in all.")
    finds_rounds: bool = Field(
        default=False, description="Whether the rounds among the parameters were found on rows not learned from."
    )
    best: Best
    trials: list[Trial]
    warnings: list[str] = Field(default=[], description="What makes the search worth less than it seems.")

    @property
    def message(self) -> str:
        """One line for people."""
        states = [trial.state for trial in self.trials]
        count = "1 trial" if len(states) == 1 else f"{len(states)} trials"
        others = "".join(
            f", {states.count(state)} {state}" for state in get_args(State) if state != "complete" and state in states
        )
        score = f"{LABELS[self.metric]} {metric_text(self.metric, self.best.score)}"
        text = f"{self.family}: {score}, best of {count}{others}, on {self.rows:,} rows"
        return text + ("; none was completed: raise search.budget.seconds" if self.best.cut else "")

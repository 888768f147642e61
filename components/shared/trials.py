"""What tuning a model family found: written by tune, one JSON file a family, read by train."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from components.shared.config import FamilyName, Metric

Value = bool | int | float | str | None


class Trial(BaseModel):
    """One set of parameters tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    state: Literal["complete", "pruned", "failed"]
    parameters: dict[str, Value]
    score: float | None = Field(description="On the validation part; of a pruned trial, where it was stopped.")
    seconds: float
    detail: str = Field(default="", description="Why it failed or was cut short.")


class Best(BaseModel):
    """The best complete trial."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: dict[str, Value]
    score: float


class FamilyTrials(BaseModel):
    """All trials of a family."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: FamilyName
    metric: Metric
    rows: int = Field(description="Training rows the trials learned from.")
    best: Best
    trials: list[Trial]

    @property
    def message(self) -> str:
        """One line for people."""
        states = [trial.state for trial in self.trials]
        count = "1 trial" if len(states) == 1 else f"{len(states)} trials"
        others = "".join(f", {states.count(state)} {state}" for state in ("pruned", "failed") if state in states)
        return f"{self.family}: {self.metric} {self.best.score:.4f}, best of {count}{others}, on {self.rows:,} rows"

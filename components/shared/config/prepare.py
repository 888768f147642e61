"""`prepare`: repairs and the split.

What is done to rows before anything learns from them, and so what a figure on the test part means: what is removed is
counted by its reason and told. The split follows the question by default: by time where there is one, since a model is
asked about later rows than it learned from.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.shared.config.base import Section


class Bounds(Section):
    """Closed interval of a number."""

    minimum: float | None = Field(default=None, description="Smallest value kept, in the column's unit.")
    maximum: float | None = Field(default=None, description="Largest value kept, in the column's unit.")


class SplitConfig(Section):
    """How rows are divided into train, validation and test."""

    method: Literal["auto", "chronological", "random", "stratified", "grouped"] = Field(
        default="auto",
        description="`auto`: chronological with a time column, else stratified for classes, else random.",
    )
    validation: float = Field(default=0.15, gt=0, lt=0.5, description="Share of rows for choosing the model.")
    test: float = Field(default=0.15, gt=0, lt=0.5, description="Share of rows for judging it.")
    group: str = Field(
        default="",
        description="`grouped` only: column whose values never stand in two parts; a feature only when "
        "`problem.features` names it.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the random methods.")

    @model_validator(mode="after")
    def _group_named(self) -> Self:
        if (self.method == "grouped") != bool(self.group):
            raise ValueError("`group` names a column exactly when method is `grouped`")
        return self


class PrepareConfig(Section):
    """How rows are repaired and divided."""

    drop_duplicates: bool = Field(
        default=False,
        description="Whether rows equal in every column are copies, of which one is kept; otherwise each is an "
        "observation of its own.",
    )
    duplicate_keys: Literal["first", "last", "fail"] = Field(
        default="last", description="Which row of the same key stays, by time column then order of arrival; or `fail`."
    )
    bounds: dict[str, Bounds] = Field(default={}, description="Rows outside these intervals are dropped; nulls stay.")
    dates: dict[str, list[str]] = Field(
        default={}, description="Text columns holding dates, each with the strptime formats tried in order."
    )
    split: SplitConfig = Field(default=SplitConfig(), description="The three parts.")
    leak_threshold: float = Field(
        default=0.99,
        gt=0.5,
        le=1,
        description="A single feature whose own ROC AUC (classes) or R² (numbers) reaches this is warned of.",
    )

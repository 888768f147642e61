"""`contract`: what the ingested table promises.

What every table has to hold, said by a person and not by the data. Each rule says what its breach does, since some
faults cost a row and others mean that the source has changed. Prepare is given the part that it needs (`of_schema`), so
that a changed rule about rows does not make it run again.
"""

from typing import Literal

from pydantic import Field

from components.shared.config.base import ColumnType, OnFailure, Section, Share


class ColumnRule(Section):
    """What one column has to hold."""

    type: ColumnType | None = Field(default=None, description="Type of the column; null accepts any.")
    required: bool = Field(default=True, description="Whether the column has to be there.")
    nullable: bool = Field(default=False, description="Whether values may be missing.")
    minimum: float | None = Field(default=None, description="Smallest allowed number, in the column's unit.")
    maximum: float | None = Field(default=None, description="Largest allowed number, in the column's unit.")
    allowed: list[bool | int | float | str] = Field(default=[], description="The only allowed values; empty for any.")
    pattern: str = Field(
        default="", description="Regular expression that each whole text value has to match; empty for any."
    )
    unique: bool = Field(default=False, description="Whether no value may occur twice.")
    on_failure: OnFailure = Field(
        default="fail", description="`fail` ends the run; `quarantine` moves the bad rows to the quarantine table."
    )


class CheckRule(Section):
    """A condition across the columns of a row."""

    name: str = Field(min_length=1, description="Name of the rule in reports and in the quarantine.")
    sql: str = Field(
        min_length=1, description="SQL condition that each row has to fulfil; a null result counts as fulfilled."
    )
    on_failure: OnFailure = Field(
        default="fail", description="`fail` ends the run; `quarantine` moves the bad rows to the quarantine table."
    )


class UniqueRule(Section):
    """Columns whose values together may occur only once."""

    columns: list[str] = Field(min_length=1, description="The columns of the key.")
    on_failure: OnFailure = Field(
        default="fail", description="`fail` ends the run; `quarantine` moves all but the first row of each key there."
    )


class ContractConfig(Section):
    """The data contract: what the ingested table promises."""

    columns: dict[str, ColumnRule] = Field(default={}, description="Rules by column name.")
    unique: list[UniqueRule] = Field(default=[], description="Unique keys.")
    checks: list[CheckRule] = Field(default=[], description="Conditions across columns.")
    other_columns: Literal["allow", "fail"] = Field(
        default="allow", description="What to do with columns the contract does not name."
    )
    minimum_rows: int = Field(default=50, ge=2, description="Fewest rows worth learning from.")
    maximum_age_days: float | None = Field(
        default=None, gt=0, description="Oldest allowed age, in days, of the newest row by the time column."
    )
    non_finite: OnFailure = Field(
        default="quarantine",
        description="What to do with rows holding an infinite number or one beyond the range of float32.",
    )
    quarantine_limit: Share = Field(
        default=0.01, description="Largest share of rows that may be quarantined before the run fails."
    )

    @property
    def of_schema(self) -> "ContractConfig":
        """The part that prepare needs: fewest rows, nullable columns, and columns that may get fractions later."""
        return ContractConfig(
            columns={
                name: ColumnRule(type="number" if rule.type == "number" else None, nullable=rule.nullable)
                for name, rule in self.columns.items()
                if rule.nullable or rule.type == "number"
            },
            minimum_rows=self.minimum_rows,
        )

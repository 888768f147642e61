"""`monitoring`: the drift report. It travels with the version, beside its files: see `registry.monitoring`."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.shared.config.base import Section, Share

DriftMethod = Literal["wasserstein", "ks", "psi", "jensenshannon", "chisquare"]


class ColumnDrift(Section):
    """How one column is watched."""

    method: DriftMethod = Field(description="Distance or test.")
    threshold: float = Field(
        gt=0, description="Value from which the column counts as drifted (below which, for p-values)."
    )


class MonitoringConfig(Section):
    """The drift report."""

    numeric: ColumnDrift = Field(default=ColumnDrift(method="wasserstein", threshold=0.1), description="For numbers.")
    categorical: ColumnDrift = Field(
        default=ColumnDrift(method="jensenshannon", threshold=0.1), description="For categories."
    )
    columns: dict[str, ColumnDrift] = Field(default={}, description="Overrides by column name.")
    drift_share: Share = Field(
        default=0.5, description="Share of drifted columns from which the table counts as drifted."
    )
    null_share_change: Share = Field(
        default=0.05, description="Change in a column's share of nulls from which it is reported."
    )
    window_hours: float = Field(
        default=24,
        gt=0,
        le=744,
        description="Hours of the inference log that are compared, up to now; whole hours are taken.",
    )
    rows: int = Field(
        default=10_000,
        ge=100,
        description="Most rows of each window that are compared; of more, a random sample with equal chances.",
    )
    minimum_rows: int = Field(
        default=100,
        ge=10,
        description="Fewest logged rows that are compared; while a window has fewer, hours before it are taken too.",
    )

    NUMERIC: ClassVar[tuple[DriftMethod, ...]] = ("wasserstein", "ks", "psi", "jensenshannon")
    CATEGORICAL: ClassVar[tuple[DriftMethod, ...]] = ("jensenshannon", "psi", "chisquare")

    @model_validator(mode="after")
    def _methods_fit(self) -> Self:
        for kind, chosen, methods in (
            ("numeric", self.numeric, self.NUMERIC),
            ("categorical", self.categorical, self.CATEGORICAL),
        ):
            if chosen.method not in methods:
                raise ValueError(
                    f"{kind}.method: {chosen.method!r} is not for {kind} columns, use {', '.join(methods)}"
                )
        return self

    def overridden(self, other: "MonitoringConfig") -> Self:
        """These settings, with those that another section sets in place of the ones here."""
        given = other.model_dump(include=other.model_fields_set)
        return type(self).model_validate({**self.model_dump(), **given})

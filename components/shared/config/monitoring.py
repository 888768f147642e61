"""`monitoring`: the drift report. It travels with the version, beside its files: see `registry.monitoring`.

How a version is watched is settled when it is made, and kept with it: a later configuration is about a later version.
One that is given to a command goes before it, key by key (`overridden`). Methods are named by kind of column, since a
distance between numbers says nothing about categories.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.shared.config.base import Section, Share
from components.shared.config.monitoring_checks import ChecksConfig
from components.shared.config.monitoring_labels import LabelsConfig
from components.shared.config.monitoring_policy import PolicyConfig
from components.shared.config.monitoring_windows import WindowsConfig
from components.shared.config.notifications import NotificationsConfig

DriftMethod = Literal["wasserstein", "ks", "psi", "jensenshannon", "chisquare"]


class ColumnDrift(Section):
    """How one column is watched."""

    method: DriftMethod = Field(description="Distance or test.")
    threshold: float = Field(
        gt=0, description="Value from which the column counts as drifted (below which, for p-values)."
    )


class MonitoringConfig(Section):
    """The drift report, and what follows from it."""

    numeric: ColumnDrift = Field(default=ColumnDrift(method="wasserstein", threshold=0.1), description="For numbers.")
    categorical: ColumnDrift = Field(
        default=ColumnDrift(method="jensenshannon", threshold=0.1), description="For categories."
    )
    columns: dict[str, ColumnDrift] = Field(default={}, description="Overrides by column name.")
    drift_share: Share = Field(
        default=0.5, description="Share of drifted columns from which the table counts as drifted."
    )
    false_discovery_rate: Share = Field(
        default=0.05,
        description="Share of the columns called drifted that may be so by chance (Benjamini-Hochberg): a distance "
        "counts only where chance alone seldom makes it as large, adjusted for the number of columns.",
    )
    least_importance: Share = Field(
        default=0.01,
        description="Share of the model's importance below which a feature counts as unused: its drift is reported and "
        "is no alarm.",
    )
    null_share_change: Share = Field(
        default=0.05, description="Change in a column's share of nulls from which it is reported."
    )
    checks: ChecksConfig = Field(default=ChecksConfig(), description="When the rows themselves are wrong.")
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
    labels: LabelsConfig = Field(default=LabelsConfig(), description="Labels that come late.")
    windows: WindowsConfig = Field(default=WindowsConfig(), description="Windows of time, each with a report.")
    policy: PolicyConfig = Field(default=PolicyConfig(), description="When to warn and when to retrain.")
    notifications: NotificationsConfig = Field(default=NotificationsConfig(), description="Who is told of what.")

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
        """These settings, with those that another section sets in place of the ones here; also within its sections."""
        return type(self).model_validate(_merged(self.model_dump(), other.model_dump(exclude_unset=True)))


# Example: {windows: {size: 1d, zone: UTC}} with {windows: {size: 1h}} in place of it is {windows: {size: 1h, zone:
# UTC}}.
def _merged(here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """Nested settings, with those of another one in place of the ones here."""
    return {
        **here,
        **{
            name: _merged(here[name], value) if isinstance(value, dict) and isinstance(here.get(name), dict) else value
            for name, value in there.items()
        },
    }

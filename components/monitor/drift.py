"""What a comparison of two windows found, with a pinned method and threshold for every column.

The findings are kept with each window and read again much later, by pages, the exporter and decisions. So they name the
method and the threshold they were made with: configurations change, and a distance says nothing without them. Columns
are compared with one another in units of their own thresholds (`in_thresholds`), since methods have different scales.
"""

import math
from collections.abc import Sequence
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from components.shared.config import ColumnDrift, DriftMethod, MonitoringConfig
from components.shared.errors import DataError

P_VALUES: Final[frozenset[DriftMethod]] = frozenset({"ks", "chisquare"})
_FARTHEST = 100.0  # distances are capped at so many thresholds: beyond that a difference tells nothing more


class ColumnFinding(BaseModel):
    """One column in both windows.

    Attributes:
        column: Its name.
        method: How it was measured.
        value: The distance, or the p-value of a test; None when there was nothing to measure.
        threshold: From where it counts as drifted, or below where.
        p_value: How likely chance makes the windows differ so much, adjusted for the number of columns; None when there
            was nothing to measure. 1 for a distance below its threshold, where it is of no interest.
        drifted: Whether it drifted.
        importance: Share of the model's importance, 0 to 1; None when it is not known, and for the prediction.
        used: Whether the model uses it, so that its drift matters.
        reference_nulls: Share of rows without a value in the reference.
        current_nulls: Share of them now.
        nulls_changed: Whether these shares differ by more than they may.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    method: DriftMethod
    value: float | None
    threshold: float
    p_value: float | None = None
    drifted: bool
    importance: float | None = None
    used: bool = True
    reference_nulls: float
    current_nulls: float
    nulls_changed: bool


class DriftFindings(BaseModel):
    """What a comparison found.

    Attributes:
        drifted: Whether so many columns drifted that the table did.
        drifted_share: Share of the measured columns that drifted, of those that the model uses.
        limit: The share from which the table drifted.
        columns: First those that drifted and that the model uses, then others that drifted, then those whose share of
            nulls changed; of these the most important first.
        empty: Columns that could not be measured, because they have no value in one window.
    """

    model_config = ConfigDict(frozen=True)

    drifted: bool
    drifted_share: float
    limit: float
    columns: list[ColumnFinding]
    empty: list[str]

    @classmethod
    def of(cls, columns: Sequence[ColumnFinding], *, empty: Sequence[str], limit: float) -> Self:
        """Judge the table by its columns.

        Args:
            columns: All of them.
            empty: Names of those without a value in one window.
            limit: The share of drifted columns from which the table drifted.
        """
        counting = [finding for finding in columns if finding.used and finding.column not in empty]
        share = sum(finding.drifted for finding in counting) / max(1, len(counting))
        return cls(
            drifted=bool(counting) and share >= limit,
            drifted_share=share,
            limit=limit,
            columns=sorted(columns, key=_rank),
            empty=list(empty),
        )

    @property
    def drifted_columns(self) -> list[str]:
        """Names of the columns that drifted and that the model uses, the most important first."""
        return [finding.column for finding in self.columns if finding.drifted and finding.used]

    @property
    def changed_nulls(self) -> list[str]:
        """Names of the columns whose share of nulls changed."""
        return [finding.column for finding in self.columns if finding.nulls_changed]

    @property
    def measured(self) -> int:
        """Number of columns with values in both windows."""
        return len(self.columns) - len(self.empty)


# Example: age drifted and matters, id drifted and hardly matters, seats only has more nulls, fare is as before. They
# come in this order: (False, …), (True, False, …), (True, True, False, …), (True, True, True, …).
def _rank(finding: ColumnFinding) -> tuple[bool, bool, bool, float]:
    importance = 1.0 if finding.importance is None else finding.importance
    return not (finding.drifted and finding.used), not finding.drifted, not finding.nulls_changed, -importance


def in_thresholds(value: float, threshold: float, *, is_p_value: bool) -> float:
    """How far something moved, in units of its threshold; of p-values, in those of their logarithms.

    From 1 on it is beyond the threshold, whichever side of it that is. Example: of a p-value of 0.0025 with a threshold
    of 0.05 it is 2.
    """
    if not is_p_value:
        return min(_FARTHEST, value / threshold)
    if threshold >= 1:
        return 1.0
    return min(_FARTHEST, math.log(value) / math.log(threshold)) if value else _FARTHEST


def choose_tests(
    columns: Sequence[str], settings: MonitoringConfig, *, numeric: frozenset[str]
) -> dict[str, ColumnDrift]:
    """Method and threshold of each column.

    Args:
        columns: The watched columns.
        settings: Methods and thresholds.
        numeric: Columns that are numbers; the others are categories.

    Raises:
        DataError: The settings name a column that is not watched, or a method that does not fit the column.
    """
    if unknown := sorted(set(settings.columns) - set(columns)):
        raise DataError(
            f"monitoring.columns names {', '.join(map(repr, unknown))}, which the model does not use. "
            f"Watched are: {', '.join(columns)}."
        )
    pinned = {
        name: settings.columns.get(name, settings.numeric if name in numeric else settings.categorical)
        for name in columns
    }
    for name, chosen in pinned.items():
        kind, methods = ("number", settings.NUMERIC) if name in numeric else ("category", settings.CATEGORICAL)
        if chosen.method not in methods:
            raise DataError(
                f"monitoring.columns.{name}.method is {chosen.method!r}, and {name!r} is a {kind}: "
                f"use {', '.join(methods)}."
            )
    return pinned

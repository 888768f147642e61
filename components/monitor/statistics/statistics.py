"""Statistics of the rows of a table: small, mergeable, and all that a comparison needs.

Rows cannot be kept for ever, nor read again for each window; an hour's statistics are some kilobytes, and a window's
are the sum of its hours'. That works only for counts in the same bins, so the digest of the bins goes along and is
checked.
"""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.monitor.statistics.bins import Bins
from components.monitor.statistics.columns import ColumnStatistics, nothing
from components.shared.errors import DataError, in_short

FORMAT: Final = "fullcircle-statistics/1"


class _Kept(BaseModel):
    """The JSON form of `Statistics`: the bins are named by their digest, as all windows of a version share them."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    format: Literal["fullcircle-statistics/1"] = FORMAT
    bins: str
    rows: int
    columns: dict[str, ColumnStatistics]


class Statistics:
    """Statistics of rows that were counted into bins; immutable, so that they may be shared.

    Attributes:
        bins: What was counted into.
        rows: Number of rows.
        columns: By the name of the column, in the order of the bins. A column that no table had has no rows.
    """

    def __init__(self, bins: Bins, rows: int, columns: dict[str, Any]) -> None:
        self.bins = bins
        self.rows = rows
        self.columns: dict[str, ColumnStatistics] = columns

    @classmethod
    def empty(cls, bins: Bins) -> "Statistics":
        """Statistics of no rows."""
        return cls(bins, 0, {name: nothing(column) for name, column in bins.columns.items()})

    def merge(self, other: "Statistics") -> "Statistics":
        """Statistics of the rows of both together.

        Raises:
            DataError: They were counted into other bins.
        """
        if other.bins is not self.bins and other.bins.digest != self.bins.digest:
            raise DataError(
                f"Statistics of bins {other.bins.digest} do not add up with those of bins {self.bins.digest}: they are "
                "of versions with other references. Gather them again from the rows."
            )
        columns = {name: column.merge(other.columns[name]) for name, column in self.columns.items()}  # type: ignore[arg-type]
        return Statistics(self.bins, self.rows + other.rows, columns)

    def to_json(self) -> bytes:
        """As JSON; at most 10 kB a column."""
        return _Kept(bins=self.bins.digest, rows=self.rows, columns=self.columns).model_dump_json().encode()

    @classmethod
    def from_json(cls, content: bytes, bins: Bins) -> "Statistics":
        """Read what `to_json` wrote.

        Raises:
            DataError: It is something else, or was counted into other bins.
        """
        try:
            kept = _Kept.model_validate_json(content)
        except ValidationError as error:
            raise DataError(f"Kept statistics cannot be read: {in_short(error)}. Gather them again.") from error
        if kept.bins != bins.digest:
            raise DataError(
                f"Kept statistics were counted into bins {kept.bins}, expected bins {bins.digest}: the reference is "
                "another one. Gather them again."
            )
        return cls(bins, kept.rows, kept.columns)

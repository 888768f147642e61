"""Into what rows are counted: fixed once from the reference, so that counts of any windows add up and compare.

Numbers are counted between edges that are values of the reference. Values that are frequent there get a bin of their
own, so a column of few values (a flag, a number of seats) loses nothing; the other edges are quantiles, for the bulk,
and evenly spaced, for long tails. How the rows lie within a bin is not known, but their sum is (see `columns`).
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Annotated, Final, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from components.monitor.statistics.packing import Edges
from components.shared.resources import cpu_count

FORMAT: Final = "fullcircle-bins/1"

_MOST_VALUES = 120  # a column with at most so many different values gets a bin for each of them
_QUANTILES, _EVEN = 144, 48
FEW_ROWS = 10_000  # with fewer rows, starting threads takes longer than counting the columns
MOST_CATEGORIES = 1_000  # categories that are counted one by one
_MOST_RARE = 20_000


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


# Example: the reference has the values 0, 0, 1 and 5. With x+ for the float32 after x, the edges are 0, 0+, 1, 1+, 5,
# 5+, and the values -1, 0, 0.5, 5 and 9 of a window are counted as [1, 1, 1, 0, 0, 1, 1]: below 0, 0 itself, between 0
# and 1, 1 itself, between 1 and 5, 5 itself, above 5.
class NumberBins(_Frozen):
    """Bins of a column of numbers.

    Attributes:
        edges: Ascending. Bin 0 is what lies below the first edge, bin i what lies from edge i - 1 to below edge i, and
            the last one what lies above the reference's maximum. Empty where the reference has no value.
        distinct: How many different values the reference has.
    """

    kind: Literal["number"] = "number"
    edges: Edges
    distinct: int

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        """Bins for a column, from its values in the reference, which are finite."""
        ascending = np.sort(values)
        starts = np.flatnonzero(np.diff(ascending, prepend=np.float32(-np.inf)))
        if len(starts) <= _MOST_VALUES:
            own = ascending[starts]
            edges = own
        else:
            places = np.linspace(0, len(ascending) - 1, _QUANTILES).round().astype(np.int64)
            edges, times = np.unique(ascending[places], return_counts=True)
            own = np.append(edges[times > 1], ascending[-1])
            even = np.linspace(float(ascending[0]), float(ascending[-1]), _EVEN).astype(np.float32)
            edges = np.concatenate([edges, np.clip(even, ascending[0], ascending[-1])])
        # Two edges, a value and the float32 after it, make a bin for this value alone.
        with np.errstate(over="ignore"):  # after the largest float32 comes infinity
            after = np.nextafter(own, np.float32(np.inf))
        return cls(edges=np.unique(np.concatenate([edges, after])), distinct=len(starts))

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The edges as float64 for calculations; an infinite edge becomes the largest float32."""
        limit = np.finfo(np.float32)
        return np.clip(self.edges.astype(np.float64), limit.min, limit.max)


class CategoryBins(_Frozen):
    """Categories of a column.

    Attributes:
        names: The most frequent categories of the reference, which are counted one by one.
        rare: Its other categories, which are counted together.
        complete: Whether these are all, so that any other value is one that the reference does not contain.
    """

    kind: Literal["category"] = "category"
    names: list[str]
    rare: frozenset[str]
    complete: bool

    @classmethod
    def of(cls, counts: pd.Series) -> Self:
        """Bins for a column, from how often each category is in the reference."""
        ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
        names = [str(name) for name, _ in ranked]
        rare = names[MOST_CATEGORIES : MOST_CATEGORIES + _MOST_RARE]
        return cls(
            names=names[:MOST_CATEGORIES], rare=frozenset(rare), complete=len(names) <= MOST_CATEGORIES + _MOST_RARE
        )

    @cached_property
    def array(self) -> pa.Array:
        """The names, as a look-up takes them."""
        return pa.array(self.names, pa.string())


ColumnBins = Annotated[NumberBins | CategoryBins, Field(discriminator="kind")]


class Bins(_Frozen):
    """Into what the rows of a table are counted.

    Attributes:
        format: Of this record.
        columns: By the name of the column.
    """

    format: Literal["fullcircle-bins/1"] = FORMAT
    columns: dict[str, ColumnBins]

    @classmethod
    def of(cls, frame: pd.DataFrame, *, numeric: frozenset[str]) -> Self:
        """Bins from the rows of the reference.

        Args:
            frame: One column a watched feature: numbers (missing: NaN) and categories (text; missing: None).
            numeric: Which of the columns are numbers.
        """

        def column(name: str) -> NumberBins | CategoryBins:
            if name not in numeric:
                return CategoryBins.of(frame[name].value_counts())
            values = frame[name].to_numpy(np.float32)
            return NumberBins.of(values[np.isfinite(values)])

        with ThreadPoolExecutor(cpu_count()) as threads:
            spread = threads.map if len(frame) >= FEW_ROWS else map
            return cls(columns=dict(zip(frame, spread(column, frame), strict=True)))

    @property
    def numeric(self) -> frozenset[str]:
        """Columns that are numbers."""
        return frozenset(name for name, bins in self.columns.items() if isinstance(bins, NumberBins))

    @cached_property
    def digest(self) -> str:
        """What tells these bins from any others: sixteen hexadecimal digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

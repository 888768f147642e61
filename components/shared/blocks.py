"""By what the rows of a part are resampled: its groups, periods of its time column, or single rows.

Rows of one hospital, or of one afternoon, are alike; an interval that takes them for independent is too narrow. Where
the split is by a group, its values are the blocks. Otherwise, where there is a time column, the blocks are calendar
periods: the longest of them that leaves at least `ENOUGH_BLOCKS`, because longer ones are less like their neighbours,
and fewer say too little about how they vary.

Example: the test part is the hours of three months. They are 1 year, 3 months, 13 weeks and 91 days: days are the first
of these periods of which there are at least 30. The bootstrap draws them four in a row (`run_length`), because the
third root of 91 is 4.5, so that a resample keeps what one day has in common with the next.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.shared.bootstrap import FEWEST_BLOCKS
from components.shared.formatting import format_quantity
from components.shared.frames import part_path
from components.shared.metrics.weights import Indices
from components.shared.package.schema import Schema

ENOUGH_BLOCKS = 30
_MICROSECONDS = {"week": 7 * 86_400_000_000, "day": 86_400_000_000, "hour": 3_600_000_000, "minute": 60_000_000}
_MONDAY = 4 * 86_400_000_000  # 1970 began on a Thursday; weeks begin on Mondays
_PERIODS = ("year", "month", "week", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class Blocks:
    """The block of each row.

    Attributes:
        of: From 0, shape (rows,).
        kind: `row`, `group`, or a period such as `day`.
        column: The column that was cut into blocks; empty for rows.
        caution: Why there is no better choice, in a sentence; empty when there is nothing to say.
    """

    of: Indices
    kind: str
    column: str = ""
    caution: str = ""

    @property
    def count(self) -> int:
        """Number of blocks."""
        return int(self.of.max(initial=-1)) + 1

    @property
    def run_length(self) -> int:
        """How many in a row are drawn at once: of periods the third root of them (Hall, Horowitz and Jing, 1995)."""
        return 1 if self.kind in ("row", "group") else max(1, round(self.count ** (1 / 3)))

    @property
    def text(self) -> str:
        """For people: `single rows`, or such as `55 days of 'time_hour'`."""
        if self.kind == "row":
            return "single rows"
        return f"{format_quantity(self.count, self.kind)} of {self.column!r}"


def find_blocks(splits: Path, part: str, schema: Schema) -> Blocks:
    """Choose the blocks of a part that prepare wrote.

    Args:
        splits: The folder that prepare writes.
        part: `train`, `validation` or `test`.
        schema: Names the group and the time column.
    """
    path = part_path(splits, part)
    column = schema.group or schema.time_column
    if not column or column not in pq.read_schema(path).names:
        return single_rows(pq.read_metadata(path).num_rows)
    values = pq.read_table(path, columns=[column]).column(0).combine_chunks()
    found = _blocks(values, schema)
    if _are_enough(found):
        return found
    rows = single_rows(len(values))
    caution = (
        f"Intervals are by single rows, because the {part} part has only {found.text}: they are too narrow as far as "
        f"rows of the same {found.kind} are alike."
    )
    return Blocks(rows.of, rows.kind, caution=caution)


def table_blocks(rows: pa.Table, schema: Schema) -> Blocks:
    """Choose the blocks of a table's rows: groups, periods, or single rows where it does not have enough of either.

    Args:
        rows: With the group or the time column, if the schema names one.
        schema: Names them.
    """
    column = schema.group or schema.time_column
    if not column or column not in rows.column_names:
        return single_rows(rows.num_rows)
    found = _blocks(rows[column].combine_chunks(), schema)
    return found if _are_enough(found) else single_rows(rows.num_rows)


def time_blocks(times: pa.Array, column: str) -> Blocks:
    """Choose the blocks of rows by when they were: periods, or single rows where there are too few periods.

    Args:
        times: Timestamps, shape (rows,).
        column: Their column, to be named.
    """
    found = _periods(times, column)
    return found if _are_enough(found) else single_rows(len(times))


def single_rows(rows: int) -> Blocks:
    """Each row is a block of its own."""
    return Blocks(np.arange(rows), "row")


def _blocks(values: pa.Array, schema: Schema) -> Blocks:
    return _groups(values, schema.group) if schema.group else _periods(values, schema.time_column)


def _are_enough(found: Blocks) -> bool:
    return found.count >= min(FEWEST_BLOCKS, len(found.of))


def _groups(values: pa.Array, column: str) -> Blocks:
    encoded = pc.dictionary_encode(values)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Blocks(_numbered(codes, codes >= 0), "group", column)


def _periods(values: pa.Array, column: str) -> Blocks:
    """The longest period that leaves enough blocks; failing that, the longest of those that leave the most."""
    known = pc.is_valid(values).to_numpy(zero_copy_only=False)
    moments = pc.fill_null(values.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), 0)
    times = moments.to_numpy(zero_copy_only=False)
    best = Blocks(np.zeros(len(values), dtype=np.int64), _PERIODS[0], column)
    for period in _PERIODS:
        found = Blocks(_numbered(_period_of(times, period), known), period, column)
        if found.count >= ENOUGH_BLOCKS:
            return found
        if found.count > best.count:
            best = found
    return best


def _period_of(times: NDArray[np.generic], period: str) -> Indices:
    if period in ("year", "month"):
        return times.astype("datetime64[us]").astype(f"datetime64[{period[0].upper()}]").astype(np.int64)
    size = _MICROSECONDS.get(period, 1_000_000)
    return np.asarray((times - (_MONDAY if period == "week" else 0)) // size, dtype=np.int64)


def _numbered(values: Indices, known: NDArray[np.bool_]) -> Indices:
    """Number the values from 0; a row without one is a block of its own: [7, 9, none, 7] becomes [0, 1, 2, 0]."""
    distinct, numbers = np.unique(values[known], return_inverse=True)
    blocks = np.empty(len(values), dtype=np.int64)
    blocks[known] = numbers
    blocks[~known] = len(distinct) + np.arange(np.count_nonzero(~known))
    return blocks

"""Gathering statistics in one pass over tables of any number of rows, in bounded memory, on all cores.

Rows are taken in blocks that fit into a core's cache. A sorted block tells counts, sums, minimum and maximum at once,
and is quicker than a search in the edges for each value: a million values took 0.03 to 0.05 s instead of 0.49 s.
Categories are counted by Arrow.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.monitor.statistics.bins import FEW_ROWS, Bins, CategoryBins, ColumnBins, NumberBins
from components.monitor.statistics.columns import CategoryStatistics, NumberStatistics, nothing
from components.monitor.statistics.statistics import Statistics
from components.shared.resources import cpu_count

_BLOCK = 131_072  # rows


def gather(batches: Iterable[pa.Table], bins: Bins) -> Statistics:
    """Count rows.

    Args:
        batches: Tables with the columns of the bins, each as it may fit into memory. A table may lack columns, and has
            others that are left alone. Numbers that are not finite are missing values, and so is the empty category.
        bins: What to count into.

    Returns:
        Their statistics. Where a table lacks a column, its rows are not among those of the column; values of another
        type (texts in a column of numbers) are counted as unfit.
    """
    found = Statistics.empty(bins)
    with ThreadPoolExecutor(cpu_count()) as threads:
        for block in _blocks(batches):
            columns = {name: block.column(name) for name in bins.columns if name in block.column_names}
            spread = threads.map if block.num_rows >= FEW_ROWS else map
            counted = spread(lambda name: _count(columns[name], bins.columns[name]), columns)  # noqa: B023, used up below
            parts = {name: nothing(column) for name, column in bins.columns.items() if name not in columns}
            parts |= dict(zip(columns, counted, strict=True))
            found = found.merge(Statistics(bins, block.num_rows, parts))
    return found


# Example: tables of 50,000, 50,000, 100,000 and 300,000 rows become blocks of 131,072, 131,072 and 37,856 rows of the
# last one, after one of 200,000 rows of the others: small tables are put together until there are enough, and never
# cut.
def _blocks(batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in blocks of about the same size: small tables of the same columns together, large ones cut."""
    waiting: list[pa.Table] = []
    for table in batches:
        if waiting and (waiting[0].schema != table.schema or sum(map(len, waiting)) >= _BLOCK):
            yield pa.concat_tables(waiting)
            waiting = []
        if table.num_rows < _BLOCK:
            waiting.append(table)
        else:
            yield from (table.slice(start, _BLOCK) for start in range(0, table.num_rows, _BLOCK))
    if waiting:
        yield pa.concat_tables(waiting)


def _count(column: pa.ChunkedArray, bins: ColumnBins) -> NumberStatistics | CategoryStatistics:
    return _count_numbers(column, bins) if isinstance(bins, NumberBins) else _count_categories(column, bins)


def _count_numbers(column: pa.ChunkedArray, bins: NumberBins) -> NumberStatistics:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        unfit = len(column) - column.null_count
        return NumberStatistics.of(np.empty(0, dtype=np.float32), bins, rows=len(column), unfit=unfit)
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float64(), safe=False)
    values = column.to_numpy()
    with np.errstate(over="ignore"):  # beyond the range of float32 it is infinite, as everywhere
        values = values.astype(np.float32, copy=False)
    return NumberStatistics.of(values[np.isfinite(values)], bins, rows=len(values))


def _count_categories(column: pa.ChunkedArray, bins: CategoryBins) -> CategoryStatistics:
    try:
        texts = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        unfit = len(column) - column.null_count
        return CategoryStatistics(counts=np.zeros(len(bins.names), np.int64), rows=len(column), unfit=unfit,
                                  nulls=column.null_count)  # fmt: skip
    counted = pc.value_counts(texts)
    names, counts = counted.field("values"), counted.field("counts").to_numpy()
    there = pc.and_(pc.is_valid(names), pc.not_equal(names, "")).fill_null(False)
    places = pc.index_in(names, value_set=bins.array)
    known = np.zeros(len(bins.names), dtype=np.int64)
    inside = pc.and_(there, pc.is_valid(places)).to_numpy(zero_copy_only=False)
    known[places.filter(pa.array(inside)).to_numpy()] = counts[inside]
    outside = there.to_numpy(zero_copy_only=False) & ~inside
    unknown: dict[str, Any] = dict(
        zip(names.filter(pa.array(outside)).to_pylist(), counts[outside].tolist(), strict=True)
    )
    return CategoryStatistics.of(known, unknown, bins, rows=len(column))

"""Which rows of the test part are looked at on their own.

A model that is good on the whole may be bad for a part of the rows, and the gate can ask for a floor on slices. Columns
that nobody named are sliced too, where they have few values; that has to be bounded, in columns, in values and by a
fewest number of rows, or a wide table gives thousands of slices of a handful of rows, some of which look bad by chance.
"""

import difflib
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.shared.config import EvaluationConfig
from components.shared.errors import ConfigError
from components.shared.evaluation import Slice
from components.shared.frames import part_path
from components.shared.judging import SliceRows
from components.shared.package.schema import Schema

MOST_DEFAULT_COLUMNS = 30  # sliced without having been asked for
MOST_NUMBERS = 12  # a number or date of more distinct values is cut into bins
MOST_SLICES = 50  # of one column
_BINS = 4


def find_slices(splits: Path, schema: Schema, settings: EvaluationConfig) -> tuple[list[SliceRows], list[str]]:
    """Cut the test part by the configured columns, and by booleans and categories of few values.

    Numbers and dates of many values are cut into four bins of about as many rows each.

    Args:
        splits: The folder that prepare writes.
        schema: The model's schema.
        settings: Names the columns and how few values a category may have.

    Returns:
        The slices, by column, numbers and dates in order and the rest largest first; and notes on what was left out.

    Raises:
        ConfigError: The table has no such column.
    """
    path = part_path(splits, "test")
    _check_columns(settings.slices, pq.read_schema(path).names)
    by_default = [name for name in _few_values(schema, settings) if name not in settings.slices]
    chosen = [*dict.fromkeys(settings.slices), *by_default[:MOST_DEFAULT_COLUMNS]]
    table = pq.read_table(path, columns=chosen)
    notes = []
    if left_out := by_default[MOST_DEFAULT_COLUMNS:]:
        notes.append(
            f"Not sliced by {len(left_out):,} more columns of few values, such as {left_out[0]!r}; "
            "name those that matter in evaluation.slices."
        )
    return [found for name in chosen for found in _cut(name, table.column(name))], notes


def large_enough(slices: list[SliceRows], fewest: int) -> tuple[list[SliceRows], list[Slice], list[str]]:
    """Part slices by whether they have enough rows to be judged, at most 50 of a column.

    Args:
        slices: The slices, those of a column next to one another.
        fewest: Fewest rows to be judged by.

    Returns:
        The slices to judge, those too small, and notes on what was left out.
    """
    kept: list[SliceRows] = []
    notes = []
    for column, members in groupby(slices, key=lambda item: item.column):
        of_column = list(members)
        largest = {item.value for item in sorted(of_column, key=lambda item: -len(item.rows))[:MOST_SLICES]}
        kept += [item for item in of_column if item.value in largest]
        if len(of_column) > MOST_SLICES:
            notes.append(f"Of the {len(of_column):,} values of {column!r}, the {MOST_SLICES} most frequent are listed.")
    small = [
        Slice(column=item.column, value=item.value, rows=len(item.rows)) for item in kept if len(item.rows) < fewest
    ]
    return [item for item in kept if len(item.rows) >= fewest], small, notes


def _few_values(schema: Schema, settings: EvaluationConfig) -> list[str]:
    return [
        feature.name
        for feature in schema.features
        if feature.kind == "boolean"
        or (feature.kind == "category" and feature.cardinality <= settings.slice_categories)
    ]


def _check_columns(wanted: Iterable[str], columns: list[str]) -> None:
    for name in wanted:
        if name in columns:
            continue
        near = difflib.get_close_matches(name, columns, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(columns[:30])}."
        raise ConfigError(
            f"evaluation.slices names the column {name!r}, which the prepared table does not have; {hint}"
        )


def _cut(name: str, column: pa.ChunkedArray) -> list[SliceRows]:
    values = column.combine_chunks()
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    labels, codes = _labels(values)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    found = [SliceRows(name, labels[codes[rows[0]]], rows) for rows in groups]
    # Numbers and dates keep their own order, in which the codes are.
    return found if _is_ordered(values.type) else sorted(found, key=lambda item: (-len(item.rows), item.value or ""))


# Example: the column b, null, a, b is encoded as 0, null, 1, 0 of the dictionary [b, a]. In ascending order that is [a,
# b], and a row without a value comes last: the names are [a, b, None], the codes 1, 2, 0, 1.
def _labels(column: pa.Array) -> tuple[list[str | None], NDArray[np.int64]]:
    """The slices' names in ascending order, and which one each row is in; the last is that of rows without a value."""
    encoded = pc.dictionary_encode(column)
    ascending = pc.sort_indices(encoded.dictionary)
    values = encoded.dictionary.take(ascending)
    place = np.empty(len(values) + 1, dtype=np.int64)
    place[ascending.to_numpy()] = np.arange(len(values))
    place[-1] = len(values)
    codes = place[pc.fill_null(encoded.indices, len(values)).to_numpy(zero_copy_only=False)]
    if len(values) <= MOST_NUMBERS or not _is_ordered(column.type):
        return [*(_text(value) for value in values.to_pylist()), None], codes
    return _bins(values, codes)


def _is_ordered(kind: pa.DataType) -> bool:
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(numeric or pa.types.is_temporal(kind))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# Example: three values, in order, are held by 10, 5 and 5 rows. The middles of their rows stand at 0.25, 0.625 and
# 0.875 of all rows, so they fall into the bins 1, 2 and 3 of four. Bin 0 stays empty, since a value is never divided.
def _bins(values: pa.Array, codes: NDArray[np.int64]) -> tuple[list[str | None], NDArray[np.int64]]:
    """Cut ascending values at the quartiles of the rows that hold them; each value is wholly in one bin."""
    counts = np.bincount(codes, minlength=len(values) + 1)[: len(values)]
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    place = np.append(np.minimum((middles * _BINS).astype(np.int64), _BINS - 1), _BINS)
    labels: list[str | None] = []
    for index in range(_BINS):
        members = np.flatnonzero(place == index)
        ends = [_text(values[int(end)].as_py()) for end in (members[0], members[-1])] if len(members) else ["", ""]
        labels.append(ends[0] if ends[0] == ends[1] else " to ".join(ends))
    return [*labels, None], place[codes]

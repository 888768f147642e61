"""From logged columns to those that are watched: the features that are numbers or categories, and the prediction.

The log contains what came in: a column may be missing, or of another type than the model expects. Nothing of that stops
the reading; it is counted in how many rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from components.monitor.observation.calendar import Calendar, Seconds, in_calendar
from components.monitor.windows import answer_columns, prediction_column
from components.shared.inference_rows import RECEIVED, REQUEST_ID, REQUEST_ROW, left_out, log_schema, logged_name
from components.shared.package.schema import Schema
from components.shared.tasks import TASKS

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Watched:
    """Watched columns of some rows.

    Attributes:
        table: Those that the rows have, as logged.
        lacking: Columns that the rows should have and do not.
        left_out: Columns that the configuration leaves out of the log.
    """

    table: pa.Table
    lacking: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()


def watched_columns(rows: pa.Table, schema: Schema, *, features: bool = True) -> Watched:
    """The watched columns of logged rows.

    Args:
        rows: Rows as logged.
        schema: The model's columns.
        features: Whether the rows should have the model's features; those of a batch prediction's table do not.
    """
    prediction = prediction_column(schema)
    sources = {name: name for name in watched_types(schema)} | {prediction: answer_columns(schema)[0]}
    present = {name: source for name, source in sources.items() if source in rows.column_names}
    absent = frozenset(sources.keys() - present.keys())
    omitted = left_out(rows.schema) & absent if features else absent - {prediction}
    table = rows.select(list(present.values())).rename_columns(list(present))
    return Watched(table, absent - omitted, omitted)


def watched_types(schema: Schema) -> dict[str, pa.DataType]:
    """The watched columns of a model, the prediction last: numbers float32, categories text."""
    kinds: dict[str, pa.DataType] = {feature.name: pa.float32() for feature in schema.numbers}
    kinds |= {feature.name: pa.string() for feature in schema.categories}
    number = TASKS[schema.task].is_one_number
    return kinds | {prediction_column(schema): pa.float32() if number else pa.string()}


def as_logged(rows: pa.Table, schema: Schema) -> pa.Table:
    """Rows with the columns and types of a complete log, as a sample keeps them; what does not fit is null."""
    present = set(rows.column_names)
    columns = [
        _cast(rows.column(field.name), field.type) if field.name in present else pa.nulls(rows.num_rows, field.type)
        for field in log_schema(schema, ())
    ]
    return pa.table(columns, schema=log_schema(schema, ()))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_string(column.type) and not pa.types.is_string(kind):
        return pa.chunked_array([pa.nulls(len(column), kind)])  # texts are no numbers, even where they spell some
    try:
        return column.cast(kind, safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([pa.nulls(len(column), kind)])


def watched_frame(rows: pa.Table, schema: Schema) -> pd.DataFrame:
    """The watched columns of `as_logged` rows: numbers float32 (missing: NaN), categories text (missing: None)."""
    watched = watched_columns(rows, schema).table
    return pd.DataFrame(
        {name: _values(watched.column(name), kind) for name, kind in watched_types(schema).items()}, copy=False
    )


def _values(column: pa.ChunkedArray, kind: pa.DataType) -> NDArray[Any]:
    if pa.types.is_string(kind):
        return np.where((texts := column.to_numpy()) == "", np.array(None, dtype=object), texts)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    numbers = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    with np.errstate(over="ignore"):
        values = numbers.astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))


# Time


@dataclass(frozen=True, slots=True)
class Times:
    """When rows were.

    Attributes:
        seconds: Since 1970 in UTC, shape (rows,).
        known: Whether that is the row's own time, shape (rows,); where it has none, the second is 0.
    """

    seconds: Seconds
    known: Mask


def received_times(rows: pa.Table, schema: Schema) -> Times:
    """When requests came; unknown where the log does not tell."""
    return _times(rows, logged_name(RECEIVED, schema))


def event_times(rows: pa.Table, schema: Schema, calendar: Calendar) -> Times:
    """The times in the model's time column, in the zone of the calendar where they have none."""
    found = _times(rows, schema.time_column)
    if not schema.time_column or _is_zoned(rows, schema):
        return found
    return Times(np.where(found.known, calendar.to_utc(found.seconds), 0), found.known)


def _is_zoned(rows: pa.Table, schema: Schema) -> bool:
    """Whether the time column has a zone; one that is logged as text has what the training data had."""
    column = rows.column(schema.time_column) if schema.time_column in rows.column_names else None
    if column is not None and pa.types.is_timestamp(column.type):
        return column.type.tz is not None
    return schema.time_column_zoned is not False


def _times(rows: pa.Table, name: str) -> Times:
    nothing = Times(np.zeros(rows.num_rows, np.int64), np.zeros(rows.num_rows, np.bool_))
    if name not in rows.column_names:
        return nothing
    column = rows.column(name)
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return _parsed(column)
        moments = column.cast(
            pa.timestamp("s", column.type.tz if pa.types.is_timestamp(column.type) else None), safe=False
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return nothing
    return _known(moments.cast(pa.int64()))


def _known(seconds: pa.ChunkedArray) -> Times:
    values = np.asarray(seconds.fill_null(np.iinfo(np.int64).min).to_numpy(), dtype=np.int64)
    known = in_calendar(values)
    return Times(np.where(known, values, 0), known)


def _parsed(texts: pa.ChunkedArray) -> Times:
    """Times that are logged as text: ISO 8601, with or without a zone."""
    parsed = pd.to_datetime(texts.to_pandas(), format="ISO8601", errors="coerce", utc=True)
    return _known(
        pa.chunked_array([pa.Array.from_pandas(parsed.dt.floor("s"))])
        .cast(pa.timestamp("s"), safe=False)
        .cast(pa.int64())
    )


# Identity


def record_keys(rows: pa.Table, schema: Schema) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
    """Hashes of the requested rows, and hashes of their records: 64 bits, shape (rows,) each.

    A requested row is known by the request's id and the row's place in it; a record also by the moment of receipt. Two
    records of one requested row mean that a client used the id twice. None where the log lacks one of these columns.
    """
    names = [logged_name(name, schema) for name in (REQUEST_ID, REQUEST_ROW, RECEIVED)]
    if not set(names) <= set(rows.column_names):
        return None
    frame = rows.select(names).to_pandas()
    return _hashes(frame[names[:2]]), _hashes(frame)


def _hashes(frame: pd.DataFrame) -> NDArray[np.uint64]:
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)

"""From Parquet to what scikit-learn and ONNX take: the only way features and labels leave a table.

A frame has the schema's columns in the order of the model's inputs: numbers as float32 (missing: NaN),
categories as `object` strings (missing: the empty string), timestamps as int64 seconds since 1970 (missing:
`MISSING_TIME`). The same columns, cut by kind, are the three tensors of the ONNX graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.shared.errors import DataError
from components.shared.package.schema import FeatureKind, Schema
from components.shared.package.scoring import MISSING_TIME, Inputs
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import TargetArray

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the split.

    Attributes:
        frame: Features, shape (rows, features), in the order of `Schema.columns`.
        target: Class indices (int64) or values (float64), shape (rows,).
        weights: How much each row counts, shape (rows,); None where all rows count the same.
    """

    frame: pd.DataFrame
    target: TargetArray
    weights: NDArray[np.float64] | None = None


def part_path(splits: Path, part: str) -> Path:
    """The Parquet file of a part within the folder that prepare writes."""
    return splits / f"{part}.parquet"


def load_part(splits: Path, part: str, schema: Schema) -> Part:
    """Read one part of the split, `train`, `validation` or `test`, in the order of its rows."""
    extra = [schema.weights] if schema.weights else []
    table = pq.read_table(part_path(splits, part), columns=[*schema.columns, schema.target, *extra])
    return Part(frame=features(table, schema), target=labels(table, schema), weights=row_weights(table, schema))


def time_range(splits: Path, parts: Sequence[str], column: str) -> tuple[str, str]:
    """The oldest and newest moment of some parts, ISO 8601 in UTC without a zone; both empty without any."""
    read = (pq.read_table(part_path(splits, part), columns=[column]).column(0) for part in parts)
    ends = [pc.min_max(times.cast(pa.timestamp("us"), safe=False)).as_py() for times in read]
    lows = [found["min"] for found in ends if found["min"] is not None]
    highs = [found["max"] for found in ends if found["max"] is not None]
    return (min(lows).isoformat(), max(highs).isoformat()) if lows else ("", "")


def features(table: pa.Table, schema: Schema) -> pd.DataFrame:
    """The model's input columns of a table, converted as the module says.

    Raises:
        DataError: A column is missing or cannot be converted.
    """
    present = set(table.column_names)
    missing = [name for name in schema.columns if name not in present]
    if missing:
        raise DataError(
            f"The table has no column {', '.join(map(repr, missing))}; it has {', '.join(table.column_names)}."
        )
    kinds = {feature.name: feature.kind for feature in schema.features}
    return pd.DataFrame(
        {name: _converted(table.column(name), name, kind=kinds[name]) for name in schema.columns}, copy=False
    )


def labels(table: pa.Table, schema: Schema) -> TargetArray:
    """The target as class indices (int64, in the order of `Schema.classes`) or values (float64).

    Raises:
        DataError: A label is none of the classes.
    """
    return TASKS[schema.task].target.read(table.column(schema.target), schema)


def row_weights(table: pa.Table, schema: Schema) -> NDArray[np.float64] | None:
    """How much each row counts, shape (rows,), or None where the schema names no column of weights.

    Raises:
        DataError: The column is missing or contains what is no weight: a null, a text, or a number that is negative or
            not finite; or all weights are 0.
    """
    if not schema.weights:
        return None
    if schema.weights not in table.column_names:
        raise DataError(f"The table has no column {schema.weights!r}, which problem.weights names.")
    column = table.column(schema.weights)
    try:
        values = np.asarray(column.cast(pa.float64()).fill_null(float("nan")).to_numpy(), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"The column of weights {schema.weights!r} is {column.type}; weights are numbers.") from error
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        raise DataError(
            f"The column of weights {schema.weights!r} holds {column[int(np.argmax(bad))].as_py()!r}, and "
            f"{np.count_nonzero(bad):,} of {len(values):,} rows have no weight of 0 or more. Fill in or "
            "leave out such rows in the query."
        )
    if len(values) and not values.any():
        raise DataError(f"The column of weights {schema.weights!r} is 0 in every row: none of them would count.")
    return values


def check_learnable(part: Part, schema: Schema) -> None:
    """Refuse rows that no model can learn from.

    Raises:
        DataError: A class has no row, or all targets are the same.
    """
    TASKS[schema.task].target.check_learnable(part.target, schema)


def inputs(frame: pd.DataFrame, schema: Schema) -> Inputs:
    """The three tensors of a frame made by `features`."""
    split = len(schema.numbers)
    times = split + len(schema.categories)
    return Inputs(
        numbers=frame.iloc[:, :split].to_numpy(dtype=np.float32),
        categories=frame.iloc[:, split:times].to_numpy(dtype=object),
        times=frame.iloc[:, times:].to_numpy(dtype=np.int64),
    )


def _converted(column: pa.ChunkedArray, name: str, *, kind: FeatureKind) -> NDArray[Any]:
    try:
        match kind:
            case "category":
                return _strings(column)
            case "timestamp":
                return _seconds(column)
            case _:
                return _numbers(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"Column {name!r} is to be a {kind}; it is {column.type} and cannot be converted: {error}."
        ) from error


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float32]:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    with np.errstate(over="ignore"):  # beyond the range of float32 it is infinite, as everywhere
        return np.asarray(column.cast(pa.float64()).fill_null(float("nan")).to_numpy(), dtype=np.float32)


def _strings(column: pa.ChunkedArray) -> NDArray[np.object_]:
    return np.asarray(column.cast(pa.string()).fill_null("").to_numpy(), dtype=object)


def _seconds(column: pa.ChunkedArray) -> NDArray[np.int64]:
    if pa.types.is_timestamp(column.type):
        # A cast alone would round towards 1970; without a zone no database of zones is needed.
        column = pc.floor_temporal(column.cast(pa.timestamp(column.type.unit)), unit="second")
    seconds = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    return np.asarray(seconds.fill_null(MISSING_TIME).to_numpy(), dtype=np.int64)

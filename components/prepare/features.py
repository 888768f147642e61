"""Which columns a model learns from, and what the training part says about them: the schema.

The schema is what the endpoint checks requests by, so it has to say what may come, not only what came: whether a value
may be missing is asked of all parts and of the contract. What can teach nothing is left out, or each request would have
to send it. A column of one value and nulls stays: whether the value is there may tell. Parquet's own statistics answer
most questions without reading a column.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.prepare.columns import Column, batches
from components.shared.config import ColumnRule, ProblemConfig
from components.shared.errors import DataError
from components.shared.frames import PARTS, part_path
from components.shared.package.schema import FLOAT32_MAX, Feature, FeatureKind

MOST_CATEGORIES = 1_000  # listed in the schema
_CELLS = 5_000_000  # in memory at a time
_SHOWN = 10
# Whose smallest and largest value Parquet's statistics hold as they are.
_BOUNDED_TYPES = (
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.bool_(),
    pa.timestamp("us"),
)


def select_features(
    columns: dict[str, Column], problem: ProblemConfig, promises: Mapping[str, ColumnRule], *, group: str = ""
) -> dict[str, FeatureKind]:
    """The features by name with their kinds, in the table's order or that of the configuration.

    Args:
        columns: The table's columns.
        problem: Roles of the columns.
        promises: What the contract says of columns. One of type `number` is a number although these rows have whole
            ones only: what comes later may have fractions.
        group: The column that groups the split, if any.

    Raises:
        DataError: There is none, or a column's type cannot be learned from.
    """
    roles = {problem.target, problem.time_column, problem.weights, group}
    others = {*roles, *problem.keys, *problem.ignore, *problem.leaks}
    names = problem.features or [name for name in columns if name not in others]
    if not names:
        raise DataError(
            "No column is left to learn from: all are the target, the time column, weights, keys, the group of the "
            "split, ignored or leaks. Name some in problem.features."
        )
    if unsupported := [f"{name!r} ({columns[name].type})" for name in names if columns[name].kind == "unsupported"]:
        raise DataError(
            f"These columns cannot be features: {_some(unsupported)}. A feature is a number, text, boolean, date or "
            "timestamp; turn them into such columns in the query, or name them in problem.ignore."
        )
    if wrong := [
        f"{name!r} ({columns[name].type})"
        for name in problem.categorical
        if columns[name].kind not in ("integer", "text")
    ]:
        raise DataError(
            f"problem.categorical names {_some(wrong)}; codes are whole numbers and texts. Cast them in the query."
        )
    return {name: _kind(columns[name], problem, promises.get(name)) for name in names}


def _kind(column: Column, problem: ProblemConfig, promise: ColumnRule | None) -> FeatureKind:
    if column.kind == "text" or (column.kind == "integer" and column.name in problem.categorical):
        return "category"
    if column.kind == "unsupported":
        raise AssertionError(column)  # refused before
    return "number" if column.kind == "integer" and promise and promise.type == "number" else column.kind


def describe_features(
    folder: Path, kinds: dict[str, FeatureKind], promises: Mapping[str, ColumnRule], *, named: Collection[str] = ()
) -> tuple[list[Feature], dict[str, str]]:
    """Describe the features by what the three parts in a folder hold, a few columns in memory at a time.

    Values may be missing where some are, and where the contract says that they may (`nullable`): a model of few weeks
    then takes what one of a whole year takes. For the same reason a feature that somebody named stays, even where these
    rows teach nothing about it.

    Args:
        folder: The parts.
        kinds: The features.
        promises: What the contract says of columns.
        named: Features that stay although they are useless.

    Returns:
        The features that stay, and the useless ones with the reason.

    Raises:
        DataError: A feature contains an infinite number or one beyond float32, or none is usable.
    """
    nullable = {name for name, promise in promises.items() if promise.nullable}
    trained: dict[str, Feature] = {}
    useless: dict[str, str] = {}
    for part in PARTS:
        for name, extent in _extents(part_path(folder, part), kinds, is_train=part == "train"):
            feature = _describe(name, kinds[name], extent)
            if feature.nullable:
                nullable.add(name)
            if part == "train":
                trained[name] = feature
                if reason := _useless(feature, extent):
                    useless[name] = reason
    if len(useless) == len(kinds):
        reasons = _some(f"{name!r} is {reason}" for name, reason in useless.items())
        raise DataError(f"No feature can be learned from: {reasons} in the training part.")
    features = [
        trained[name].model_copy(update={"nullable": name in nullable})
        for name in kinds
        if name not in useless or name in named
    ]
    return features, useless


@dataclass(frozen=True, slots=True)
class _Extent:
    """What a column of a part contains: rows, nulls among them, and either categories or the least and the largest."""

    rows: int
    nulls: int
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()


def _extents(path: Path, kinds: dict[str, FeatureKind], *, is_train: bool) -> Iterator[tuple[str, _Extent]]:
    """Columns of a Parquet file: by its statistics where they tell, else read, some columns at a time."""
    # Texts are read as dictionaries, as they stand in the file.
    file = pq.ParquetFile(path, read_dictionary=[name for name, kind in kinds.items() if kind == "category"])
    types = {field.name: (place, field.type) for place, field in enumerate(file.schema_arrow)}
    groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
    read = []
    for name, kind in kinds.items():
        place, type_ = types[name]
        statistics = [group.column(place).statistics for group in groups]
        if kind == "category":
            extent = None if is_train else _null_extent(statistics, file.metadata.num_rows)
        else:
            extent = _extent_by_statistics(statistics, type_, file.metadata.num_rows)
        if extent:
            yield name, extent
        else:
            read.append(name)
    for names in batches(read, max(1, _CELLS // max(1, file.metadata.num_rows))):
        table = file.read(columns=list(names))
        yield from ((name, _read(table.column(name), kinds[name])) for name in names)


def _null_extent(statistics: Sequence[Any], rows: int) -> _Extent | None:
    """What the statistics of a column's row groups say about nulls; None where they lack that."""
    if not all(extent is not None and extent.has_null_count for extent in statistics):
        return None
    return _Extent(rows, sum(extent.null_count for extent in statistics))


def _extent_by_statistics(statistics: Sequence[Any], type_: pa.DataType, rows: int) -> _Extent | None:
    """What the statistics say about nulls, the least and the largest value; None where they lack something."""
    extent = _null_extent(statistics, rows) if type_ in _BOUNDED_TYPES else None
    bounded = [extent for extent in statistics if extent is not None and extent.num_values]
    if extent is None or not all(extent.has_min_max for extent in bounded):
        return None
    if not bounded:
        return extent
    low, high = min(extent.min_raw for extent in bounded), max(extent.max_raw for extent in bounded)
    unit = 1e6 if pa.types.is_timestamp(type_) else 1
    return replace(extent, low=low / unit + 0.0, high=high / unit + 0.0)  # statistics write 0 as -0.0


def _read(column: pa.ChunkedArray, kind: FeatureKind) -> _Extent:
    if kind == "category":
        return _Extent(len(column), column.null_count, categories=tuple(_by_frequency(column)))
    low, high = (_number(value) for value in pc.min_max(column).values())
    return _Extent(len(column), column.null_count, low, high)


def _describe(name: str, kind: FeatureKind, extent: _Extent) -> Feature:
    nullable = extent.nulls > 0
    if kind == "category":
        values = list(extent.categories)
        return Feature(
            name=name, kind=kind, nullable=nullable, cardinality=len(values), categories=values[:MOST_CATEGORIES]
        )
    low, high = extent.low, extent.high
    if worst := [value for value in (low, high) if value is not None and not abs(value) <= FLOAT32_MAX]:
        what = "an infinite value" if math.isinf(worst[0]) else f"{worst[0]:g}, beyond the range of float32"
        raise DataError(
            f"The feature {name!r} holds {what}. Let the contract remove such rows (contract.non_finite: "
            "quarantine), or correct them in the query."
        )
    return Feature(name=name, kind=kind, nullable=nullable, minimum=low, maximum=high)


def _number(value: pa.Scalar) -> float | None:
    if not value.is_valid:
        return None
    return float(value.value / 1e6 if pa.types.is_timestamp(value.type) else value.as_py())


def _by_frequency(column: pa.ChunkedArray) -> list[str]:
    """Distinct values as text, the most frequent first."""
    counts = pc.value_counts(column.unify_dictionaries().drop_null())
    values = counts.field("values").cast(pa.string()).to_pylist()
    pairs = zip(counts.field("counts").to_pylist(), values, strict=True)
    return [value for _, value in sorted(pairs, key=lambda pair: (-pair[0], pair[1]))]


def _useless(feature: Feature, extent: _Extent) -> str:
    """Why a feature can teach nothing; empty when it can."""
    if extent.nulls == extent.rows:
        return "all null"
    single = feature.cardinality == 1 if feature.kind == "category" else feature.minimum == feature.maximum
    return "constant" if single and not feature.nullable else ""


def _some(items: Iterable[str]) -> str:
    listed = list(items)
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")

"""Which columns a model learns from, and what the training part says about them: the schema."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.prepare.columns import Column, batches
from components.shared.config import ProblemConfig
from components.shared.errors import DataError
from components.shared.frames import PARTS, part_path
from components.shared.schema import Feature, FeatureKind

LARGEST = 3.4028234663852886e38  # of float32
MOST_CATEGORIES = 1_000  # listed in the schema
_CELLS = 5_000_000  # in memory at a time
_SHOWN = 10


def select_features(columns: dict[str, Column], problem: ProblemConfig) -> dict[str, FeatureKind]:
    """The features by name with their kinds, in the table's order or that of the configuration.

    Raises:
        DataError: There is none, or a column's type cannot be learned from.
    """
    others = {problem.target, problem.time_column, *problem.keys, *problem.ignore, *problem.leaks}
    names = problem.features or [name for name in columns if name not in others]
    if not names:
        raise DataError(
            "No column is left to learn from: all are the target, the time column, keys, ignored or leaks. Name some "
            "in problem.features."
        )
    if unsupported := [f"{name!r} ({columns[name].type})" for name in names if columns[name].kind == "unsupported"]:
        raise DataError(
            f"These columns cannot be features: {_some(unsupported)}. A feature is a number, text, boolean, date or "
            "timestamp; "
            "turn them into such columns in the query, or name them in problem.ignore."
        )
    if wrong := [
        f"{name!r} ({columns[name].type})"
        for name in problem.categorical
        if columns[name].kind not in ("integer", "text")
    ]:
        raise DataError(
            f"problem.categorical names {_some(wrong)}; only whole numbers are taken as codes. Cast them in the query."
        )
    return {name: _kind(columns[name], problem) for name in names}


def _kind(column: Column, problem: ProblemConfig) -> FeatureKind:
    if column.kind == "text" or (column.kind == "integer" and column.name in problem.categorical):
        return "category"
    if column.kind == "unsupported":
        raise AssertionError(column)  # refused before
    return column.kind


def describe_features(folder: Path, kinds: dict[str, FeatureKind]) -> tuple[list[Feature], dict[str, str]]:
    """Describe the features by what the three parts in a folder hold, a few columns in memory at a time.

    Returns:
        The usable features, and those dropped with the reason.

    Raises:
        DataError: A feature holds an infinite number or one beyond float32, or none is usable.
    """
    nullable: set[str] = set()
    trained: dict[str, Feature] = {}
    dropped: dict[str, str] = {}
    for part in PARTS:
        for name, column in _columns(part_path(folder, part), kinds):
            feature = _describe(name, kinds[name], column)
            if feature.nullable:
                nullable.add(name)
            if part == "train":
                trained[name] = feature
                if reason := _useless(feature, column):
                    dropped[name] = reason
    features = [
        trained[name].model_copy(update={"nullable": name in nullable}) for name in kinds if name not in dropped
    ]
    if not features:
        reasons = _some(f"{name!r} is {reason}" for name, reason in dropped.items())
        raise DataError(f"No feature can be learned from: {reasons} in the training part.")
    return features, dropped


def _columns(path: Path, kinds: dict[str, FeatureKind]) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Columns of a Parquet file, some read at a time; texts as dictionaries, as they stand in the file."""
    file = pq.ParquetFile(path, read_dictionary=[name for name, kind in kinds.items() if kind == "category"])
    for names in batches(list(kinds), max(1, _CELLS // max(1, file.metadata.num_rows))):
        table = file.read(columns=list(names))
        yield from ((name, table.column(name)) for name in names)


def _describe(name: str, kind: FeatureKind, column: pa.ChunkedArray) -> Feature:
    nullable = column.null_count > 0
    if kind == "category":
        values = _by_frequency(column)
        return Feature(
            name=name, kind=kind, nullable=nullable, cardinality=len(values), categories=values[:MOST_CATEGORIES]
        )
    low, high = (_number(value) for value in pc.min_max(column).values())
    if worst := [value for value in (low, high) if value is not None and not abs(value) <= LARGEST]:
        what = "an infinite value" if math.isinf(worst[0]) else f"{worst[0]:g}, beyond the range of float32"
        raise DataError(
            f"The feature {name!r} holds {what}. Let the contract quarantine such rows (contract.non_finite), or mend "
            "them in the query."
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


def _useless(feature: Feature, column: pa.ChunkedArray) -> str:
    """Why a feature can teach nothing; empty when it can."""
    if column.null_count == len(column):
        return "all null"
    single = feature.cardinality == 1 if feature.kind == "category" else feature.minimum == feature.maximum
    return "constant" if single and not feature.nullable else ""


def _some(items: Iterable[str]) -> str:
    listed = list(items)
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")

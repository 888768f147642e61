"""The figures of the EDA report: each column, how the numbers go together, and the target over time and by category.

Counts, extremes, means and categories come from all rows, by a few scans in DuckDB. Quantiles, histograms, correlations
and principal components come from a bounded sample: every n-th row of each part.
"""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.profile.figures import Category, ColumnProfile, Histogram, Kind, Moment, Profile, warnings
from components.profile.relations import LARGEST, Floats, Numbers, Points, correlate, principal_components
from components.shared.config import ProfileConfig
from components.shared.frames import PARTS, labels, part_path
from components.shared.package.schema import Schema
from components.shared.tables import Engine, engine, fetch, fetch_arrow, fetch_row, identifier, literal
from components.shared.tasks import TASKS

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MEDIAN = 0.5
MOST_COLUMNS = 500  # described one by one
MOST_CATEGORIES = 60  # columns whose values are counted
MOST_CLASSES = 5  # classes whose share is followed
MOST_MOMENTS = 130  # points of the target over time
_CELLS = 10_000_000  # rows times columns of the sample
_UNITS = {
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_629_746,
    "quarter": 7_889_238,
    "year": 31_556_952,
}
_NUMBERS = ("INT", "FLOAT", "DOUBLE", "DECIMAL")
_ROWS = "profiled_rows"


@dataclass(frozen=True, slots=True)
class _Measures:
    """What is followed of the target: names for people, and SQL aggregates."""

    names: list[str]
    aggregates: str


def profile(splits: Path, settings: ProfileConfig) -> tuple[Profile, Points | None]:
    """Describe the three parts of a split together.

    Args:
        splits: Folder made by prepare.
        settings: Size of the sample, bins and categories.

    Returns:
        The figures, and the sample's rows for the picture of the principal components (None without two numbers).
    """
    schema = Schema.read(splits)
    with engine() as backend:
        files = ", ".join(literal(str(part_path(splits, part))) for part in PARTS)
        fetch(backend, f"CREATE TEMP VIEW {_ROWS} AS SELECT * FROM read_parquet([{files}])")
        types = _types(backend, schema)
        shown = dict(itertools.islice(types.items(), MOST_COLUMNS))
        parts = {part: pq.read_metadata(part_path(splits, part)).num_rows for part in PARTS}
        columns = _describe(backend, schema, shown, rows=sum(parts.values()))
        numbers, target = _sample(backend, splits, schema, columns=columns, limit=settings.rows)
        columns = [_with_sample(column, numbers, settings.bins) for column in columns]
        measures = _measures(backend, schema)
        columns = _with_categories(backend, columns, measures, settings.top_categories)
        unit, over_time = _over_time(backend, schema, measures)
    correlations = correlate(numbers, target, schema)
    components, points = principal_components(numbers, target, schema)
    found = Profile(
        task=schema.task,
        target=schema.target,
        measures=measures.names,
        rows=sum(parts.values()),
        parts=parts,
        sampled=len(target),
        columns=columns,
        left_out=len(types) - len(shown),
        correlations=correlations,
        components=components,
        time_column=schema.time_column,
        time_unit=unit,
        over_time=over_time,
    )
    return found.model_copy(update={"warnings": warnings(found)}), points


# Columns


def _types(backend: Engine, schema: Schema) -> dict[str, str]:
    """DuckDB's type by column: the target first, then the features, then the others."""
    types = {name: type_ for name, type_, *_ in fetch(backend, f"DESCRIBE {_ROWS}")}
    first = [schema.target, *(feature.name for feature in schema.features)]
    return {name: types[name] for name in dict.fromkeys([*first, *types])}


def _kinds(types: dict[str, str], schema: Schema) -> dict[str, Kind]:
    categories = {feature.name for feature in schema.categories}
    if TASKS[schema.task].has_classes:
        categories.add(schema.target)
    return {name: "category" if name in categories else _kind(type_) for name, type_ in types.items()}


def _kind(type_: str) -> Kind:
    if type_.endswith("]"):
        return "other"
    if type_ in ("VARCHAR", "BOOLEAN"):
        return "category" if type_ == "VARCHAR" else "boolean"
    if type_.startswith(("TIMESTAMP", "DATE")):
        return "timestamp"
    return "number" if any(part in type_ for part in _NUMBERS) else "other"


def _roles(types: dict[str, str], schema: Schema) -> dict[str, str]:
    """What each column is to the model, such as `feature, time`."""
    members = {
        "target": {schema.target},
        "feature": {feature.name for feature in schema.features},
        "time": {schema.time_column},
        "key": set(schema.keys),
    }
    return {name: ", ".join(role for role, names in members.items() if name in names) or "not used" for name in types}


def _describe(backend: Engine, schema: Schema, types: dict[str, str], *, rows: int) -> list[ColumnProfile]:
    """What one scan of all rows says about each column."""
    kinds, roles = _kinds(types, schema), _roles(types, schema)
    aggregates = [aggregate for name, kind in kinds.items() for aggregate in _aggregates(identifier(name), kind)]
    row = fetch_row(backend, f"SELECT {', '.join(aggregates)} FROM {_ROWS}")
    described = []
    for place, (name, kind) in enumerate(kinds.items()):
        values, distinct, low, high, mean, deviation, skewness = row[7 * place : 7 * place + 7]
        nulls = rows - values
        described.append(
            ColumnProfile(
                name=name,
                type=types[name],
                kind=kind,
                role=roles[name],
                nulls=nulls,
                null_share=nulls / rows,
                distinct=distinct,
                minimum=_plain(low),
                maximum=_plain(high),
                mean=_finite(mean),
                deviation=_finite(deviation),
                skewness=_finite(skewness),
            )
        )
    return described


def _aggregates(column: str, kind: Kind) -> list[str]:
    counts = [f"count({column})", f"approx_count_distinct({column})"]
    if kind in ("number", "boolean"):
        value = f"{column}::DOUBLE" if kind == "number" else f"{column}::INTEGER"
        # Columns that are no features may hold what overflows a square.
        moderate = f"CASE WHEN abs({value}) < {LARGEST} THEN {value} END"
        return [
            *counts,
            f"min({value})",
            f"max({value})",
            f"avg({moderate})",
            f"stddev_samp({moderate})",
            f"skewness({moderate})",
        ]
    if kind == "timestamp":
        return [*counts, f"min({column})::VARCHAR", f"max({column})::VARCHAR", "NULL", "NULL", "NULL"]
    if kind == "other":
        return [f"count({column})", "0", *["NULL"] * 5]
    return [*counts, *["NULL"] * 5]


def _plain(value: Any) -> float | str | None:
    return value if isinstance(value, str) else _finite(value)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


# The sample


def _sample(
    backend: Engine, splits: Path, schema: Schema, *, columns: list[ColumnProfile], limit: int
) -> tuple[Numbers, NDArray[Any]]:
    """Numeric columns and the target of every n-th row of each part."""
    wanted = [column.name for column in columns if column.kind in ("number", "boolean")]
    limit = min(limit, max(1_000, _CELLS // max(1, len(wanted))))
    selected = ", ".join(
        [f"{identifier(name)}::DOUBLE AS c{place}" for place, name in enumerate(wanted)]
        + [f"{identifier(schema.target)} AS target"]
    )
    step = f"greatest(1, ceil((SELECT count(*) FROM {_ROWS}) / {limit}))::BIGINT"
    queries = [
        f"SELECT {selected} FROM read_parquet({literal(str(part_path(splits, part)))}, file_row_number = true) WHERE "
        f"file_row_number % {step} = 0"
        for part in PARTS
    ]
    table = fetch_arrow(backend, " UNION ALL ".join(queries))
    arrays = [np.asarray(column.fill_null(math.nan).to_numpy(), dtype=np.float64) for column in table.columns[:-1]]
    values = np.column_stack(arrays) if arrays else np.empty((len(table), 0))
    return Numbers(wanted, values), labels(pa.table({schema.target: table.column("target")}), schema)


def _with_sample(column: ColumnProfile, numbers: Numbers, bins: int) -> ColumnProfile:
    """Add quantiles and histogram to a numeric column."""
    if column.kind != "number" or column.name not in numbers.names:
        return column
    values = numbers.values[:, numbers.names.index(column.name)]
    values = values[np.abs(values) <= LARGEST]  # neither missing nor, in columns that are no features, infinite
    if not len(values):
        return column
    quantiles = dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES).tolist(), strict=True))
    return column.model_copy(
        update={"quantiles": quantiles, "histogram": _histogram(values, bins, is_whole="INT" in column.type)}
    )


def _histogram(values: Floats, bins: int, *, is_whole: bool) -> Histogram:
    low, high = float(values.min()), float(values.max())
    if is_whole and high - low < bins:  # one bin a value
        edges = np.arange(low - 0.5, high + 1)
    elif low == high:
        edges = np.array([low - abs(low) / 2 - 0.5, low + abs(low) / 2 + 0.5])
    else:
        edges = np.unique(np.linspace(low, high, bins + 1))  # fewer bins where floats are too few
    counts, _ = np.histogram(values, bins=edges)
    return Histogram(edges=edges.tolist(), counts=counts.tolist())


# The target


def _measures(backend: Engine, schema: Schema) -> _Measures:
    """The mean of a number, the share of the positive class, or of the most frequent classes."""
    target = identifier(schema.target)
    if not TASKS[schema.task].has_classes:
        return _Measures([f"mean {schema.target}"], f"avg({target}::DOUBLE)")
    if TASKS[schema.task].has_positive_class:
        followed = schema.labels[-1:]
    else:
        counted = fetch(
            backend,
            f"SELECT {target}::VARCHAR AS label FROM {_ROWS} GROUP BY label ORDER BY count(*) DESC, label LIMIT "
            f"{MOST_CLASSES}",
        )
        followed = [label for (label,) in counted]
    shares = [f"avg(({target}::VARCHAR = {literal(label)})::INTEGER)" for label in followed]
    return _Measures([f"share of {label}" for label in followed], ", ".join(shares))


def _with_categories(
    backend: Engine, columns: list[ColumnProfile], measures: _Measures, top: int
) -> list[ColumnProfile]:
    """Add the most frequent values to the categories, with what the target does in them."""
    counted = [column for column in columns if column.kind in ("category", "boolean") and column.role != "key"][
        :MOST_CATEGORIES
    ]
    found = {column.name: _categories(backend, column.name, measures, top) for column in counted}
    return [
        column.model_copy(update={"distinct": found[column.name][0], "categories": found[column.name][1]})
        if column.name in found
        else column
        for column in columns
    ]


def _categories(backend: Engine, name: str, measures: _Measures, top: int) -> tuple[int, list[Category]]:
    column = identifier(name)
    rows = fetch(
        backend,
        f"SELECT value, n, count(*) OVER (), target FROM (SELECT {column}::VARCHAR AS value, count(*) AS n, "
        f"[{measures.aggregates}] AS target "
        f"FROM {_ROWS} WHERE {column} IS NOT NULL GROUP BY value) ORDER BY n DESC, value LIMIT {top}",
    )
    return (rows[0][2] if rows else 0), [Category(value=value, rows=n, target=target) for value, n, _, target in rows]


def _over_time(backend: Engine, schema: Schema, measures: _Measures) -> tuple[str, list[Moment]]:
    """The target by spans of equal length, the shortest that give few enough points."""
    if not schema.time_column:
        return "", []
    time = identifier(schema.time_column)
    (span,) = fetch_row(backend, f"SELECT epoch(max({time})) - epoch(min({time})) FROM {_ROWS}")
    unit = next((unit for unit, seconds in _UNITS.items() if (span or 0) / seconds <= MOST_MOMENTS), "year")
    rows = fetch(
        backend,
        f"SELECT date_trunc('{unit}', {time}::TIMESTAMP) AS start, count(*), [{measures.aggregates}] FROM {_ROWS} "
        f"WHERE {time} IS NOT NULL GROUP BY start ORDER BY start LIMIT 1000",
    )
    return unit, [Moment(start=start.isoformat(), rows=n, target=target) for start, n, target in rows]

"""Texts of few values as codes: while the parts are sorted, a byte or two stand for each text.

They are texts again before they are written: DuckDB 2.0 loses rare values of a sorted ENUM on its way into Parquet.
"""

from collections.abc import Iterable

from components.prepare.columns import VIEW, Column
from components.shared.tables import ROW_GROUP, Engine, fetch, fetch_row, identifier, literal

_FEWEST_ROWS = ROW_GROUP  # below it nothing is gained
_MOST_VALUES = 8_192
_MOST_COLUMNS = 200  # each costs a query


def encode_texts(backend: Engine, source: str, columns: Iterable[Column]) -> dict[str, str]:
    """Create an ENUM type for each text column of `VIEW` that has few values.

    Args:
        backend: Where the view is.
        source: The Parquet file behind it.
        columns: Its columns.

    Returns:
        Names of the types by column; none for a column that is better left alone.
    """
    texts = [column.name for column in columns if column.kind == "text"]
    types: dict[str, str] = {}
    for name in _promising(backend, source, texts)[:_MOST_COLUMNS]:
        values = (
            f"SELECT DISTINCT {identifier(name)} AS value FROM {VIEW} WHERE value IS NOT NULL LIMIT {_MOST_VALUES + 1}"
        )
        (count,) = fetch_row(backend, f"CREATE OR REPLACE TEMP TABLE text_values AS {values}")
        if 0 < count <= _MOST_VALUES:
            types[name] = f"text_{len(types)}"
            # In their order, so that a file depends on its rows alone.
            fetch(backend, f"CREATE TYPE {types[name]} AS ENUM (SELECT value FROM text_values ORDER BY value)")
    return types


def _promising(backend: Engine, source: str, names: list[str]) -> list[str]:
    """Columns that every row group of a large file has as a dictionary of few values."""
    file = literal(source)
    if not names or fetch_row(backend, f"SELECT num_rows FROM parquet_file_metadata({file})")[0] < _FEWEST_ROWS:
        return []
    found = fetch(
        backend,
        f"SELECT path_in_schema FROM parquet_metadata({file}) GROUP BY path_in_schema "
        f"HAVING max(coalesce(stats_distinct_count, {_MOST_VALUES + 1})) <= {_MOST_VALUES}",
    )
    promising = {name for (name,) in found}
    return [name for name in names if name in promising]

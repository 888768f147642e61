"""The types of a table's columns: declared, or found from what the whole table holds.

A column is tried against a chain of types, narrow before wide, and gets the first that takes every one of its values.
Nothing is rounded or cut to make it fit: a column of whole numbers with one 1.5 is a column of numbers.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from duckdb import DuckDBPyConnection

from components.ingest.fetch import nearest
from components.shared.config import ColumnType, TableConfig
from components.shared.errors import SourceError
from components.shared.tables import identifier, literal

Guess = Literal["integer", "number", "boolean", "date", "timestamp", "text", "unknown", "native"]

_CHAINS: dict[Guess, tuple[ColumnType, ...]] = {
    "integer": ("integer", "number", "text"),
    "number": ("number", "text"),
    "boolean": ("boolean", "text"),
    "date": ("date", "timestamp", "text"),
    "timestamp": ("timestamp", "text"),
    "text": ("text",),
    "unknown": ("integer", "number", "boolean", "date", "timestamp", "text"),
}
_NATIVE: dict[ColumnType, str] = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "text": "VARCHAR",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_EXACT = 2**53 - 1  # whole numbers up to here are themselves as DOUBLE, and no other number is rounded to them
_COLUMNS_A_QUERY = 200  # the planning time of one query grows with the square
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_ISO_DATE = re.compile(r"\d{4}-\d\d?-\d\d?")
_ISO_TIMESTAMP = re.compile(r"\d{4}-\d\d?-\d\d?[T ]\d\d?:\d\d.*")
_ZONE = r":\d\d(:\d\d([.,]\d+)?)?\s*[A-Za-z+-]"  # a letter or sign right after the time of day: Z, +02:00, UTC
ZONED = "TIMESTAMP WITH TIME ZONE"


class InexactNumbersError(Exception):
    """Whole numbers beyond 2^53 were read as DOUBLE: they have to be read as text."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it was read.

    Attributes:
        name: Its name.
        stored: The DuckDB type it is held in.
        declared: The type the configuration wants; None to find one.
        guess: What its first values look like; `native` when the file itself says its type.
        zoned: Whether its moments are known to be written with a zone; of texts `typed` finds out.
    """

    name: str
    stored: str
    declared: ColumnType | None
    guess: Guess
    zoned: bool = False


def check_names(names: Sequence[str], *, where: str, remedy: str, what: str = "column") -> None:
    """Refuse column names that SQL cannot tell apart, which are those that differ only by case, too.

    Raises:
        SourceError: A name stands twice.
    """
    seen: dict[str, tuple[int, str]] = {}
    for position, name in enumerate(names, start=1):
        first, earlier = seen.setdefault(name.lower(), (position, name))
        if first != position:
            spelt = f" (as {earlier!r}; SQL does not tell upper from lower case)" if earlier != name else ""
            raise SourceError(
                f"{where}: the {what} {name!r} stands twice, at positions {first}{spelt} and {position}. {remedy}"
            )


def check_declared(table: TableConfig, names: Collection[str]) -> None:
    """Refuse declared types of columns that do not exist.

    Raises:
        SourceError: `types` names another column than the table has.
    """
    for name in table.types:
        if name not in names:
            listed = ", ".join(list(names)[:20]) + (", …" if len(names) > 20 else "")
            raise SourceError(
                f"`types` names the column {name!r}, which the table does not have; it has "
                f"{listed}.{nearest(name, names)}"
            )


def guess(values: set[str], table: TableConfig) -> Guess:
    """What values of text look like, nulls left out; the whole column still has to agree."""
    values = values - set(table.nulls)
    if not values:
        return "unknown"
    if all(map(_is_number, values)):
        return "integer" if all(map(_WHOLE.fullmatch, values)) else "number"
    if table.date_format:
        return "unknown"
    if all(map(_ISO_DATE.fullmatch, values)):
        return "date"
    if all(_ISO_TIMESTAMP.fullmatch(value) or _ISO_DATE.fullmatch(value) for value in values):
        return "timestamp"
    return "boolean" if {value.lower() for value in values} <= {"true", "false"} else "text"


def has_zone(values: Collection[str]) -> bool:
    """Whether any of these moments is written with a zone; those without one are then UTC."""
    zone = re.compile(_ZONE)
    return any(map(zone.search, values))


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def typed(connection: DuckDBPyConnection, relation: str, columns: Sequence[Column], *, table: TableConfig) -> str:
    """The SELECT that gives each column its final type.

    Args:
        connection: The engine.
        relation: What the columns are selected from, as SQL; the whole of it is looked at.
        columns: All of its columns.
        table: The null spellings and the format of dates.

    Raises:
        SourceError: A column does not hold what is declared; the message names row and value.
        InexactNumbersError: A column held as DOUBLE has to be read again as text.
    """
    chosen = {column.name: chain[0] for column in columns if (chain := _chain(column, table))}
    open_columns = [column for column in columns if len(_chain(column, table)) > 1 or _may_fail(column)]
    for start in range(0, len(open_columns), _COLUMNS_A_QUERY):
        chosen |= _settle(connection, relation, open_columns[start : start + _COLUMNS_A_QUERY], table=table)
    columns = _with_zones(connection, relation, columns, chosen, table=table)
    selected = ", ".join(
        f"{_as_type(column, chosen.get(column.name), table)} AS {identifier(column.name)}" for column in columns
    )
    return f"SELECT {selected} FROM {relation}"


def _with_zones(
    connection: DuckDBPyConnection,
    relation: str,
    columns: Sequence[Column],
    chosen: dict[str, ColumnType],
    *,
    table: TableConfig,
) -> list[Column]:
    """The columns; texts that become moments by what all of their values say about zones."""
    texts = [
        column
        for column in columns
        if chosen.get(column.name) == "timestamp" and column.stored in ("VARCHAR", "JSON") and not column.zoned
    ]
    if not texts:
        return [*columns]
    asked = ", ".join(_asks_for_zone(column, table) for column in texts)
    row = connection.execute(f"SELECT {asked} FROM {relation}").fetchone() or ()
    found = {column.name for column, zoned in zip(texts, row, strict=True) if zoned}
    return [replace(column, zoned=True) if column.name in found else column for column in columns]


def _asks_for_zone(column: Column, table: TableConfig) -> str:
    if table.date_format:
        return str("%z" in table.date_format or "%Z" in table.date_format).lower()
    return f"bool_or(regexp_matches({_value(column, table)}, {literal(_ZONE)}))"


def typed_at_once(relation: str, columns: Sequence[Column], *, table: TableConfig) -> str | None:
    """The SELECT that takes each column for what its first values look like, and fails at a value that is not of that.

    For a table that is read once, while it is used: what `typed` finds by looking at everything first, this finds out
    by not failing. DuckDB filters no rows before such a check, since an error is an effect it has to keep.

    Returns:
        None when that may differ from what `typed` would say: a column without any value at first, or a declared type,
        which has to fit also where the query does not look.
    """
    if len(columns) > _COLUMNS_A_QUERY or any(
        column.guess == "unknown" or column.declared not in (None, "text") for column in columns
    ):
        return None
    selected = (f"{_checked(column, table)} AS {identifier(column.name)}" for column in columns)
    return f"SELECT {', '.join(selected)} FROM {relation}"


def _checked(column: Column, table: TableConfig) -> str:
    kind = _chain(column, table)[0]
    if kind == "timestamp" and column.stored == ZONED:
        return f"CAST({_value(column, table)} AS {_moment_type(column)})"
    misfit = _is_misfit(column, kind, table)
    if misfit == "false":
        return _as_type(column, kind, table)
    return f"CASE WHEN {misfit} THEN error({literal(column.name)}) ELSE {_as_type(column, kind, table)} END"


def _chain(column: Column, table: TableConfig) -> tuple[ColumnType, ...]:
    """The types to try; none for a column that keeps its own."""
    if column.declared:
        return (column.declared,)
    if column.guess != "native":
        return _CHAINS[column.guess]
    # Text of a typed file stays text, unless dates in it have a stated format.
    return ("timestamp", "text") if column.stored == "VARCHAR" and table.date_format else ()


def _may_fail(column: Column) -> bool:
    """Whether a declared type may not take a value."""
    return column.declared is not None and column.declared != "text" and column.stored != _NATIVE[column.declared]


def _settle(
    connection: DuckDBPyConnection, relation: str, columns: Sequence[Column], *, table: TableConfig
) -> dict[str, ColumnType]:
    """The first type of each column's chain that takes all its values."""
    parts = [part for column in columns for part in _counts(column, table)]
    row = connection.execute(f"SELECT {', '.join(parts)} FROM {relation}").fetchone()
    counts: Iterator[int] = iter(row or ())
    settled: dict[str, ColumnType] = {}
    for column in columns:
        values = next(counts)
        misfits = {kind: next(counts) for kind in _chain(column, table)}
        if misfits.get("integer") and _is_inexact(column):
            _check_exact(connection, relation, column, table=table)
        fits = [kind for kind, count in misfits.items() if not count]
        if not fits:
            raise _misfit(connection, relation, column, table=table)
        # A column without any value says nothing: it stays text.
        settled[column.name] = fits[0] if values or column.declared else "text"
    return settled


def _counts(column: Column, table: TableConfig) -> list[str]:
    """How many values there are, and how many of them each type of the chain does not take."""
    misfits = (f"count_if({_is_misfit(column, kind, table)})" for kind in _chain(column, table))
    return [f"count({_value(column, table)})", *misfits]


def _is_misfit(column: Column, kind: ColumnType, table: TableConfig) -> str:
    """The condition that a value is not of a type."""
    value = _value(column, table)
    if kind == "text" or column.stored == _NATIVE[kind]:
        return "false"
    if kind == "integer" and _is_inexact(column):
        return f"NOT ({value} = trunc({value}) AND abs({value}) <= {_EXACT})"
    return f"{value} IS NOT NULL AND {_tried(column, kind, table)} IS NULL"


def _is_inexact(column: Column) -> bool:
    """Whether numbers were written in decimal and read as DOUBLE, for speed."""
    return column.stored == "DOUBLE" and column.guess != "native"


def _check_exact(connection: DuckDBPyConnection, relation: str, column: Column, *, table: TableConfig) -> None:
    value = _value(column, table)
    row = connection.execute(
        f"SELECT bool_and({value} = trunc({value})) AND max(abs({value})) > {_EXACT} FROM {relation}"
    ).fetchone()
    if row and row[0]:
        raise InexactNumbersError(column.name)


def _as_type(column: Column, kind: ColumnType | None, table: TableConfig) -> str:
    if kind is None or _NATIVE[kind] == column.stored:
        return _value(column, table)
    if kind == "timestamp" and column.stored == ZONED and column.zoned:
        return _value(column, table)
    return _tried(column, kind, table)


def _moment_type(column: Column) -> str:
    """The type of a column of moments: with the zone kept, or local time without one."""
    return ZONED if column.zoned else "TIMESTAMP"


def _value(column: Column, table: TableConfig) -> str:
    """The column, with the null spellings of its text as nulls."""
    name = identifier(column.name)
    text = f"({name} ->> '$')" if column.stored == "JSON" else name
    is_from_csv = column.stored == "VARCHAR" and column.guess != "native"  # whose reader took them out
    if is_from_csv or column.stored not in ("VARCHAR", "JSON") or not table.nulls:
        return text
    return f"CASE WHEN {text} NOT IN ({', '.join(map(literal, table.nulls))}) THEN {text} END"


def _tried(column: Column, kind: ColumnType, table: TableConfig) -> str:
    """The column as a type, null where a value is not of it."""
    value = _value(column, table)
    is_text = column.stored in ("VARCHAR", "JSON")
    if kind == "integer":
        number = f"TRY_CAST({value} AS DOUBLE)" if is_text else value
        # Whether numbers read as DOUBLE are whole was settled before: here it would cost a second look at each.
        return (
            f"TRY_CAST({value} AS BIGINT)"
            if _is_inexact(column)
            else f"CASE WHEN {number} = trunc({number}) THEN TRY_CAST({value} AS BIGINT) END"
        )
    if kind in ("date", "timestamp"):
        moment = _moment(value, table.date_format if is_text else "")
        whole_days = kind == "timestamp" or column.declared
        day = moment if whole_days else f"CASE WHEN {moment} = date_trunc('day', {moment}) THEN {moment} END"
        return f"CAST({day} AS {_moment_type(column) if kind == 'timestamp' else 'DATE'})"
    if kind == "boolean" and is_text and not column.declared:
        return f"CASE lower({value}) WHEN 'true' THEN true WHEN 'false' THEN false END"
    return f"TRY_CAST({value} AS {_NATIVE[kind]})"


def _moment(value: str, date_format: str) -> str:
    """A TIMESTAMP, in UTC where a zone is given: by way of a type with one, else DuckDB drops the offset unread."""
    if date_format:
        return f"TRY_CAST(TRY_STRPTIME({value}, {literal(date_format)}) AS TIMESTAMP)"
    return f"TRY_CAST(TRY_CAST({value} AS TIMESTAMPTZ) AS TIMESTAMP)"


def _misfit(connection: DuckDBPyConnection, relation: str, column: Column, *, table: TableConfig) -> SourceError:
    """The error of a declared type, with the first value that is not of it."""
    kind = column.declared or "text"
    value, is_misfit = _value(column, table), _is_misfit(column, kind, table)
    found = connection.execute(
        f"SELECT row, value, bad FROM (SELECT row_number() OVER () AS row, CAST({value} AS VARCHAR) AS value, "
        f"count_if({is_misfit}) OVER () AS bad, "
        f"({is_misfit}) AS is_bad FROM {relation}) WHERE is_bad ORDER BY row LIMIT 1"
    ).fetchone()
    row, text, bad = found or (0, "", 0)
    form = f" in the format {table.date_format!r}" if table.date_format and kind in ("date", "timestamp") else ""
    more = f"; {bad:,} rows hold such values" if bad > 1 else ""
    spelling = ", set `date_format` to how they are written" if kind in ("date", "timestamp") else ""
    return SourceError(
        f"the column {column.name!r} is declared {kind}, but row {row:,} holds {text!r}, which is no "
        f"{kind}{form}{more}. "
        f"Correct the values{spelling}, add what means no value to `nulls`, or declare another type."
    )

"""The types of a table's columns: declared, or found from what the whole table contains.

A column is tried against a chain of types, narrow before wide, and gets the first that takes every one of its values.
Nothing is rounded, cut or lost to make it fit: a column of whole numbers with one 1.5 is a column of numbers, one with
a code such as 007 or a whole number beyond 64 bits is text.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from duckdb import DuckDBPyConnection

from components.ingest.values import (
    CODE,
    NATIVE,
    PLAIN_WHOLE,
    ZONE,
    ZONED,
    Column,
    Guess,
    as_settled,
    as_tried,
    ask_each,
    is_inexact,
    number_text,
    plain,
    value_of,
    values,
)
from components.shared.config import ColumnType, TableConfig
from components.shared.errors import SourceError
from components.shared.sources.table_files import nearest
from components.shared.spelling import Spelling
from components.shared.tables import identifier, literal

_CHAINS: dict[Guess, tuple[ColumnType, ...]] = {
    "integer": ("integer", "number", "text"),
    "number": ("number", "integer", "text"),
    "boolean": ("boolean", "text"),
    "date": ("date", "timestamp", "text"),
    "timestamp": ("timestamp", "text"),
    "text": ("text",),
    "unknown": ("integer", "number", "boolean", "date", "timestamp", "text"),
}
WIDE = 200  # columns from which planning is what takes time
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_ISO_DATE = re.compile(r"\d{4}([-/])\d\d?\1\d\d?")
_ISO_TIMESTAMP = re.compile(r"\d{4}([-/])\d\d?\1\d\d?[T ]\d\d?:\d\d.*")


@dataclass(frozen=True, slots=True)
class Typed:
    """A table whose columns have their types.

    Attributes:
        select: The SELECT that gives them.
        relation: What it selects from.
        texts: The columns that stay text although nobody declared so.
        names: All columns.
        first: The first values of each column as they are written, of a table that is read only while it is used.
    """

    select: str
    relation: str
    texts: list[Column]
    names: list[str]
    first: Mapping[str, Sequence[str]] = field(default_factory=dict)


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


def distinct_names(names: Sequence[str], *, where: str, remedy: str) -> tuple[list[str], list[str]]:
    """Names that SQL can tell apart, and a warning where one had to change because it differs from another by case.

    Raises:
        SourceError: The very same name stands twice.
    """
    taken = {name.lower() for name in names}
    seen: dict[str, str] = {}
    chosen, warnings = [], []
    for position, name in enumerate(names, start=1):
        if name in seen.values():
            first = names.index(name) + 1
            raise SourceError(
                f"{where}: the column {name!r} stands twice, at positions {first} and {position}. {remedy}"
            )
        new = name
        if name.lower() in seen:
            new = next(new for number in range(1, len(names) + 1) if (new := f"{name}_{number}").lower() not in taken)
            taken.add(new.lower())
            warnings.append(_renamed(seen[name.lower()], name, new))
        seen.setdefault(name.lower(), name)
        seen[new.lower()] = name
        chosen.append(new)
    return chosen, warnings


def _renamed(first: str, name: str, new: str) -> str:
    return (
        f"The columns {first!r} and {name!r} differ by case alone, which SQL does not tell apart: {name!r} is called "
        f"{new!r} from here on, in requests to the endpoint too. For another name, rename it in the query: SELECT * "
        f"RENAME ({identifier(new)} AS other_name) FROM …"
    )


def check_declared(table: TableConfig, names: Collection[str]) -> None:
    """Refuse declared types and spellings of columns that do not exist.

    Raises:
        SourceError: `types` or `columns` names another column than the table has.
    """
    # Where a place stands in for several tables, it has the columns of some of them.
    for setting in ("types", "columns") if table.infer_types else ("types",):
        for name in getattr(table, setting):
            if name not in names:
                listed = ", ".join(list(names)[:20]) + (", …" if len(names) > 20 else "")
                raise SourceError(
                    f"`{setting}` names the column {name!r}, which the table does not have; it has "
                    f"{listed}.{nearest(name, names)}"
                )


def read_column(name: str, first: Collection[str], table: TableConfig) -> Column:
    """A column of a file that says no types, from its first values."""
    spelling = table.spelling(name)
    declared = table.types.get(name) or ("timestamp" if spelling.unit else None)
    seen, of_cells = set(first) - set(spelling.nulls), table.format == "excel"
    if declared or not table.infer_types:
        return Column(name, "VARCHAR", declared, declared or "text", spelling, bool(spelling.unit), of_cells=of_cells)
    own = table.columns.get(name)
    kind = "date" if own and own.date_format else guess(seen, spelling)
    zoned = kind in ("date", "timestamp") and not spelling.date_format and has_zone(seen)
    measured = kind == "number" and not all(map(_is_whole, filter(None, map(spelling.plain_number, seen))))
    return Column(name, "VARCHAR", None, kind, spelling, zoned, measured, of_cells)


def native_column(name: str, stored: str, table: TableConfig) -> Column:
    """A column of a file that says its types; JSON values of several types are text to be typed."""
    spelling = table.spelling(name)
    declared = table.types.get(name) or ("timestamp" if spelling.unit else None)
    own = table.columns.get(name)
    kind: Guess = "native"
    if stored == "JSON":
        kind = "unknown" if table.infer_types else "text"
    elif not (table.infer_types or declared):
        spelling = Spelling(spelling.nulls)  # texts stay texts
    elif own and own.date_format:
        kind = "date"
    elif own and (own.decimal or own.thousands or own.symbols) and stored == "VARCHAR":
        kind = "number"  # somebody says that these texts are numbers
    is_zoned = stored in (ZONED, "TIMESTAMPTZ_NS")
    return Column(name, ZONED if is_zoned else stored, declared, kind, spelling, zoned=is_zoned or bool(spelling.unit))


def guess(seen: Collection[str], spelling: Spelling) -> Guess:
    """What values of text look like, nulls left out; the whole column still has to agree."""
    if not seen:
        return "unknown"
    numbers = [text if spelling.is_plain else spelling.plain_number(text) for text in seen]
    if all(text is not None and _is_number(text) for text in numbers):
        return "integer" if all(_WHOLE.fullmatch(text) for text in numbers if text) else "number"
    if spelling.date_format:
        return "unknown"
    if all(map(_ISO_DATE.fullmatch, seen)):
        return "date"
    if all(_ISO_TIMESTAMP.fullmatch(value) or _ISO_DATE.fullmatch(value) for value in seen):
        return "timestamp"
    return "boolean" if {value.lower() for value in seen} <= {"true", "false"} else "text"


def has_zone(seen: Collection[str]) -> bool:
    """Whether any of these moments is written with a zone; those without one are then UTC."""
    zone = re.compile(ZONE)
    return any(map(zone.search, seen))


def _is_number(value: str) -> bool:
    """Whether a text is a number and no code, such as 007 or 12_34, which a cast would take for one."""
    try:
        float(value)
    except ValueError:
        return False
    return "_" not in value and not re.match(CODE, value)


def _is_whole(value: str) -> bool:
    return re.fullmatch(PLAIN_WHOLE, value) is not None


def typed(connection: DuckDBPyConnection, relation: str, columns: Sequence[Column]) -> Typed:
    """The SELECT that gives each column its final type.

    Args:
        connection: The engine.
        relation: What the columns are selected from, as SQL; the whole of it is looked at.
        columns: All of its columns.

    Raises:
        SourceError: A column does not hold what is declared; the message names row and value.
    """
    chosen = {column.name: chain[0] for column in columns if (chain := _chain(column))}
    open_columns = [column for column in columns if len(_chain(column)) > 1 or _may_fail(column)]
    chosen |= _settle(connection, relation, open_columns)
    texts = [
        column
        for column in columns
        if not column.declared and column.is_text and chosen.get(column.name, "text") == "text"
    ]
    columns = _with_zones(connection, relation, columns, chosen)
    selected = (
        f"{_as_type(plain(column), chosen.get(column.name))} AS {identifier(column.name)}" for column in columns
    )
    select = f"SELECT {', '.join(selected)} FROM {values(relation, columns)}"
    return Typed(select, relation, texts, [column.name for column in columns])


def _with_zones(
    connection: DuckDBPyConnection, relation: str, columns: Sequence[Column], chosen: dict[str, ColumnType]
) -> list[Column]:
    """The columns; texts that become moments by what all of their values say about zones."""
    texts = [
        column
        for column in columns
        if chosen.get(column.name) == "timestamp" and column.is_text and not column.zoned and not column.spelling.unit
    ]
    asked = ask_each(connection, relation, texts, lambda column: [_asks_for_zone(column)])
    found = {name for name, (zoned,) in asked.items() if zoned}
    return [replace(column, zoned=True) if column.name in found else column for column in columns]


def _asks_for_zone(column: Column) -> str:
    if date_format := column.spelling.date_format:
        return str("%z" in date_format or "%Z" in date_format).lower()
    return f"bool_or(regexp_matches({value_of(column)}, {literal(ZONE)}))"


def typed_at_once(relation: str, columns: Sequence[Column]) -> Typed | None:
    """The SELECT that takes each column for what its first values look like, and fails at a value that is not of that.

    For a table that is read once, while it is used: what `typed` finds by looking at everything first, this finds out
    by not failing. DuckDB filters no rows before such a check, since an error is an effect it has to keep.

    Returns:
        None when that may differ from what `typed` would say: a column without any value at first, or a declared type,
        which has to fit also where the query does not look.
    """
    if len(columns) > WIDE or any(
        column.guess == "unknown" or column.declared not in (None, "text") for column in columns
    ):
        return None
    selected = ", ".join(f"{_checked(plain(column))} AS {identifier(column.name)}" for column in columns)
    texts = [column for column in columns if column.guess == "text" and not column.declared]
    select = f"SELECT {selected} FROM {values(relation, columns)}"
    return Typed(select, relation, texts, [column.name for column in columns])


def _checked(column: Column) -> str:
    kind = _chain(column)[0]
    value = value_of(column)
    if kind == "text":
        return value
    tried = as_tried(column, kind)
    if kind == "number" and not column.measured:
        tried = f"CASE WHEN NOT coalesce({is_inexact(column)}, false) THEN {tried} END"
    if kind == "timestamp" and not column.zoned and not column.spelling.date_format:
        tried = f"CASE WHEN NOT regexp_matches({value}, {literal(ZONE)}) THEN {tried} END"
    # The error is only reached by what was tried in vain, so that nothing is tried twice.
    return f"coalesce({tried}, CASE WHEN {value} IS NOT NULL THEN error({literal(column.name)}) END)"


def _chain(column: Column) -> tuple[ColumnType, ...]:
    """The types to try; none for a column that keeps its own."""
    if column.declared:
        return (column.declared,)
    if column.guess != "native":
        return _CHAINS[column.guess]
    # Text of a typed file stays text, unless dates in it have a stated format.
    return ("timestamp", "text") if column.stored == "VARCHAR" and column.spelling.date_format else ()


def _may_fail(column: Column) -> bool:
    """Whether a declared type may not take a value."""
    return column.declared is not None and column.declared != "text" and column.stored != NATIVE[column.declared]


def _settle(connection: DuckDBPyConnection, relation: str, columns: Sequence[Column]) -> dict[str, ColumnType]:
    """The first type of each column's chain that takes all its values."""
    # Most columns are what they look like; the whole chain is looked at where one is not.
    counts = ask_each(connection, relation, columns, _first_counts)
    # A column without any value says nothing: it stays text.
    settled: dict[str, ColumnType] = {
        column.name: _chain(column)[0] if counts[column.name][0] or column.declared else "text"
        for column in columns
        if not counts[column.name][1]
    }
    rest = [column for column in columns if column.name not in settled]
    return settled | (_settle_rest(connection, relation, rest) if rest else {})


def _first_counts(column: Column) -> list[str]:
    """How many values there are, and how many of them the first type of the chain does not take."""
    kind = _chain(column)[0]
    misfit = _is_misfit(column, kind)
    if kind == "number" and column.is_text and not column.declared and not column.measured:
        misfit = f"({misfit}) OR {is_inexact(column)}"
    return [f"count({value_of(column)})", f"count_if({misfit})"]


def _settle_rest(connection: DuckDBPyConnection, relation: str, columns: Sequence[Column]) -> dict[str, ColumnType]:
    """The type of columns that are not what they look like."""
    counts = ask_each(connection, relation, columns, _counts)
    inexact = [column for column in columns if counts[column.name][0] and not column.declared]
    measured = ask_each(connection, relation, inexact, lambda column: [_is_measured(column)])
    settled: dict[str, ColumnType] = {}
    for column in columns:
        misfits = dict(zip(_chain(column), counts[column.name][1:], strict=True))
        if column.name in measured and not measured[column.name][0]:
            misfits["number"] = counts[column.name][0]
        fits = [kind for kind, count in misfits.items() if not count]
        if not fits:
            raise _misfit(connection, relation, column)
        settled[column.name] = fits[0]
    return settled


def _counts(column: Column) -> list[str]:
    """How many values are inexact as DOUBLE, and how many each type of the chain does not take."""
    misfits = (f"count_if({_is_misfit(column, kind)})" for kind in _chain(column))
    inexact = f"count_if({is_inexact(column)})" if "number" in _chain(column) and column.is_text else "0"
    return [inexact, *misfits]


def _is_measured(column: Column) -> str:
    """Whether a column holds numbers with a fraction or exponent: then the others are measured, too, and no names."""
    number = number_text(column)
    is_whole = f"regexp_full_match({number}, {literal(PLAIN_WHOLE)})"
    return f"coalesce(bool_or(TRY_CAST({number} AS DOUBLE) IS NOT NULL AND NOT {is_whole}), false)"


def _is_misfit(column: Column, kind: ColumnType) -> str:
    """The condition that a value is not of a type."""
    if kind == "text" or column.stored == NATIVE[kind]:
        return "false"
    return f"{value_of(column)} IS NOT NULL AND {as_tried(column, kind)} IS NULL"


def _as_type(column: Column, kind: ColumnType | None) -> str:
    is_kept = kind is None or NATIVE[kind] == column.stored or (kind == "timestamp" and column.stored == ZONED)
    return value_of(column) if is_kept else as_settled(column, kind or "text")


def _misfit(connection: DuckDBPyConnection, relation: str, column: Column) -> SourceError:
    """The error of a declared type, with the first value that is not of it."""
    kind = column.declared or "text"
    value, is_misfit = value_of(plain(column)), _is_misfit(plain(column), kind)
    found = connection.execute(
        f"SELECT row, value, bad FROM (SELECT row_number() OVER () AS row, CAST({value} AS VARCHAR) AS value, "
        f"count_if({is_misfit}) OVER () AS bad, "
        f"({is_misfit}) AS is_bad FROM {values(relation, [column])}) WHERE is_bad ORDER BY row LIMIT 1"
    ).fetchone()
    row, text, bad = found or (0, "", 0)
    return SourceError(
        f"the column {column.name!r} is declared {kind}, but row {row:,} holds {text!r}, which is no "
        f"{kind}{_form(column, kind)}{f'; {bad:,} rows hold such values' if bad > 1 else ''}. "
        f"Correct the values{_conversion_advice(kind)}, add what means no value to `nulls`, or declare another type."
    )


def _form(column: Column, kind: ColumnType) -> str:
    """How values of a declared type are expected to be written, where that is not the usual way."""
    spelling = column.spelling
    if kind in ("date", "timestamp"):
        if spelling.unit:
            return f" in the unit {spelling.unit!r} since 1970"
        return f" in the format {spelling.date_format!r}" if spelling.date_format else ""
    if kind in ("integer", "number") and not spelling.is_plain:
        thousands = f" and {spelling.thousands!r} between thousands" if spelling.thousands else ""
        return f" with the decimal sign {spelling.decimal!r}{thousands}"
    return ""


def _conversion_advice(kind: ColumnType) -> str:
    if kind in ("date", "timestamp"):
        return ", set `date_format` to how they are written (or `unit`, for numbers that count from 1970)"
    return ", set `decimal`, `thousands` or `symbols` to how they are written" if kind in ("integer", "number") else ""

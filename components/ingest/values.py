"""A column's values as SQL: with its nulls taken out, as numbers, as each type with null where a value is not of it.

Every question about a column, whether all its values are numbers or how many are null, has to read a value in the same
way as the SELECT that finally types it. Both are made of the expressions here, so they cannot disagree. A value that is
not of a type is null there instead of an error, so that the caller can count such values and show some.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from duckdb import DuckDBPyConnection

from components.shared.config import ColumnType
from components.shared.spelling import PER_SECOND, Spelling
from components.shared.tables import identifier, literal

Guess = Literal["integer", "number", "boolean", "date", "timestamp", "text", "unknown", "native"]

NATIVE: dict[ColumnType, str] = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "text": "VARCHAR",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_COLUMNS_A_QUERY = 200  # that are looked at together: a thread holds 2,048 values of each
_EXACT = 2**53  # from here on DOUBLE takes several whole numbers for one
PLAIN_WHOLE = r"[ \t]*[+-]?[0-9]+(?:\.0*)?[ \t]*"  # without an exponent, as identifiers are written
CODE = r"^[ \t]*[+-]?0[0-9]"
ZONE = r":\d\d(:\d\d([.,]\d+)?)?\s*[A-Za-z+-]"  # a letter or sign right after the time of day: Z, +02:00, UTC
ISO_MOMENT = re.compile(r"\d{4}([-/])\d\d?\1\d\d?([T ]\d\d?:\d\d.*)?$")
ZONED = "TIMESTAMP WITH TIME ZONE"
_OF_CELLS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f")
_SIGNS_AND_DIGITS = r"\1\2\3"  # the groups of a spelling's pattern
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # of the years 1 and 9999


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it was read.

    Attributes:
        name: Its name.
        stored: The DuckDB type it is held in; `ZONED` for every moment with a zone.
        declared: The type the configuration wants; None to find one.
        guess: What its first values look like; `native` when the file itself says its type.
        spelling: How it is written, with those of its nulls that the reader did not take out.
        zoned: Whether its moments are known to be written with a zone; of texts `typed` finds out.
        measured: Whether its first values hold a number that is not whole.
        of_cells: Whether it comes from a workbook, where a time may stand in ISO 8601 beside the column's format.
    """

    name: str
    stored: str
    declared: ColumnType | None
    guess: Guess
    spelling: Spelling = field(default=Spelling())
    zoned: bool = False
    measured: bool = False
    of_cells: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it is held as text, whatever that says."""
        return self.stored in ("VARCHAR", "JSON")


def values(relation: str, columns: Sequence[Column]) -> str:
    """The columns of a relation with their nulls taken out, once for all that is asked of them; see `plain`."""
    if all(value_of(column) == identifier(column.name) for column in columns):
        return relation
    selected = ", ".join(f"{value_of(column)} AS {identifier(column.name)}" for column in columns)
    return f"(SELECT {selected} FROM {relation})"


def plain(column: Column) -> Column:
    """A column as `values` gives it."""
    stored = "VARCHAR" if column.stored == "JSON" else column.stored
    return replace(column, stored=stored, spelling=replace(column.spelling, nulls=()))


def value_of(column: Column) -> str:
    """The column, with the null spellings of its text as nulls."""
    name = identifier(column.name)
    if column.stored == ZONED:
        return f"CAST({name} AS {ZONED})"  # from nanoseconds, too
    if not column.is_text:
        return name
    text = f"({name} ->> '$')" if column.stored == "JSON" else name
    if not column.spelling.nulls:
        return text
    return f"CASE WHEN {text} NOT IN ({', '.join(map(literal, column.spelling.nulls))}) THEN {text} END"


# Example: with `,` as the decimal sign and `.` between groups of digits, `1.234,5` becomes `1234.5`, and `n/a` null.
def number_text(column: Column) -> str:
    """The column's numbers as programs write them; null or no number where a text spells none."""
    value, spelling = value_of(column), column.spelling
    if spelling.is_plain or not column.is_text:
        return value
    pattern = literal(spelling.pattern)
    number = f"regexp_replace({value}, {literal(f'^{spelling.pattern}$')}, {literal(_SIGNS_AND_DIGITS)})"
    if spelling.thousands:
        number = f"regexp_replace({number}, {literal(spelling.separator)}, '', 'g')"
    return (
        f"CASE WHEN regexp_full_match({value}, {pattern}) THEN replace({number}, {literal(spelling.decimal)}, '.') END"
    )


def as_tried(column: Column, kind: ColumnType) -> str:
    """The column as a type, null where a value is not of it."""
    value = value_of(column)
    if kind in ("integer", "number") and column.is_text:
        return _tried_number(column, kind)
    if kind == "integer":
        return f"CASE WHEN {value} = trunc({value}) THEN TRY_CAST({value} AS BIGINT) END"
    if kind in ("date", "timestamp"):
        moment = _moment(column)
        whole_days = kind == "timestamp" or column.declared
        day = moment if whole_days else f"CASE WHEN {moment} = date_trunc('day', {moment}) THEN {moment} END"
        return f"CAST({day} AS {_moment_type(column) if kind == 'timestamp' else 'DATE'})"
    if kind == "boolean" and column.is_text and not column.declared:
        return f"CASE lower({value}) WHEN 'true' THEN true WHEN 'false' THEN false END"
    return f"TRY_CAST({value} AS {NATIVE[kind]})"


def as_settled(column: Column, kind: ColumnType) -> str:
    """The column as a type that every one of its values is known to be of: what `as_tried` checks is not, again."""
    if kind in ("integer", "number"):
        return f"TRY_CAST({number_text(column)} AS {NATIVE[kind]})"
    return as_tried(replace(column, declared=kind), kind)


# Example, as an integer: `12` is 12 and `5.0` is 5. `1.5` is null, because its cast is 2 and 2 is not 1.5. `007` and
# `1_000` are null, too, unless the configuration declares the column: an article number 007 that is read as 7 is
# another one.
def _tried_number(column: Column, kind: ColumnType) -> str:
    """A text as a number; a code is none unless somebody says so: casts drop leading zeros and underscores."""
    number = number_text(column)
    tried = f"TRY_CAST({number} AS {NATIVE[kind]})"
    # Most numbers begin with a digit from 1 on: the first comparison spares them the others.
    is_code = f"({number} < '1' AND regexp_matches({number}, {literal(CODE)})) OR contains({number}, '_')"
    holds = [] if column.declared else [f"NOT ({is_code})"]
    if kind == "number":
        return f"CASE WHEN {holds[0]} THEN {tried} END" if holds else tried
    # Most whole numbers are written as programs write them, which is quickly seen. A cast rounds 1.5.
    holds.append(f"{tried} = TRY_CAST({number} AS DOUBLE)")
    return f"CASE WHEN CAST({tried} AS VARCHAR) = {number} OR ({' AND '.join(holds)}) THEN {tried} END"


def _moment(column: Column) -> str:
    """A TIMESTAMP, in UTC where a zone is given: by way of a type with one, else DuckDB drops the offset unread."""
    value, spelling = value_of(column), column.spelling
    if spelling.unit:
        return _since_1970(value, PER_SECOND[spelling.unit])
    if spelling.date_format and (column.is_text or column.guess != "native"):
        text = value if column.is_text else f"CAST({value} AS VARCHAR)"
        formats = [spelling.date_format, *(_OF_CELLS if column.of_cells else [])]
        return f"TRY_CAST(TRY_STRPTIME({text}, [{', '.join(map(literal, formats))}]) AS TIMESTAMP)"
    return f"TRY_CAST(TRY_CAST({value} AS TIMESTAMPTZ) AS TIMESTAMP)"


# Example: 1500 in milliseconds is 1970-01-01 00:00:01.5.
def _since_1970(value: str, per_second: int) -> str:
    """The TIMESTAMP of a number of units since 1970, to the microsecond; null beyond the years 1 to 9999."""
    number = f"TRY_CAST({value} AS DOUBLE)"
    whole = f"TRY_CAST({value} AS BIGINT)"
    microseconds = (
        f"{whole} // {per_second // 1_000_000}"
        if per_second > 1_000_000
        else f"CAST(round({number} * {1_000_000 // per_second}) AS BIGINT)"
    )
    first, last = (f"{second * per_second}::DOUBLE" for second in (_FIRST_SECOND, _LAST_SECOND))
    return f"CASE WHEN {number} BETWEEN {first} AND {last} THEN make_timestamp({microseconds}) END"


def is_inexact(column: Column) -> str:
    """The condition that a value is written as a whole number that DOUBLE does not hold."""
    number = number_text(column)
    return (
        f"CASE WHEN abs(TRY_CAST({number} AS DOUBLE)) >= {_EXACT} "
        f"THEN regexp_full_match({number}, {literal(PLAIN_WHOLE)}) ELSE false END"
    )


def _moment_type(column: Column) -> str:
    """The type of a column of moments: with the zone kept, or local time without one."""
    return ZONED if column.zoned else "TIMESTAMP"


def ask_each(
    connection: DuckDBPyConnection, relation: str, columns: Sequence[Column], aggregates: Callable[[Column], list[str]]
) -> dict[str, tuple[Any, ...]]:
    """What aggregates say of each column.

    The values of columns that are looked at alike are put below one another, so that a thousand such columns take no
    longer to plan than one: an expression for each costs milliseconds, and together more than in proportion.

    Args:
        connection: The engine.
        relation: What the columns are selected from.
        columns: Some of them.
        aggregates: The aggregates of a column, as SQL; its nulls are taken out.

    Returns:
        Their values, by column; zeros where the relation has no rows.
    """
    kinds: dict[Column, list[str]] = {}
    for column in columns:
        kinds.setdefault(replace(column, name="value"), []).append(column.name)
    found: dict[str, tuple[Any, ...]] = {}
    for kind, names in kinds.items():
        asked = aggregates(plain(kind))
        found |= dict.fromkeys(names, (0,) * len(asked))
        for start in range(0, len(names), _COLUMNS_A_QUERY):
            some = names[start : start + _COLUMNS_A_QUERY]
            rows = connection.execute(
                f"SELECT place, {', '.join(asked)} "
                f"FROM (SELECT place, {value_of(kind)} AS value FROM {_below(relation, some)}) GROUP BY place"
            ).fetchall()
            found |= {some[place]: tuple(answers) for place, *answers in rows}
    return found


# Example: a relation with the columns a and b and the rows (1, 5) and (2, 6) becomes (value, place) = (1, 0), (5, 1),
# (2, 0), (6, 1). An aggregate by place is then one of a column.
def _below(relation: str, names: Sequence[str]) -> str:
    """The columns' values below one another, each with the place of its column."""
    listed = ", ".join(map(identifier, names))
    return f"(SELECT unnest([{listed}]) AS value, unnest(range({len(names)})) AS place FROM {relation})"

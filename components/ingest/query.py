"""The one query over the source tables: checked, limited to the data window, executed, and its result described."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import duckdb
from duckdb import DuckDBPyConnection

from components.ingest.columns import check_names
from components.ingest.messages import readable_message
from components.ingest.values import ZONED
from components.shared.errors import SourceError
from components.shared.sources.table_files import nearest
from components.shared.tables import identifier, literal

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_WIDE = {"UBIGINT", "HUGEINT", "UHUGEINT"}  # whole numbers that may not fit 64 bits
_TEXTS = {"VARCHAR", "UUID", "TIME", "TIME_NS", "TIME WITH TIME ZONE", "INTERVAL", "BIT", "BIGNUM", '"NULL"', "NULL"}
_PASSING = {
    "PROJECTION",
    "FILTER",
    "HASH_JOIN",
    "HASH_GROUP_BY",
    "PERFECT_HASH_GROUP_BY",
    "UNGROUPED_AGGREGATE",
    "ORDER_BY",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_BIGINT_DIGITS = 18  # that always fit 64 bits
_DOUBLE_DIGITS = 15  # that DOUBLE always holds
_EXACT = 2**53  # from here on DOUBLE takes several whole numbers for one
_LINE = re.compile(r"LINE (\d+): ")
_COLUMN_SUGGESTION = 20


@dataclass(frozen=True, slots=True)
class Window:
    """The data window: from `start`, up to but without `end`, in UTC without a zone; None for no limit."""

    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def parse(cls, start: str, end: str) -> Self:
        """Read the two moments of a run, ISO 8601, UTC where no zone is given; empty for no limit.

        Raises:
            SourceError: One is not a date, or the window is empty.
        """
        window = cls(_moment("window_start", start), _moment("window_end", end))
        if window.start and window.end and window.start >= window.end:
            raise SourceError(
                f"The data window is empty: window_start ({start}) has to lie before window_end ({end}), which "
                "is not part of it."
            )
        return window

    def __bool__(self) -> bool:
        return bool(self.start or self.end)

    def __str__(self) -> str:
        return f"[{_iso(self.start) or '…'}, {_iso(self.end) or '…'})"


@dataclass(frozen=True, slots=True)
class Result:
    """What a query returned: rows, columns, content hash, first and last moment of the time column as ISO 8601."""

    rows: int
    columns: int
    content_hash: str
    first: str
    last: str


def _moment(parameter: str, text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise SourceError(
            f"{parameter}: expected a date or time in ISO 8601 such as 2024-01-31 or 2024-01-31T06:00:00Z, "
            f"found {text!r}."
        ) from error
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def checked_select(connection: DuckDBPyConnection, query: str, tables: Sequence[str]) -> str:
    """The query as one SELECT without a closing semicolon; all of the only table when there is none.

    Raises:
        SourceError: It is not SQL, or not exactly one SELECT.
    """
    if not query.strip():
        return f"SELECT * FROM {identifier(tables[0])}"
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise _explained(error, query, added_lines=0) from error
    found = [statement.type.name for statement in statements]
    if found != ["SELECT"] or re.match(r"\s*(describe|summarize|show)\b", query, re.IGNORECASE):
        what = (
            f"{len(found)} statements"
            if len(found) > 1
            else "no statement"
            if not found
            else query.split(maxsplit=1)[0].upper()
        )
        raise SourceError(
            f"`source.query` has to be one SELECT; found {what}. It may only read; join and filter by WITH, "
            "JOIN and WHERE."
        )
    return _without_semicolon(query)


def _without_semicolon(query: str) -> str:
    """One statement up to its closing semicolon, without what comments say after it."""
    tokens = [offset for offset, kind in duckdb.tokenize(query) if kind != duckdb.token_type.comment]
    at = len(query.encode()[: tokens[-1]].decode())  # tokens are counted in bytes
    return query[:at] if query[at] == ";" else query


def result_columns(connection: DuckDBPyConnection, select: str) -> dict[str, str]:
    """Names and DuckDB types of what a SELECT returns.

    Raises:
        SourceError: It does not fit the tables, or returns a name twice.
    """
    try:
        described = connection.execute(f"DESCRIBE\n{select}").fetchall()
    except duckdb.Error as error:
        raise _explained(error, select, added_lines=1) from error
    names = [str(row[0]) for row in described]
    check_names(
        names,
        where="`source.query` returns columns of the same name",
        remedy="Rename one by AS, or leave one out by SELECT * EXCLUDE (…) or JOIN … USING (…).",
    )
    return {name: str(row[1]) for name, row in zip(names, described, strict=True)}


def final_select(
    select: str,
    columns: Mapping[str, str],
    *,
    time_column: str,
    window: Window,
    ignored: Collection[str] = (),
    exact: Mapping[str, str] | None = None,
) -> str:
    """The SELECT of a query limited to the window, each column in one of the six types, timestamps with a zone or not.

    Whole numbers of other types are taken for such of 64 bits, and decimals for floating-point numbers; the SELECT
    fails where that would lose something, and `exact_types` says what to make of these columns instead.

    Args:
        select: The query.
        columns: What it returns, by name, with DuckDB's types.
        time_column: Name of the time column, or empty.
        window: Rows outside it are left out.
        ignored: Columns that nothing is learned from; of a type that no table can have, they are null.
        exact: Types of columns, as `exact_types` found them.

    Raises:
        SourceError: The time column is missing or is not one, or a column is nested.
    """
    if time_column:
        _check_time_column(columns, time_column, window)
    elif window:
        raise SourceError(
            f"The data window {window} needs `problem.time_column`: name the column it goes by, or leave "
            "window_start and window_end empty."
        )
    exact = exact or {}
    selected = ", ".join(
        f"{_canonical(name, kind, is_ignored=name in ignored, exact=exact.get(name, ''))} AS {identifier(name)}"
        for name, kind in columns.items()
    )
    limits = [
        f"{identifier(time_column)} {sign} TIMESTAMP {literal(_iso(moment))}"
        for sign, moment in ((">=", window.start), ("<", window.end))
        if moment
    ]
    where = f"\nWHERE {' AND '.join(limits)}" if limits else ""
    return f"SELECT {selected} FROM (\n{select}\n) AS result{where}"


def _check_time_column(columns: Mapping[str, str], time_column: str, window: Window) -> None:
    if time_column not in columns:
        listed = ", ".join(list(columns)[:_COLUMN_SUGGESTION]) + (", …" if len(columns) > _COLUMN_SUGGESTION else "")
        raise SourceError(
            f"`problem.time_column` is {time_column!r}, which the table does not have; it has "
            f"{listed}.{nearest(time_column, columns)}"
        )
    kind = columns[time_column]
    if is_moment(kind):
        return
    # Text may be made dates later, by `prepare.dates`; no window can be cut from it.
    if kind == "VARCHAR" and not window:
        return
    raise SourceError(
        f"The time column {time_column!r} has to be a date or timestamp, found {_friendly(kind)}. Say of its table how "
        f"it is written: {_remedy(kind, json.dumps(time_column, ensure_ascii=False))}."
    )


def _remedy(kind: str, column: str) -> str:
    """Settings that make a time of a column, by what it contains."""
    if kind in _INTEGERS | _WIDE or kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL"):
        return (
            f"`columns: {{{column}: {{unit: s}}}}` for seconds since 1970 (or ms, us, ns), "
            f'`columns: {{{column}: {{date_format: "%Y%m%d"}}}}` for numbers such as 20240131'
        )
    return (
        f'`columns: {{{column}: {{date_format: "%d/%m/%Y"}}}}`, in the codes of strptime, or convert it in the query '
        "by strptime"
    )


def is_moment(kind: str) -> bool:
    """Whether a DuckDB type is a date or a timestamp of any resolution, with a zone or not."""
    return kind == "DATE" or (kind.startswith("TIMESTAMP") and not kind.endswith("]"))


def _friendly(kind: str) -> str:
    if kind in _INTEGERS | _WIDE:
        return "whole numbers"
    return {"VARCHAR": "text", "DOUBLE": "numbers", "BOOLEAN": "true and false"}.get(kind, kind)


def _canonical(name: str, kind: str, *, is_ignored: bool, exact: str) -> str:
    """A column in one of the types that every later stage knows."""
    column = identifier(name)
    if exact or kind in ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", ZONED):
        return exact or column
    if decimal := _DECIMAL.fullmatch(kind):
        return _of_decimal(name, int(decimal[1]), int(decimal[2]), is_ignored=is_ignored)
    if wanted := _wanted(kind, is_ignored=is_ignored):
        return f"CAST({column} AS {wanted})"
    if is_ignored:
        return "CAST(NULL AS VARCHAR)"
    raise SourceError(
        f"The column {name!r} is nested or binary ({kind[:60]}); a table holds one value a cell. Take what you "
        f"need of it in the query, such as {name}.field, or name it in problem.ignore."
    )


def _wanted(kind: str, *, is_ignored: bool) -> str:
    """The type that one of the engine's other types becomes; empty for what no table can have."""
    fits = {
        "BIGINT": kind in _INTEGERS or (kind in _WIDE and not is_ignored),
        "DOUBLE": kind == "FLOAT",
        ZONED: kind.startswith("TIMESTAMPTZ") and is_moment(kind),
        "TIMESTAMP": is_moment(kind),
        "VARCHAR": kind in _TEXTS | _WIDE or kind.startswith("ENUM"),
    }
    return next((wanted for wanted, holds in fits.items() if holds), "")


def _of_decimal(name: str, precision: int, scale: int, *, is_ignored: bool) -> str:
    """A decimal as the whole number or the number it is."""
    column = identifier(name)
    if not scale:
        return f"CAST({column} AS {'DOUBLE' if is_ignored else 'BIGINT'})"
    if is_ignored or precision - scale <= _DOUBLE_DIGITS:
        return f"CAST({column} AS DOUBLE)"
    is_inexact = f"{column} = trunc({column}) AND abs({column}) >= {_EXACT}"
    return f"CASE WHEN {is_inexact} THEN error({literal(name)}) ELSE CAST({column} AS DOUBLE) END"


def exact_types(connection: DuckDBPyConnection, select: str, columns: Mapping[str, str]) -> dict[str, str]:
    """The columns of large whole numbers and decimals as SQL that loses nothing, from what they hold.

    Whole numbers that fit 64 bits are such, larger ones text; decimals with a fraction are measured, and numbers.
    """
    wide = [name for name, kind in columns.items() if _may_lose(kind)]
    if not wide:
        return {}
    parts = []
    for column in map(identifier, wide):
        is_beyond = f"{column} IS NOT NULL AND TRY_CAST({column} AS BIGINT) IS NULL"
        parts += [f"coalesce(bool_or({column} != trunc({column})), false)", f"count_if({is_beyond})"]
    found = iter(connection.execute(f"SELECT {', '.join(parts)} FROM (\n{select}\n)").fetchone() or ())
    return {name: _exactly(name, columns[name], measured=next(found), beyond=next(found)) for name in wide}


def _may_lose(kind: str) -> bool:
    """Whether a type may hold whole numbers that 64 bits, or DOUBLE, do not."""
    decimal = _DECIMAL.fullmatch(kind)
    digits = int(decimal[1]) - int(decimal[2]) if decimal else 0
    return kind in _WIDE or digits > (_DOUBLE_DIGITS if decimal and int(decimal[2]) else _BIGINT_DIGITS)


def _exactly(name: str, kind: str, *, measured: bool, beyond: int) -> str:
    column = identifier(name)
    if measured:
        return f"CAST({column} AS DOUBLE)"
    whole = column if kind in _WIDE else f"CAST({column} AS DECIMAL(38, 0))"
    return f"CAST({whole} AS {'VARCHAR' if beyond else 'BIGINT'})"


def reads_once(connection: DuckDBPyConnection, select: str, *, streamed: int) -> bool:
    """Whether a query reads every streamed table once, to its end, in the order of its rows.

    Only then does it find what reading the tables first would find, at no more cost; so anything else in the plan than
    the steps known to do so is a no.
    """
    ((_, text),) = connection.execute(f"EXPLAIN (FORMAT json)\n{select}").fetchall()
    found = [scan for plan in json.loads(text) for scan in _csv_scans(plan, reached=True)]
    return len(found) == streamed and all(found)


def _csv_scans(plan: dict[str, Any], *, reached: bool) -> Iterator[bool]:
    """For each scan of CSV files in a plan, whether all of it goes through the steps above."""
    name, children = plan["name"].strip(), plan["children"]
    if name == "READ_CSV":
        yield reached
    for place, child in enumerate(children):
        # A filter right above the scan stands before the checks of values; a join holds its second side.
        passes = name in _PASSING and place == 0 and not (name == "FILTER" and child["name"].strip() == "READ_CSV")
        outer = name != "HASH_JOIN" or plan["extra_info"].get("Join Type") in ("LEFT", "INNER")
        yield from _csv_scans(child, reached=reached and passes and outer)


def restrict(connection: DuckDBPyConnection, *, readable: Sequence[Path], writable: Path) -> None:
    """From here on the engine opens these files and this folder, and no others."""
    paths = ", ".join(literal(str(path)) for path in readable)
    connection.execute(f"SET allowed_paths = [{paths}]")
    connection.execute(f"SET allowed_directories = [{literal(f'{writable}/')}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def failed(error: duckdb.Error, select: str, *, is_query: bool) -> SourceError:
    """The error of a query, or of reading the only table without one, that failed while running."""
    if is_query or isinstance(error, duckdb.OutOfMemoryException):
        return _explained(error, select, added_lines=1)
    return SourceError(f"The table cannot be read: {readable_message(str(error))}")


def describe_result(connection: DuckDBPyConnection, path: Path, time_column: str) -> Result:
    """Count and hash a Parquet file.

    The hash is over names, types and the sum of the rows' hashes: it depends neither on the order of the rows nor on
    how the file is laid out, only on DuckDB's hash function.
    """
    relation = f"read_parquet({literal(str(path))})"
    columns = {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}
    moment = identifier(time_column) + ("::TIMESTAMP" if columns.get(time_column) == ZONED else "")  # in UTC
    bounds = f"min({moment}), max({moment})" if is_moment(columns.get(time_column, "")) else "NULL, NULL"
    names = ", ".join(identifier(name) for name in columns)
    row = connection.execute(f"SELECT count(*), sum(hash({names})), {bounds} FROM {relation}").fetchone()
    rows, total, first, last = row or (0, 0, None, None)
    digest = hashlib.sha256(json.dumps([list(columns.items()), rows, int(total or 0)]).encode()).hexdigest()
    return Result(rows, len(columns), digest, first.isoformat() if first else "", last.isoformat() if last else "")


def covered(connection: DuckDBPyConnection, select: str, time_column: str) -> str:
    """What the query's rows cover without a window, in words."""
    row = connection.execute(
        f"SELECT count(*), min({identifier(time_column)}), max({identifier(time_column)}) FROM (\n{select}\n)"
    ).fetchone()
    rows, first, last = row or (0, None, None)
    if not first:
        return f"of the {rows:,} rows of the query none has a time. Check the query"
    return f"the {rows:,} rows of the query cover {first.isoformat()} to {last.isoformat()}. Choose a window within"


def _explained(error: duckdb.Error, query: str, *, added_lines: int) -> SourceError:
    """DuckDB's message without its drawing, with the line of the user's query."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return SourceError(
            "The query needs more memory than the table engine may use. Give the stage more "
            "(FULLCIRCLE_MEMORY_MB), or join and sort less at once."
        )
    if isinstance(error, duckdb.PermissionException):
        return SourceError(
            "`source.query` reads a file. It may read the tables of `source.tables` alone: add the file there "
            "and use its name."
        )
    text = str(error)
    message = " ".join(line for line in text.partition("\nLINE ")[0].splitlines() if line.strip())
    lines = query.splitlines()
    number = int(found.group(1)) - added_lines if (found := _LINE.search(text)) else 0
    where = f" (line {number}: {lines[number - 1].strip()[:80]!r})" if 0 < number <= len(lines) else ""
    end = "" if message.endswith(("?", "!", ".")) else "."
    return SourceError(f"`source.query` failed{where}: {message}{end}")

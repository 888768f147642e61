"""Reading CSV files: what their first lines say, then one parallel pass by DuckDB, before the query or within it.

Every column is read as text and typed afterwards: what a number was spelled like, a code such as 007 or a whole number
of 22 digits, is lost to a reader of numbers.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import duckdb
from duckdb import DuckDBPyConnection

from components.ingest.columns import WIDE, Typed, check_declared, read_column, typed, typed_at_once
from components.ingest.heads import Head, read_head
from components.ingest.messages import readable_message
from components.ingest.partitions import partition_values
from components.ingest.values import Column
from components.shared.config import TableConfig
from components.shared.errors import SourceError
from components.shared.sources.table_files import TableFile, locate_undecodable
from components.shared.tables import identifier, literal

_MIB = 1024**2
_BUFFER = 32 * _MIB  # DuckDB's own, for its longest line of 2 MB
_NO_NULLS = "\ue000"  # the reader insists on a spelling; nobody writes this one
_BAD_LINE = re.compile(r"CSV Error on Line: (\d+)")
_BAD_COUNT = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_BAD_FILE = re.compile(r"file = (.+)")
_TOO_LONG = re.compile(r"Maximum line size of (\d+) bytes exceeded. Actual Size:(\d+) bytes")
_TEXT_LINE = re.compile(r"Original Line: ?(.*)")


def load_csv(
    connection: DuckDBPyConnection, raw: str, files: Sequence[TableFile], *, table: TableConfig
) -> tuple[Typed, list[str]]:
    """Read CSV files into a table of the engine.

    Args:
        connection: The engine.
        raw: Name of the table to create, quoted.
        files: UTF-8 files with the same columns, in any order.
        table: How to read them.

    Returns:
        The table with its columns' types, and warnings.

    Raises:
        SourceError: A file cannot be read as declared, or the files differ in their columns.
    """
    heads, columns = _looked_at(files, table)
    # The other nulls are taken out by SQL, so that what they were in texts is known, unless that takes too long.
    taken = [null for null in _taken(columns) if not null or len(columns) > WIDE]
    _read(connection, raw, columns, files=list(zip(files, heads, strict=True)), table=table, nulls=taken)
    found = typed(connection, raw, _without_nulls(columns, taken, heads[0]))
    return (replace(found, first=_first(heads[0])) if len(columns) > WIDE else found), heads[0].warnings


def stream_csv(files: Sequence[TableFile], *, table: TableConfig) -> tuple[Typed, list[str]] | None:
    """The SELECT that reads CSV files while it runs, so that a large table is never held.

    Args:
        files: UTF-8 files.
        table: How to read them.

    Returns:
        The table and warnings; None when it has to be read as a whole first. The SELECT itself fails where the first
        lines promised other types than the rest contains.

    Raises:
        SourceError: As `load_csv`.
    """
    heads, columns = _looked_at(files, table)
    taken = _taken(columns)
    scan, *more = _scans(columns, list(zip(files, heads, strict=True)), _options(table, taken))
    select = typed_at_once(f"({scan})", _without_nulls(columns, taken, heads[0]))
    if more or select is None:
        return None
    return replace(select, first=_first(heads[0])), heads[0].warnings


def _first(head: Head) -> dict[str, tuple[str, ...]]:
    """The first values of each column, as they are written."""
    return dict(zip(head.names, zip(*head.rows, strict=True), strict=True))


def _looked_at(files: Sequence[TableFile], table: TableConfig) -> tuple[list[Head], list[Column]]:
    """The heads of the files, and their columns with those that the folders' names are."""
    heads = [read_head(file, table) for file in files]
    _same_columns(files, heads)
    values = list(zip(*heads[0].rows, strict=True)) or [()] * len(heads[0].names)
    held = dict(zip(heads[0].names, map(set, values), strict=True)) | partition_values(files, heads[0].names)
    check_declared(table, held)
    return heads, [read_column(name, seen, table) for name, seen in held.items()]


def _taken(columns: Sequence[Column]) -> tuple[str, ...]:
    """The null spellings that hold for every column: the reader takes them out, which costs least."""
    first, *others = (column.spelling.nulls for column in columns)
    return tuple(null for null in first if all(null in nulls for nulls in others))


def _without_nulls(columns: Sequence[Column], taken: Sequence[str], head: Head) -> list[Column]:
    """The columns with the nulls that are left for SQL; what folders are named the reader passes on as it is."""
    own = set(head.names)
    rest = (tuple(null for null in column.spelling.nulls if null not in taken) for column in columns)
    return [
        replace(column, spelling=replace(column.spelling, nulls=nulls)) if column.name in own else column
        for column, nulls in zip(columns, rest, strict=True)
    ]


def _same_columns(files: Sequence[TableFile], heads: Sequence[Head]) -> None:
    first = heads[0].names
    for file, head in zip(files, heads, strict=True):
        if set(head.names) != set(first):
            raise SourceError(
                f"{file.name} has other columns than {files[0].name}: {difference(first, head.names)}. Give all "
                "files of a table the same columns."
            )


def difference(expected: Sequence[str], found: Sequence[str]) -> str:
    """What one list of columns lacks and has besides another."""
    missing = [name for name in expected if name not in set(found)]
    extra = [name for name in found if name not in set(expected)]
    parts = [(f"it lacks {missing[:5]}" if missing else ""), (f"it has {extra[:5]} besides" if extra else "")]
    return " and ".join(part for part in parts if part)


def _read(
    connection: DuckDBPyConnection,
    raw: str,
    columns: Sequence[Column],
    *,
    files: Sequence[tuple[TableFile, Head]],
    table: TableConfig,
    nulls: Sequence[str],
) -> None:
    """Fill the table; with larger buffers where a line needs them."""
    longest = 0
    while True:
        scans = _scans(columns, files, _options(table, nulls, longest))
        try:
            connection.execute(f"CREATE OR REPLACE TABLE {raw} AS {' UNION ALL '.join(scans)}")
        except duckdb.InvalidInputException as error:
            too_long = _TOO_LONG.search(str(error))
            if too_long is None or longest >= table.longest_line_mb * _MIB:
                raise _explained(error, [file for file, _ in files], table) from error
            longest = min(max(2 * int(too_long[2]), 4 * longest), table.longest_line_mb * _MIB)
        else:
            return


def _scans(columns: Sequence[Column], files: Sequence[tuple[TableFile, Head]], options: str) -> list[str]:
    """The SELECTs that read the files; those whose columns stand in another order are read in theirs."""
    selected = ", ".join(identifier(column.name) for column in columns)
    is_partitioned = str(bool(files[0][0].partitions)).lower()
    scans = []
    for (names, skip, delimiter), group in groupby(
        files, key=lambda pair: (pair[1].names, pair[1].skip_records, pair[1].delimiter)
    ):
        paths = ", ".join(literal(str(file.path)) for file, _ in group)
        struct = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
        scans.append(
            f"SELECT {selected} FROM read_csv([{paths}], columns = {{{struct}}}, delim = {literal(delimiter)}, "
            f"skip = {skip}, hive_partitioning = {is_partitioned}, hive_types_autocast = false, {options})"
        )
    return scans


def _options(table: TableConfig, nulls: Sequence[str], longest: int = 0) -> str:
    spellings = ", ".join(literal(spelling) for spelling in nulls or [_NO_NULLS])
    buffers = f", max_line_size = {longest}, buffer_size = {max(_BUFFER, 2 * longest)}" if longest else ""
    return (
        f"auto_detect = false, header = {str(table.header).lower()}, quote = '\"', escape = '\"', "
        f"comment = '', compression = 'none', nullstr = [{spellings}]{buffers}"
    )


def _explained(error: duckdb.Error, files: Sequence[TableFile], table: TableConfig) -> SourceError:
    """What DuckDB says about a line, in our words."""
    message = str(error)
    paths = {str(file.path): file for file in files}
    named = _BAD_FILE.search(message)
    file = paths.get(named.group(1).strip() if named else "", files[0])
    if "unicode" in message and (undecodable := locate_undecodable(file, "utf-8")):
        return undecodable
    line = found.group(1) if (found := _BAD_LINE.search(message)) else ""
    where = f"{file.name}, line {line}" if line else file.name
    if table.comment and line:
        where += f" (lines that begin with {table.comment!r} are not counted)"
    return SourceError(f"{where}{_problem(message, table)}")


def _problem(message: str, table: TableConfig) -> str:
    """What is wrong with a line and what to do, to follow its place."""
    if too_long := _TOO_LONG.search(message):
        return (
            f": the line is longer than {int(too_long[1]):,} bytes (`longest_line_mb: {table.longest_line_mb}`): at "
            f"least {int(too_long[2]):,}. Raise `longest_line_mb`, or look for a quote that never closes."
        )
    if counts := _BAD_COUNT.search(message):
        expected, fields = counts.groups()
        return (
            f": expected {expected} fields as in the first line, found {fields}. Correct the line; a field holding the "
            f"delimiter has to stand in double quotes.{_hint(message, table)}"
        )
    if "unterminated quote" in message:
        return (
            ": a double quote opens a field and never closes. Close it, or double it where it is meant as a "
            f"character.{_hint(message, table)}"
        )
    if "state machine" in message:
        return (
            " mixes line ends or breaks its quoting. Save it with one kind of line end, fields in double quotes where "
            f"needed.{_hint(message, table)}"
        )
    return f": {readable_message(message)}"


def _hint(message: str, table: TableConfig) -> str:
    """A setting that the line itself suggests; empty when it suggests none."""
    found = _TEXT_LINE.search(message)
    line = found[1].strip() if found else ""
    if '\\"' in line and table.escape == '"':
        return ' A backslash stands before a quote there: if that is how quotes are escaped, set `escape: "\\\\"`.'
    if line.startswith(("#", "%", "//")) and not table.comment:
        return f" If it is a comment, set `comment: {line[0]!r}`."
    return ""

"""Reading CSV files: what their first lines say, then one parallel pass by DuckDB, before the query or within it."""

import contextlib
import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import duckdb
from duckdb import DuckDBPyConnection

from components.ingest.columns import (
    ZONED,
    Column,
    Guess,
    InexactNumbersError,
    check_declared,
    check_names,
    guess,
    has_zone,
    typed,
    typed_at_once,
)
from components.ingest.fetch import TableFile, locate_undecodable
from components.shared.config import TableConfig
from components.shared.errors import SourceError
from components.shared.tables import identifier, literal

_HEAD_BYTES = 1024 * 1024
_LONGEST_HEAD = 64 * _HEAD_BYTES
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", ":": "colon"}
_NO_NULLS = "\ue000"  # the reader insists on a spelling; nobody writes this one
_READ_AS: dict[Guess, str] = {
    "integer": "DOUBLE",
    "number": "DOUBLE",
    "date": ZONED,
    "timestamp": ZONED,
}
_BAD_LINE = re.compile(r"CSV Error on Line: (\d+)")
_BAD_COUNT = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_BAD_FILE = re.compile(r"file = (.+)")


@dataclass(frozen=True, slots=True)
class Head:
    """The first lines of a file.

    Attributes:
        names: The column names.
        rows: Rows of as many fields.
        skip: Lines above the first that counts: those to skip, and blank ones.
    """

    names: tuple[str, ...]
    rows: list[list[str]]
    skip: int


def load_csv(connection: DuckDBPyConnection, raw: str, files: Sequence[TableFile], *, table: TableConfig) -> str:
    """Read CSV files into a table of the engine.

    Args:
        connection: The engine.
        raw: Name of the table to create, quoted.
        files: UTF-8 files with the same columns, in any order.
        table: How to read them.

    Returns:
        The SELECT that gives the table's columns their types.

    Raises:
        SourceError: A file cannot be read as declared, or the files differ in their columns.
    """
    heads = [read_head(file, table) for file in files]
    _same_columns(files, heads)
    columns = _columns(heads, table)
    check_declared(table, [column.name for column in columns])
    as_text = [Column(column.name, "VARCHAR", column.declared, column.guess) for column in columns]
    try:
        _read(connection, raw, columns, files=list(zip(files, heads, strict=True)), table=table)
        return typed(connection, raw, columns, table=table)
    except (
        duckdb.ConversionException,
        InexactNumbersError,
    ):  # the first lines promised other types than the rest holds
        _read(connection, raw, as_text, files=list(zip(files, heads, strict=True)), table=table)
        return typed(connection, raw, as_text, table=table)


def stream_csv(files: Sequence[TableFile], *, table: TableConfig) -> str | None:
    """The SELECT that reads CSV files while it runs, so that a large table is never held.

    Args:
        files: UTF-8 files.
        table: How to read them.

    Returns:
        None when the table has to be read as a whole first. The SELECT itself fails where the first lines promised
        other types than the rest holds.

    Raises:
        SourceError: As `load_csv`.
    """
    heads = [read_head(file, table) for file in files]
    _same_columns(files, heads)
    columns = _columns(heads, table)
    check_declared(table, [column.name for column in columns])
    (scan, *more) = _scans(columns, list(zip(files, heads, strict=True)), table)
    return None if more else typed_at_once(f"({scan})", columns, table=table)


def read_head(file: TableFile, table: TableConfig) -> Head:
    """The column names of a file and its first rows.

    Raises:
        SourceError: The file is empty, not in its encoding, has a name twice, or seems to have another delimiter.
    """
    lines = io.StringIO(_first_text(file), newline="")
    skip = _skip(lines, table.skip_lines)
    records: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # an overlong field: the lines before it are enough
        records.extend(record for record in csv.reader(lines, delimiter=_delimiter(file, table)) if record)
    if not records:
        raise SourceError(f"{file.name} is empty; expected {'column names and rows' if table.header else 'rows'}.")
    _check_delimiter(file, records, table)
    rows = records[1:] if table.header else records
    names = _names(file, records[0], table)
    return Head(names, [row for row in rows if len(row) == len(names)], skip)


def _first_text(file: TableFile) -> str:
    """The beginning of a file, in whole lines."""
    size = _HEAD_BYTES
    with file.path.open("rb") as content:
        while True:
            content.seek(0)
            start = content.read(size)
            if not content.read(1) or size > _LONGEST_HEAD:
                return _decoded(file, start)
            if end := max(start.rfind(b"\n"), start.rfind(b"\r")) + 1:
                return _decoded(file, start[:end])
            size *= 4


def _skip(lines: io.StringIO, skip: int) -> int:
    """Pass the lines to skip and the blank ones below them; the reader wants to know of both."""
    for _ in range(skip):
        lines.readline()
    position = lines.tell()
    while (line := lines.readline()) and not line.strip("\r\n"):
        skip, position = skip + 1, lines.tell()
    lines.seek(position)
    return skip


def _decoded(file: TableFile, start: bytes) -> str:
    try:
        return start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise locate_undecodable(file, "utf-8") or error from error


def _delimiter(file: TableFile, table: TableConfig) -> str:
    return "\t" if table.delimiter == "," and file.path.suffix.lower() == ".tsv" else table.delimiter


def _check_delimiter(file: TableFile, records: Sequence[Sequence[str]], table: TableConfig) -> None:
    """Refuse a file that is one column now and would be several with another delimiter."""
    if len(records[0]) > 1:
        return
    current = _delimiter(file, table)
    lines = [current.join(record) for record in records[:20]]
    for delimiter, name in _DELIMITERS.items():
        counts = {len(fields) for fields in csv.reader(lines, delimiter=delimiter)}
        if len(counts) == 1 and (count := counts.pop()) > 1:
            raise SourceError(
                f"{file.name}: read with the delimiter {json.dumps(current)} there is one column, "
                f"{records[0][0][:60]!r}; "
                f"with a {name} there are {count}. Set `delimiter: {json.dumps(delimiter)}`."
            )


def _names(file: TableFile, first: Sequence[str], table: TableConfig) -> tuple[str, ...]:
    if table.names:
        if len(table.names) != len(first):
            raise SourceError(
                f"`names` lists {len(table.names)} columns, but {file.name} has {len(first)}: its first line is "
                f"{','.join(first)[:80]!r}."
            )
        check_names(table.names, where="`names`", remedy="Give each column a name of its own.")
        return tuple(table.names)
    names = [name if table.header and name else f"column_{position}" for position, name in enumerate([*first], start=1)]
    skipped = table.skip_lines + 1
    check_names(
        names,
        where=file.name,
        remedy=f"Rename one in the file, or set `header: false`, `skip_lines: {skipped}` and list all `names`.",
    )
    return tuple(names)


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


def _columns(heads: Sequence[Head], table: TableConfig) -> list[Column]:
    """Each column with the type to read it as: numbers and moments at once, everything else as text first."""
    values = list(zip(*heads[0].rows, strict=True)) or [()] * len(heads[0].names)
    columns = []
    for name, seen in zip(heads[0].names, values, strict=True):
        declared = table.types.get(name)
        kind: Guess = declared or (guess(set(seen), table) if table.infer_types else "text")
        stored = "VARCHAR" if table.date_format and kind in ("date", "timestamp") else _READ_AS.get(kind, "VARCHAR")
        zoned = stored == ZONED and has_zone(seen)
        columns.append(Column(name, stored, declared, kind, zoned))
    return columns


def _read(
    connection: DuckDBPyConnection,
    raw: str,
    columns: Sequence[Column],
    *,
    files: Sequence[tuple[TableFile, Head]],
    table: TableConfig,
) -> None:
    """Fill the table."""
    scans = _scans(columns, files, table)
    try:
        connection.execute(f"CREATE OR REPLACE TABLE {raw} AS {' UNION ALL '.join(scans)}")
    except duckdb.InvalidInputException as error:
        raise _explained(error, [file for file, _ in files]) from error


def _scans(columns: Sequence[Column], files: Sequence[tuple[TableFile, Head]], table: TableConfig) -> list[str]:
    """The SELECTs that read the files; those whose columns stand in another order are read in theirs."""
    stored = {column.name: column.stored for column in columns}
    selected = ", ".join(identifier(name) for name in stored)
    scans = []
    for (names, skip, delimiter), group in groupby(
        files, key=lambda pair: (pair[1].names, pair[1].skip, _delimiter(pair[0], table))
    ):
        paths = ", ".join(literal(str(file.path)) for file, _ in group)
        struct = ", ".join(f"{literal(name)}: {literal(stored[name])}" for name in names)
        scans.append(
            f"SELECT {selected} FROM read_csv([{paths}], columns = {{{struct}}}, delim = {literal(delimiter)}, "
            f"skip = {skip}, {_options(table)})"
        )
    return scans


def _options(table: TableConfig) -> str:
    nulls = ", ".join(literal(spelling) for spelling in table.nulls or [_NO_NULLS])
    return (
        f"auto_detect = false, header = {str(table.header).lower()}, quote = '\"', escape = '\"', comment = '', "
        f"compression = 'none', hive_partitioning = false, nullstr = [{nulls}]"
    )


def _explained(error: duckdb.Error, files: Sequence[TableFile]) -> SourceError:
    """What DuckDB says about a line, in our words."""
    message = str(error)
    paths = {str(file.path): file for file in files}
    named = _BAD_FILE.search(message)
    file = paths.get(named.group(1).strip() if named else "", files[0])
    if "unicode" in message and (undecodable := locate_undecodable(file, "utf-8")):
        return undecodable
    line = found.group(1) if (found := _BAD_LINE.search(message)) else ""
    where = f"{file.name}, line {line}" if line else file.name
    if counts := _BAD_COUNT.search(message):
        expected, fields = counts.groups()
        return SourceError(
            f"{where}: expected {expected} fields as in the first line, found {fields}. "
            "Correct the line; a field holding the delimiter has to stand in double quotes."
        )
    if "unterminated quote" in message:
        return SourceError(
            f"{where}: a double quote opens a field and never closes. Close it, or double it where it is meant "
            "as a character."
        )
    if "state machine" in message:
        return SourceError(
            f"{file.name} mixes line ends or breaks its quoting. Save it with one kind of line end, fields in "
            "double quotes where needed."
        )
    return SourceError(f"{where}: {message.splitlines()[0]}.")

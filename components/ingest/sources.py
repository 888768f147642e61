"""The source tables, registered by name in the engine.

Parquet is read where it is, for it says its types and can be read in parts; CSV, workbooks and JSON Lines are first
loaded into a schema of their own (`raw`), then typed. The query sees only the views on top. Files are checked by their
first and last bytes before the engine sees them, since its messages do not say what to do.
"""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from components.ingest.columns import (
    WIDE,
    Typed,
    check_declared,
    check_names,
    distinct_names,
    native_column,
    read_column,
    typed,
)
from components.ingest.csv_files import difference, load_csv, stream_csv
from components.ingest.excel import DIALECT
from components.ingest.fetch import Fetched, fetch
from components.ingest.hints import Remark, remarks
from components.ingest.messages import readable_message
from components.ingest.partitions import link_files, partition_values
from components.shared.config import SourceConfig, TableConfig
from components.shared.errors import FullcircleError, SourceError
from components.shared.sources.table import at_place
from components.shared.sources.table_files import TableFile, locate_undecodable, nearest, unread
from components.shared.tables import identifier, literal

_RAW = "raw"  # schema of the tables as they were read
_STREAMED = 64 * 1024**2  # bytes of CSV from which a table is read while it is used; below, holding it is no burden
_PARQUET_MAGIC = b"PAR1"
_JSON_OBJECT = 16 * 1024**2  # bytes of one line that the reader takes by itself
_JSON_FILE = re.compile(r'in file "([^"]+)"')


def override_paths(source: SourceConfig, paths: Mapping[str, str]) -> SourceConfig:
    """The source with other places for some of its tables.

    Raises:
        SourceError: A name is not one of a table.
    """
    for name in paths:
        if name not in source.tables:
            raise SourceError(
                f"`paths` names the table {name!r}; the source has "
                f"{', '.join(source.tables)}.{nearest(name, source.tables)}"
            )
    tables = {name: at_place(table, paths.get(name, table.path)) for name, table in source.tables.items()}
    return source.model_copy(update={"tables": tables})


@dataclass(slots=True)
class Registered:
    """The tables of a source.

    Attributes:
        fetched: The files of each table.
        still_read: The files that the views still read.
        streamed: Names of the tables that are read from CSV each time they are used.
        remarks: What a person should know of single columns.
        widest: The largest number of columns of a table.
    """

    fetched: dict[str, Fetched] = field(default_factory=dict)
    still_read: list[TableFile] = field(default_factory=list)
    streamed: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    widest: int = 0


def register(
    connection: DuckDBPyConnection,
    source: SourceConfig,
    scratch: Path,
    *,
    fetched: Mapping[str, Fetched] | None = None,
    stream: bool = False,
) -> Registered:
    """Make each table of the source a view of the engine, typed.

    Args:
        connection: The engine.
        source: The tables.
        scratch: An existing folder for downloads and unpacked files; the caller removes it after the query.
        fetched: Files that are here already, by table.
        stream: Whether large CSV files may be read while they are used, instead of being held. A query over them then
            fails at a value of another type than the first lines promised.

    Raises:
        SourceError: A table cannot be fetched, read or typed; the message names it.
    """
    check_names(list(source.tables), where="`source.tables`", remedy="Give each table a name of its own.", what="table")
    connection.execute(f"CREATE SCHEMA {_RAW}")
    registered = Registered(dict(fetched or {}))
    # Of the planner's steps the first makes a join of a long IN, which loses the order of rows; the others take the
    # square of the number of columns: half a minute for 10,000, and the last one many times that.
    disabled = "in_clause,projection_placement"
    connection.execute(f"SET disabled_optimizers = '{disabled},common_subexpressions'")
    for name, table in source.tables.items():
        try:
            if name not in registered.fetched:
                registered.fetched[name] = fetch(table, scratch)
            _register(connection, name, registered, table=table, scratch=scratch, stream=stream)
        except FullcircleError as error:
            raise SourceError(f"Table {name!r}: {error}") from error
        except (duckdb.Error, OSError) as error:
            raise SourceError(f"Table {name!r}: {table.path} cannot be read: {readable_message(str(error))}") from error
    if registered.widest > WIDE:
        disabled += ",common_subexpressions"
    if registered.streamed:
        # The planner knows nothing of the length of a file; left to guess it would hold the long side of a join.
        disabled += ",join_order,build_side_probe_side"
    connection.execute(f"SET disabled_optimizers = '{disabled}'")
    return registered


def _register(
    connection: DuckDBPyConnection,
    name: str,
    registered: Registered,
    *,
    table: TableConfig,
    scratch: Path,
    stream: bool,
) -> None:
    raw = f"{_RAW}.{identifier(name)}"
    fetched = registered.fetched[name]
    _check_contents(fetched)
    files = link_files(fetched.files, Path(tempfile.mkdtemp(dir=scratch)))
    if fetched.format == "excel":
        table = table.model_copy(update=DIALECT)
    found = _streamed(connection, files, table) if stream and fetched.format == "csv" else None
    if found:
        registered.streamed.append(name)
    else:
        found = _LOADERS[fetched.format](connection, raw, files, table=table)
    if name in registered.streamed or fetched.format == "parquet":
        registered.still_read.extend(files)
    columns, warnings = found
    registered.widest = max(registered.widest, len(columns.names))
    if not connection.execute(f"SELECT 1 FROM ({columns.select}) LIMIT 1").fetchone():
        header = " below the line of column names" if fetched.format in ("csv", "excel") and table.header else ""
        raise SourceError(f"{_listed(fetched.files)} holds no rows{header}; expected at least one.")
    connection.execute(f"CREATE VIEW {identifier(name)} AS {columns.select}")
    registered.remarks.extend(Remark("", f"Table {name!r}: {warning}") for warning in warnings)
    for remark in remarks(connection, columns, table=table):
        registered.remarks.append(Remark(remark.column, f"Table {name!r}: {remark.text}"))


def _streamed(
    connection: DuckDBPyConnection, files: Sequence[TableFile], table: TableConfig
) -> tuple[Typed, list[str]] | None:
    """The SELECT that reads a large table while it runs; None when it is better held."""
    if sum(file.path.stat().st_size for file in files) < _STREAMED:
        return None
    found = stream_csv(files, table=table)
    try:
        return found if found and connection.execute(f"SELECT 1 FROM ({found[0].select}) LIMIT 1").fetchone() else None
    except duckdb.Error:  # reading it as a whole says what is wrong
        return None


def _listed(files: Sequence[TableFile]) -> str:
    return files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"


def _check_contents(fetched: Fetched) -> None:
    """Refuse files that are not what their format says, by their first and last bytes."""
    for file in fetched.files:
        size = file.path.stat().st_size
        with file.path.open("rb") as content:
            start = content.read(16)
            content.seek(max(0, size - 4))
            end = content.read(4)
        is_parquet = start.startswith(_PARQUET_MAGIC)
        if not size:
            raise SourceError(f"{file.name} is empty (0 bytes); expected a {fetched.format} file with rows.")
        if what := unread(file.name, start):
            raise SourceError(f"{file.name}: {what}")
        if fetched.format != "parquet" and is_parquet:
            raise SourceError(
                f"{file.name} is a Parquet file, read as {fetched.format}. Set `format: parquet`, or rename it."
            )
        if fetched.format == "parquet" and not is_parquet:
            raise SourceError(
                f"{file.name} is not a Parquet file: it begins with {start[:4]!r} instead of {_PARQUET_MAGIC!r}. "
                "Check `format` and the file."
            )
        if is_parquet and end != _PARQUET_MAGIC:
            raise SourceError(
                f"{file.name} is a truncated Parquet file ({size:,} bytes, its end is missing). Fetch or write "
                "it again."
            )


def damaged(connection: DuckDBPyConnection, files: Sequence[TableFile]) -> SourceError | None:
    """The first Parquet file that cannot be read to its end, after a query over it failed; None when all can."""
    for file in files:
        try:
            connection.execute(f"SELECT sum(hash(COLUMNS(*))) FROM read_parquet({literal(str(file.path))})").fetchall()
        except duckdb.Error:
            return SourceError(
                f"{file.name} is a damaged Parquet file: some of its pages cannot be read. Fetch or write it again."
            )
    return None


def _load_parquet(
    connection: DuckDBPyConnection, raw: str, files: Sequence[TableFile], *, table: TableConfig
) -> tuple[Typed, list[str]]:
    del raw  # Parquet is read where it is, each time
    names, warnings = _parquet_columns(files)
    paths = ", ".join(literal(str(file.path)) for file in files)
    is_partitioned = str(bool(files[0].partitions)).lower()
    relation = (
        f"read_parquet([{paths}], union_by_name = true, hive_partitioning = {is_partitioned}, "
        "hive_types_autocast = false)"
    )
    return _typed_natively(connection, relation, files, table=table, names=names), warnings


def _parquet_columns(files: Sequence[TableFile]) -> tuple[list[str], list[str]]:
    """The columns of Parquet files by names that SQL can tell apart, and what was changed about them."""
    import pyarrow.parquet as pq

    first: list[str] = []
    chosen: tuple[list[str], list[str]] = ([], [])
    for file in files:
        try:
            names = list(pq.read_schema(file.path).names)
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{file.name} is a damaged Parquet file ({str(error).splitlines()[0]}). Fetch or write it again."
            ) from error
        found = distinct_names(names, where=file.name, remedy="Rename one where the file is written.")
        if set(names) != set(first or names):
            raise SourceError(
                f"{file.name} has other columns than {files[0].name}: {difference(first, names)}. Give all "
                "files of a table the same columns."
            )
        if found[1] and first and names != first:
            raise SourceError(
                f"{file.name} has its columns in another order than {files[0].name}, and some differ by case alone. "
                "Write them in one order, or rename one."
            )
        first, chosen = first or names, chosen if first else found
    return chosen


def _typed_natively(
    connection: DuckDBPyConnection,
    relation: str,
    files: Sequence[TableFile],
    *,
    table: TableConfig,
    names: Sequence[str] = (),
) -> Typed:
    """The columns of files that say their types, and those of their folders' names, which are typed like a CSV file's.

    Args:
        connection: The engine.
        relation: What they are selected from.
        files: The files.
        table: How to read them.
        names: What to call the columns of the files, in their order; by default as the engine does.
    """
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    called = [str(row[0]) for row in described]
    renamed = {old: new for old, new in zip(called, names, strict=False) if old != new}
    if renamed:
        listed = ", ".join(f"{identifier(old)} AS {identifier(new)}" for old, new in renamed.items())
        relation = f"(SELECT * RENAME ({listed}) FROM {relation})"
    types = {renamed.get(name, name): str(row[1]) for name, row in zip(called, described, strict=True)}
    folders = partition_values(files, [])
    check_declared(table, types)
    columns = [
        read_column(name, folders[name], table) if name in folders else native_column(name, stored, table)
        for name, stored in types.items()
    ]
    return typed(connection, relation, columns)


def _load_jsonl(
    connection: DuckDBPyConnection, raw: str, files: Sequence[TableFile], *, table: TableConfig
) -> tuple[Typed, list[str]]:
    paths = ", ".join(literal(str(file.path)) for file in files)
    longest = 2 * max(_JSON_OBJECT, *(file.path.stat().st_size for file in files))
    is_partitioned = str(bool(files[0].partitions)).lower()
    # The whole file is looked at for its types; keys that lines lack are null.
    shared = (
        f"[{paths}], format = 'newline_delimited', records = 'true', compression = 'uncompressed', "
        f"hive_partitioning = {is_partitioned}, hive_types_autocast = false"
    )
    large = f", maximum_object_size = {min(longest, table.longest_line_mb * 1024**2)}"
    scan = f"read_json({shared}, sample_size = -1, union_by_name = true)"
    try:
        try:
            connection.execute(f"CREATE TABLE {raw} AS SELECT * FROM {scan}")
        except duckdb.Error as error:
            if "maximum_object_size" not in str(error):
                raise
            shared += large
            scan = f"read_json({shared}, sample_size = -1, union_by_name = true)"
            connection.execute(f"CREATE TABLE {raw} AS SELECT * FROM {scan}")
        if inexact := _inexact_columns(connection, raw):
            _read_as_written(connection, raw, shared, inexact)
    except duckdb.Error as error:
        raise _explained_json(error, files) from error
    return _typed_natively(connection, raw, files, table=table), []


def _inexact_columns(connection: DuckDBPyConnection, raw: str) -> list[str]:
    """Columns of whole numbers that the JSON reader took for DOUBLE, in which some are not themselves."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {raw}").fetchall()
    names = [str(name) for name, kind, *_ in described if kind == "DOUBLE"]
    if not names:
        return []
    conditions = ", ".join(
        f"bool_and({column} = trunc({column})) AND max(abs({column})) >= {2**53}" for column in map(identifier, names)
    )
    row = connection.execute(f"SELECT {conditions} FROM {raw}").fetchone() or ()
    return [name for name, is_inexact in zip(names, row, strict=True) if is_inexact]


def _read_as_written(connection: DuckDBPyConnection, raw: str, shared: str, inexact: Sequence[str]) -> None:
    """Read JSON Lines again, these columns as they are written."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {raw}").fetchall()
    types = {str(name): "JSON" if name in inexact else str(kind) for name, kind, *_ in described}
    struct = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    connection.execute(f"CREATE OR REPLACE TABLE {raw} AS SELECT * FROM read_json({shared}, columns = {{{struct}}})")


def _explained_json(error: duckdb.Error, files: Sequence[TableFile]) -> SourceError:
    message = str(error)
    named = _JSON_FILE.search(message)
    file = {str(file.path): file for file in files}.get(named.group(1) if named else "", files[0])
    if undecodable := locate_undecodable(file, "utf-8"):
        return undecodable
    with file.path.open("rb") as content:
        if content.read(64).lstrip().startswith(b"["):
            return SourceError(
                f"{file.name} is one JSON array; expected JSON Lines, one object a line. Convert it, for "
                "instance by `jq -c '.[]'`."
            )
    return _broken_line(file) or SourceError(f"{file.name}: {readable_message(message)}")


def _broken_line(file: TableFile) -> SourceError | None:
    """The first line that is not a JSON object, as Python's reader says it."""
    is_blank = True
    with file.path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            is_blank = is_blank and not line.strip()
            if problem := _line_problem(line):
                return SourceError(
                    f"{file.name}, line {number}: expected one JSON object a line, found {line.strip()[:60]!r}: "
                    f"{problem}."
                )
    return SourceError(f"{file.name} holds no rows; expected one JSON object a line.") if is_blank else None


def _line_problem(line: str) -> str:
    if not line.strip():
        return ""
    try:
        pairs = json.loads(line, object_pairs_hook=tuple)
    except ValueError as error:
        return str(error)
    if not isinstance(pairs, tuple):
        return "it is no object"
    return "" if len({key for key, _ in pairs}) == len(pairs) else "it has a key twice"


_LOADERS = {"csv": load_csv, "excel": load_csv, "parquet": _load_parquet, "jsonl": _load_jsonl}

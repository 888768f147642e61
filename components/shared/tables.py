"""Tables larger than memory: Ibis expressions over Parquet, executed by DuckDB within a memory budget."""

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from components.shared.resources import cpu_count, memory_budget

ROW_GROUP = 122_880  # DuckDB's own unit of parallel work


@contextlib.contextmanager
def engine(*, memory: int | None = None) -> Iterator[Backend]:
    """An in-process DuckDB that spills to a temporary folder beyond its memory budget.

    Args:
        memory: Bytes it may hold; by default what `memory_budget` says.
    """
    spill = Path(tempfile.mkdtemp(prefix="fullcircle-spill-"))
    backend = ibis.duckdb.connect(
        threads=cpu_count(),
        memory_limit=f"{(memory or memory_budget()) // 1024**2}MiB",
        temp_directory=str(spill),
        autoinstall_known_extensions=False,
        autoload_known_extensions=False,
    )
    backend.con.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    try:
        yield backend
    finally:
        backend.disconnect()
        shutil.rmtree(spill, ignore_errors=True)


def scan(backend: Backend, path: Path) -> ir.Table:
    """A Parquet file as an expression; nothing is read yet."""
    with _quiet():
        return backend.read_parquet(str(path))


def relation(backend: Backend, name: str) -> ir.Table:
    """A table or view of the engine as an expression; nothing is read yet."""
    with _quiet():
        return backend.table(name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep quiet that ibis asks DuckDB for a schema by a method DuckDB has renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fetch_arrow_table", category=DeprecationWarning)
        yield


def write(backend: Backend, table: ir.Table, path: Path) -> None:
    """Execute an expression into one Parquet file, in the order of its rows; the file appears only when complete."""
    write_sql(backend, str(ibis.to_sql(table, dialect="duckdb")), path)


def write_sql(backend: Backend, select: str, path: Path) -> None:
    """Execute a SELECT into one Parquet file; the file appears only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        backend.con.execute(
            f"COPY ({select}) TO {literal(str(partial))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
            f"WRITE_BLOOM_FILTER false, ROW_GROUP_SIZE {ROW_GROUP})"
        )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def fetch(backend: Backend, select: str) -> list[tuple[Any, ...]]:
    """All rows of a SELECT, or of another statement's answer, which has to fit in memory."""
    rows: list[tuple[Any, ...]] = backend.con.execute(select).fetchall()
    return rows


def fetch_row(backend: Backend, select: str) -> tuple[Any, ...]:
    """The only row of a SELECT, such as one of aggregates."""
    (row,) = fetch(backend, select)
    return row


def fetch_arrow(backend: Backend, select: str) -> pa.Table:
    """The result of a SELECT as an Arrow table, which has to fit in memory."""
    return backend.con.sql(select).to_arrow_table()


def identifier(name: str) -> str:
    """A column or table name quoted for SQL, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text value quoted for SQL."""
    return "'" + text.replace("'", "''") + "'"

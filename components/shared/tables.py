"""Tables larger than memory: SQL over Parquet, executed by DuckDB within a memory budget.

Plain DuckDB, as most stages need no more and Ibis takes longer to import than all the rest of theirs: validate, which
makes expressions of the contract, puts it on top.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from components.shared.files import replacing
from components.shared.resources import cpu_count, memory_budget

ROW_GROUP = 122_880  # DuckDB's own unit of parallel work


@dataclass(frozen=True, slots=True)
class Engine:
    """A DuckDB of this process; `con` is the connection."""

    con: duckdb.DuckDBPyConnection


@contextlib.contextmanager
def engine(*, memory: int | None = None) -> Iterator[Engine]:
    """An in-process DuckDB that spills to a temporary folder beyond its memory budget.

    Args:
        memory: Bytes it may hold; by default what `memory_budget` says.
    """
    spill = Path(tempfile.mkdtemp(prefix="fullcircle-spill-"))
    settings: dict[str, Any] = {
        "threads": cpu_count(),
        "memory_limit": f"{(memory or memory_budget()) // 1024**2}MiB",
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(config=settings)
    # A name in SQL that is no table's is never a variable of the program.
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'; SET python_enable_replacements = false")
    try:
        yield Engine(connection)
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)


def write_sql(backend: Engine, select: str, path: Path) -> None:
    """Execute a SELECT into one Parquet file; the file appears only when complete."""
    with replacing(path) as partial:
        backend.con.execute(
            f"COPY ({select}) TO {literal(str(partial))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
            f"WRITE_BLOOM_FILTER false, ROW_GROUP_SIZE {ROW_GROUP})"
        )


def fetch(backend: Engine, select: str) -> list[tuple[Any, ...]]:
    """All rows of a SELECT, or of another statement's answer, which has to fit in memory."""
    rows: list[tuple[Any, ...]] = backend.con.execute(select).fetchall()
    return rows


def fetch_row(backend: Engine, select: str) -> tuple[Any, ...]:
    """The only row of a SELECT, such as one of aggregates."""
    (row,) = fetch(backend, select)
    return row


def fetch_arrow(backend: Engine, select: str) -> pa.Table:
    """The result of a SELECT as an Arrow table, which has to fit in memory."""
    return backend.con.sql(select).to_arrow_table()


def identifier(name: str) -> str:
    """A column or table name quoted for SQL, whatever characters it contains."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text value quoted for SQL."""
    return "'" + text.replace("'", "''") + "'"

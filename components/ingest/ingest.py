"""The ingest stage: from source tables to one Parquet file and its lineage."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from components.ingest.one_table import one_table
from components.ingest.query import (
    Result,
    Window,
    checked_select,
    covered,
    describe_result,
    failed,
    final_select,
    restrict,
    result_columns,
)
from components.ingest.sources import damaged, override_paths, register
from components.shared.config import ProblemConfig, SourceConfig
from components.shared.errors import SourceError
from components.shared.model_package import Lineage
from components.shared.tables import engine, write_sql

__all__ = ["Window", "ingest_table", "metadata", "parse_paths", "summary"]


def ingest_table(
    source: SourceConfig,
    problem: ProblemConfig,
    output: Path,
    *,
    window: Window | None = None,
    paths: Mapping[str, str] | None = None,
    data: str = "",
) -> Lineage:
    """Read the source tables, join and filter them, and write the rows of the window.

    Args:
        source: Tables and query.
        problem: Names the time column.
        output: The Parquet file to write; it appears only when everything succeeded.
        window: Rows outside it, or without a time, are left out; without a window all rows stay.
        paths: Other places of tables for this run, by table name.
        data: Place of one table to be read instead of them all, for prediction; the time column may be missing then.

    Returns:
        Where the rows came from.

    Raises:
        SourceError: The tables, the query or the window cannot be used.
    """
    window = window or Window()
    if data and paths:
        raise SourceError(f"`data` ({data}) takes the place of all tables, so `paths` names none. Give one of the two.")
    source = one_table(source, problem, data, window) if data else override_paths(source, paths or {})
    with (
        tempfile.TemporaryDirectory(prefix="fullcircle-ingest-") as scratch,
        engine() as backend,
        _staged(output) as staged,
    ):
        connection = backend.con
        select = checked_select(connection, source.query, list(source.tables))
        fingerprints, still_read = register(connection, source, Path(scratch))
        restrict(connection, readable=[file.path for file in still_read], writable=output.parent.resolve())
        columns = result_columns(connection, select)
        time_column = "" if data and problem.time_column not in columns and not window else problem.time_column
        final = final_select(select, columns, time_column=time_column, window=window)
        try:
            write_sql(backend, final, staged)
            result = describe_result(connection, staged, time_column)
            if not result.rows:
                raise SourceError(_no_rows(window, covered(connection, select, time_column) if window else ""))
        except duckdb.Error as error:
            raise damaged(connection, still_read) or failed(error, select) from error
    return _lineage(result, fingerprints)


@contextmanager
def _staged(output: Path) -> Iterator[Path]:
    """A name beside the output that becomes it when nothing fails."""
    output.parent.mkdir(parents=True, exist_ok=True)
    staged = (output.parent.resolve()) / f".{output.name}.staged"
    try:
        yield staged
        staged.replace(output)
    finally:
        staged.unlink(missing_ok=True)


def _no_rows(window: Window, coverage: str) -> str:
    if window:
        return f"The data window {window} holds no rows: {coverage}."
    return "`source.query` returns no rows. Check its joins and its WHERE."


def _lineage(result: Result, fingerprints: dict[str, str]) -> Lineage:
    return Lineage(
        rows=result.rows,
        columns=result.columns,
        content_hash=result.content_hash,
        window_start=result.first,
        window_end=result.last,
        sources=fingerprints,
    )


def parse_paths(text: str) -> dict[str, str]:
    """Read the parameter `paths`.

    Raises:
        SourceError: It is not a JSON object of texts.
    """
    try:
        paths = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise SourceError(
            f'paths: expected JSON such as {{"table": "s3://bucket/key"}}, found {text!r} ({error}).'
        ) from error
    if not isinstance(paths, dict) or not all(isinstance(path, str) and path for path in paths.values()):
        raise SourceError(f'paths: expected JSON such as {{"table": "s3://bucket/key"}}, found {text!r}.')
    return paths


def metadata(lineage: Lineage) -> dict[str, int | str]:
    """What the table's artifact says about itself."""
    window = f"{lineage.window_start} – {lineage.window_end}" if lineage.window_start else ""
    return {"rows": lineage.rows, "columns": lineage.columns, "content_hash": lineage.content_hash, "window": window}


def summary(lineage: Lineage) -> str:
    """The stage's result in one line."""
    covers = f", {lineage.window_start} to {lineage.window_end}" if lineage.window_start else ""
    return f"{lineage.rows:,} rows, {lineage.columns} columns{covers}, content {lineage.content_hash[:12]}"

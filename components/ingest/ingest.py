"""The ingest stage: from source tables to one Parquet file and its lineage.

A large CSV file is read while the query runs, without being held. Its types are then those of its first lines, and a
later value may be of another. What fails so is done again from the start with the tables read as a whole, which either
succeeds or says exactly which value is wrong. The query sees the tables and nothing else of this machine (`restrict`),
and the Parquet file appears only when it is complete.
"""

import json
import tempfile
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import duckdb

from components.ingest.fetch import Fetched
from components.ingest.one_table import one_table
from components.ingest.query import (
    Result,
    Window,
    checked_select,
    covered,
    describe_result,
    exact_types,
    failed,
    final_select,
    reads_once,
    restrict,
    result_columns,
)
from components.ingest.sources import Registered, damaged, override_paths, register
from components.ingest.unlogged import with_unlogged
from components.shared.config import ProblemConfig, SourceConfig
from components.shared.errors import SourceError
from components.shared.files import replacing
from components.shared.package.model_package import Lineage
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
    fetched: dict[str, Fetched] = {}
    with (
        tempfile.TemporaryDirectory(prefix="fullcircle-ingest-") as scratch,
        replacing(output.parent.resolve() / output.name) as staged,
    ):
        write = partial(
            _write, source, problem, window=window, is_timeless=bool(data), scratch=Path(scratch),
            staged=staged, fetched=fetched,
        )  # fmt: skip
        try:
            result, warnings = write(stream=True)
        except _NotStreamedError:
            result, warnings = write(stream=False)
    return _lineage(result, {name: found.fingerprint for name, found in fetched.items()}, warnings)


class _NotStreamedError(Exception):
    """The tables have to be read as a whole before the query."""


def _write(
    source: SourceConfig,
    problem: ProblemConfig,
    *,
    window: Window,
    is_timeless: bool,
    scratch: Path,
    staged: Path,
    fetched: dict[str, Fetched],
    stream: bool,
) -> tuple[Result, list[str]]:
    """Execute the query into a Parquet file.

    Args:
        source: Tables and query.
        problem: Names the time column and those to ignore.
        window: Rows outside it are left out.
        is_timeless: Whether the time column may be missing when there is no window.
        scratch: Folder for what is fetched.
        staged: The file to write.
        fetched: The files of each table, as far as they are here; the others come to stand in it.
        stream: Whether large CSV files may be read while the query runs.

    Returns:
        What the query returned, and warnings.

    Raises:
        _NotStreamedError: They may not, or turned out to hold something else than their first lines promised.
    """
    with engine() as backend:
        connection = backend.con
        select = checked_select(connection, source.query, list(source.tables))
        registered = register(connection, source, scratch, fetched=fetched, stream=stream)
        fetched.update(registered.fetched)
        restrict(connection, readable=[file.path for file in registered.still_read], writable=staged.parent)
        columns = result_columns(connection, select)
        if source.of_requests:
            select, columns = with_unlogged(select, columns, problem)
        time_column = problem.time_column
        if is_timeless and time_column not in columns and not window:
            time_column = ""
        final = partial(
            final_select, select, columns, time_column=time_column, window=window, ignored=problem.ignore
        )  # fmt: skip
        if registered.streamed and not reads_once(connection, final(), streamed=len(registered.streamed)):
            raise _NotStreamedError
        try:
            try:
                write_sql(backend, final(), staged)
            except (duckdb.ConversionException, duckdb.InvalidInputException):
                exact = {} if registered.streamed else exact_types(connection, select, columns)
                if not exact:
                    raise
                write_sql(backend, final(exact=exact), staged)
            result = describe_result(connection, staged, time_column)
            if not result.rows:
                raise SourceError(_no_rows(window, covered(connection, select, time_column) if window else ""))
        except duckdb.Error as error:
            if registered.streamed:  # reading the tables first says what is wrong, if anything is
                raise _NotStreamedError from error
            is_query = bool(source.query.strip())
            raise damaged(connection, registered.still_read) or failed(error, select, is_query=is_query) from error
    keys = problem.keys if source.of_requests else []  # which the log has as texts
    return result, _warnings(registered, columns, ignored={*problem.ignore, *keys})


def _warnings(registered: Registered, columns: Mapping[str, str], *, ignored: Collection[str]) -> list[str]:
    """What there is to say of the tables, and of those of their text columns that are in the result as such."""
    texts = {name for name, kind in columns.items() if kind == "VARCHAR"} - set(ignored)
    return [remark.text for remark in registered.remarks if not remark.column or remark.column in texts]


def _no_rows(window: Window, coverage: str) -> str:
    if window:
        return f"The data window {window} holds no rows: {coverage}."
    return "`source.query` returns no rows. Check its joins and its WHERE."


def _lineage(result: Result, fingerprints: dict[str, str], warnings: list[str]) -> Lineage:
    return Lineage(
        rows=result.rows,
        columns=result.columns,
        content_hash=result.content_hash,
        window_start=result.first,
        window_end=result.last,
        sources=fingerprints,
        warnings=warnings,
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
    warned = len(lineage.warnings)
    noted = f", {warned} warning{'s' if warned > 1 else ''}" if warned else ""
    return f"{lineage.rows:,} rows, {lineage.columns} columns{covers}, content {lineage.content_hash[:12]}{noted}"

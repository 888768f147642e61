"""From the checked table to three parts: repaired, divided, described; written completely or not at all."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from ibis.backends.duckdb import Backend
from pydantic import BaseModel

from components.prepare.columns import ARRIVAL, VIEW, Column, check_names, create_view, read_columns
from components.prepare.features import describe_features, select_features
from components.prepare.leaks import Leak, find_leaks
from components.prepare.repair import MARKS, Removed, check_bounds, check_dates, mark_rows, remove_rows
from components.prepare.split import PLACED, choose_method, place_rows
from components.prepare.target import check_parts, check_type, check_values
from components.prepare.texts import encode_texts
from components.shared.config import PrepareConfig, ProblemConfig
from components.shared.errors import DataError
from components.shared.frames import PARTS, part_path
from components.shared.package.schema import Schema
from components.shared.resources import memory_budget
from components.shared.tables import engine, fetch, fetch_row, identifier, write_sql

SUMMARY = "summary.json"
_MEMORY = 400 * 1024**2  # bytes for the engine; the stage takes hardly longer than with 700 MiB
_WIDE = 2_000  # columns from which each thread's buffers are what takes memory


class PartSummary(BaseModel):
    """One part of the split; `first` and `last` are its extremes of the time column, in ISO 8601."""

    rows: int
    share: float
    first: str = ""
    last: str = ""
    classes: dict[str, int] = {}


class Summary(BaseModel):
    """What prepare did; written as `summary.json`."""

    rows_found: int
    rows: int
    removed: Removed
    dates: dict[str, int]
    method: str
    seed: int
    parts: dict[str, PartSummary]
    features: int
    dropped_features: dict[str, str]
    leaks: list[Leak]
    warnings: list[str]


def prepare(table: Path, folder: Path, *, problem: ProblemConfig, settings: PrepareConfig) -> Summary:
    """Repair and divide a table.

    Args:
        table: Parquet file; one row per example.
        folder: Folder to make: `train.parquet`, `validation.parquet`, `test.parquet`, each with all columns but the
            declared leaks, `schema.json` and `summary.json`. Rows are ordered by time when the split is chronological,
            else by chance.
        problem: What is to be predicted from what.
        settings: Repairs and split.

    Returns:
        The summary.

    Raises:
        DataError: The table cannot be learned from; the message says why.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        summary = _prepare(table, partial, problem, settings)
        (partial / SUMMARY).write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return summary


def _prepare(table: Path, folder: Path, problem: ProblemConfig, settings: PrepareConfig) -> Summary:
    with engine(memory=min(memory_budget(), _MEMORY)) as backend:
        columns = read_columns(backend, str(table), settings)
        if len(columns) > _WIDE:
            fetch(backend, f"SET threads = 1; SET memory_limit = '{memory_budget() // 1024**2}MiB'")
        kinds = _check_columns(columns, problem, settings)
        method = choose_method(settings.split, problem)
        dates = check_dates(backend, str(table), columns, dates=settings.dates)
        create_view(backend, str(table), columns)
        found, removed = _repair(backend, columns, problem, settings=settings, by_time=method == "chronological")
        classes = check_values(backend, problem)
        warnings = place_rows(backend, method, settings.split, rows=found - removed.total)
        fetch(backend, f"DROP TABLE {MARKS}")  # sorting the parts needs its memory
        counts, remarks = check_parts(backend, problem, classes)
        names = [c.name for c in columns.values() if c.kind != "unsupported" and c.name not in problem.leaks]
        codes = encode_texts(backend, str(table), columns.values())
        for part in PARTS:
            select = _part(names, part, codes=codes, by_time=method == "chronological")
            write_sql(backend, select, part_path(folder, part))
        features, dropped = describe_features(folder, kinds)
        schema = Schema(
            task=problem.task,
            target=problem.target,
            classes=classes,
            features=features,
            threshold=problem.threshold,
            time_column=problem.time_column,
            group=settings.split.group,
            keys=problem.keys,
        )
        schema.write(folder)
        leaks = find_leaks(backend, folder, schema, threshold=settings.leak_threshold)
        warnings += [*remarks, *_warnings(dropped, leaks)]
        return Summary(
            rows_found=found,
            rows=found - removed.total,
            removed=removed,
            dates=dates,
            method=method,
            seed=settings.split.seed,
            parts=_parts(backend, counts),
            features=len(features),
            dropped_features=dropped,
            leaks=leaks,
            warnings=warnings,
        )


def _check_columns(columns: dict[str, Column], problem: ProblemConfig, settings: PrepareConfig) -> dict[str, Any]:
    """Everything that can be refused by names and types alone; the answer is the features with their kinds."""
    check_names(columns, problem, settings)
    check_bounds(columns, settings.bounds)
    check_type(columns[problem.target], problem.task)
    if problem.time_column and columns[problem.time_column].kind != "timestamp":
        raise DataError(
            f"problem.time_column {problem.time_column!r} is {columns[problem.time_column].type}, no date or "
            "timestamp. "
            f"For text, list its formats in prepare.dates.{problem.time_column}; otherwise convert it in the query."
        )
    return select_features(columns, problem)


def _repair(
    backend: Backend, columns: dict[str, Column], problem: ProblemConfig, *, settings: PrepareConfig, by_time: bool
) -> tuple[int, Removed]:
    """The number of rows found, and what was removed of them."""
    mark_rows(backend, columns, problem, settings=settings, by_time=by_time)
    found, labelled = fetch_row(backend, f"SELECT count(*), count(label) FROM {MARKS}")
    if not found:
        raise DataError("The table has no rows. Check the source, the query and the data window.")
    if not labelled:
        raise DataError(
            f"The target {problem.target!r} is null in all {found:,} rows. Check the query and the data window."
        )
    removed = remove_rows(backend, columns, problem, settings=settings)
    if removed.total == found:
        raise DataError(
            f"None of the {found:,} rows is usable: {removed_text(removed)}. Check the query and prepare.bounds."
        )
    return found, removed


def _part(names: list[str], part: str, *, codes: dict[str, str], by_time: bool) -> str:
    """SELECT of the rows of a part, in their order; texts are sorted as the types given, and come out as texts."""
    sorted_as = (
        f"r.{identifier(name)}::{codes[name]} AS {identifier(name)}" if name in codes else f"r.{identifier(name)}"
        for name in names
    )
    written = (
        f"{identifier(name)}::VARCHAR AS {identifier(name)}" if name in codes else identifier(name) for name in names
    )
    return (
        f"SELECT {', '.join(written)} FROM (SELECT {', '.join(sorted_as)} FROM {VIEW} AS r JOIN "
        f"(SELECT arrival, moment, shuffle FROM {PLACED} WHERE part = {PARTS.index(part)}) AS p "
        f"ON r.{ARRIVAL} = p.arrival ORDER BY {'p.moment, ' if by_time else ''}p.shuffle)"
    )


def _parts(backend: Backend, classes: dict[str, dict[str, int]]) -> dict[str, PartSummary]:
    rows = fetch(
        backend,
        f"SELECT part, count(*), count(*) / sum(count(*)) OVER (), min(moment), max(moment) FROM {PLACED} GROUP BY "
        "part ORDER BY part",
    )
    return {
        PARTS[number]: PartSummary(
            rows=n, share=round(share, 6), first=_iso(first), last=_iso(last), classes=classes.get(PARTS[number], {})
        )
        for number, n, share, first, last in rows
    }


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""


def _warnings(dropped: dict[str, str], leaks: list[Leak]) -> list[str]:
    return [
        *(
            f"The feature {name!r} is {reason} in the training part and was dropped."
            for name, reason in dropped.items()
        ),
        *(
            f"The feature {leak.feature!r} alone gives the target away ({leak.metric} {leak.score:.3f}): "
            "if it is known only after the moment of prediction, name it in problem.leaks."
            for leak in leaks
        ),
    ]


def removed_text(removed: Removed) -> str:
    """What was removed, in words; empty when nothing was."""
    counts = {
        "duplicates": removed.duplicates,
        "without a label": removed.without_label,
        "without a time": removed.without_time,
        "out of bounds": sum(removed.out_of_bounds.values()),
        "with a repeated key": removed.duplicate_keys,
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def headline(summary: Summary) -> str:
    """One line for people."""
    parts = ", ".join(f"{part} {found.rows:,}" for part, found in summary.parts.items())
    removed = removed_text(summary.removed)
    text = f"{parts} ({summary.method}); {summary.features:,} features" + (f"; removed {removed}" if removed else "")
    if summary.leaks:
        text += f"; suspected leaks: {', '.join(leak.feature for leak in summary.leaks)}"
    return text

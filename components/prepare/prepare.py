"""From the checked table to three parts: repaired, divided, described; written completely or not at all.

Which rows stay, and which part each goes to, is decided on an index of the rows' positions, labels and moments; the
wide rows are sorted only once, when the parts are written. The order of the steps is that of what can be refused
cheaply: types first, then counts, then values. The repairs may remove rows but have to leave what the contract asks
for, or a filter that is too strict would pass unnoticed as a smaller training.
"""

import shutil
from datetime import datetime
from pathlib import Path
from typing import TypedDict

from pydantic import BaseModel

from components.prepare.columns import (
    ARRIVAL,
    VIEW,
    Column,
    check_names,
    create_view,
    fraction,
    read_columns,
    whole_by_value,
)
from components.prepare.features import describe_features, select_features
from components.prepare.leaks import Leak, find_leaks
from components.prepare.left_out import about_group, free_texts, row_numbers
from components.prepare.removals import remarks_on_equal_rows, too_few, warnings_of_removals
from components.prepare.repair import (
    ROW_INDEX,
    Removed,
    check_bounds,
    check_dates,
    index_rows,
    remove_rows,
    separate_equal_rows,
)
from components.prepare.split import ROW_PARTS, assign_parts, choose_method
from components.prepare.target import Label, check_parts, check_type, check_values
from components.prepare.texts import encode_texts
from components.prepare.weights import check_weight_type, check_weights
from components.shared.config import ContractConfig, PrepareConfig, ProblemConfig
from components.shared.errors import DataError
from components.shared.files import replacing
from components.shared.frames import PARTS, part_path
from components.shared.package.schema import FIXED, Feature, FeatureKind, Schema
from components.shared.resources import memory_budget
from components.shared.tables import Engine, engine, fetch, fetch_row, identifier, write_sql
from components.shared.tasks import TASKS

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
    remarks: list[str] = []


class Sections(TypedDict):
    """The sections of the configuration that say how a table is prepared."""

    problem: ProblemConfig
    settings: PrepareConfig
    contract: ContractConfig


def read_sections(problem: str, settings: str, contract: str) -> Sections:
    """Read the sections from JSON, as a task is given them."""
    return Sections(
        problem=ProblemConfig.model_validate_json(problem),
        settings=PrepareConfig.model_validate_json(settings),
        contract=ContractConfig.model_validate_json(contract),
    )


def prepare(
    table: Path, folder: Path, *, problem: ProblemConfig, settings: PrepareConfig, contract: ContractConfig
) -> Summary:
    """Repair and divide a table.

    Args:
        table: Parquet file; one row per example.
        folder: Folder to make: `train.parquet`, `validation.parquet`, `test.parquet`, each with all columns but the
            declared leaks, `schema.json` and `summary.json`. Rows are ordered by time when the split is chronological,
            else by chance.
        problem: What is to be predicted from what.
        settings: Repairs and split.
        contract: What the table promises: repairs have to leave as many rows, and the schema takes what may come.

    Returns:
        The summary.

    Raises:
        DataError: The table cannot be learned from; the message says why.
    """
    with replacing(folder) as partial:
        partial.mkdir()
        summary = _prepare(table, partial, problem, settings, contract)
        (partial / SUMMARY).write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
    return summary


def _prepare(
    table: Path, folder: Path, problem: ProblemConfig, settings: PrepareConfig, contract: ContractConfig
) -> Summary:
    with engine(memory=min(memory_budget(), _MEMORY)) as backend:
        columns = _read(backend, str(table), problem, settings)
        kinds = _check_columns(backend, str(table), columns, problem, settings, contract)
        method = choose_method(settings.split, problem)
        dates = check_dates(backend, str(table), columns, dates=settings.dates)
        create_view(backend, str(table), columns)
        kinds, left_out = _without_useless(backend, columns, kinds, problem)
        remarks, warnings = about_group(settings.split.group, problem)
        found, removed = _repair(backend, columns, problem, settings=settings, by_time=method == "chronological")
        if found - removed.total < contract.minimum_rows:
            raise too_few(found, removed, minimum_rows=contract.minimum_rows)
        classes = check_values(backend, problem)
        equals = separate_equal_rows(backend)
        lost = f"Of {found:,} rows, {removed.text(found)} were removed." if removed.total else ""
        warnings += assign_parts(backend, method, settings.split, rows=found - removed.total, lost=lost)
        fetch(backend, f"DROP TABLE {ROW_INDEX}")  # sorting the parts needs its memory
        counts, of_parts = check_parts(backend, problem, classes)
        if problem.weights:
            check_weights(backend, problem.weights)
        _write_parts(backend, str(table), folder, columns, problem, by_time=method == "chronological")
        features, useless = describe_features(folder, kinds, contract.columns, named=problem.features)
        schema = _schema(columns, problem, settings, features=features, classes=classes)
        schema.write(folder)
        suspects = find_leaks(backend, folder, schema, threshold=settings.leak_threshold)
        return Summary(
            rows_found=found,
            rows=found - removed.total,
            removed=removed,
            dates=dates,
            method=method,
            seed=settings.split.seed,
            parts=_parts(backend, counts),
            features=len(features),
            dropped_features={name: why for name, why in useless.items() if name not in problem.features},
            leaks=[suspect for suspect in suspects if suspect.by != "moment"],
            warnings=[
                *warnings_of_removals(found, removed, problem, settings),
                *warnings,
                *of_parts,
                *_warnings(useless, problem.features),
                *filter(None, (suspect.warning(method) for suspect in suspects)),
            ],
            remarks=[*remarks, *left_out.values(), *remarks_on_equal_rows(equals, found - removed.total)],
        )


def _read(backend: Engine, table: str, problem: ProblemConfig, settings: PrepareConfig) -> dict[str, Column]:
    """The table's columns, with classes and codes as whole numbers where they are such by value."""
    columns = read_columns(backend, table, settings, keys=problem.keys)
    if len(columns) > _WIDE:
        fetch(backend, f"SET threads = 1; SET memory_limit = '{memory_budget() // 1024**2}MiB'")
    check_names(columns, problem, settings)
    classes = [problem.target] if TASKS[problem.task].has_classes else []
    return whole_by_value(backend, table, columns, [*classes, *problem.categorical])


def _check_columns(
    backend: Engine,
    table: str,
    columns: dict[str, Column],
    problem: ProblemConfig,
    settings: PrepareConfig,
    contract: ContractConfig,
) -> dict[str, FeatureKind]:
    """Everything that can be refused by types alone; the answer is the features with their kinds."""
    check_bounds(columns, settings.bounds)
    target = columns[problem.target]
    is_number_of_class = TASKS[problem.task].has_classes and target.kind == "number"
    check_type(target, problem.task, fraction=fraction(backend, table, target) if is_number_of_class else None)
    if problem.weights:
        check_weight_type(columns[problem.weights])
    if problem.time_column and columns[problem.time_column].kind != "timestamp":
        raise DataError(
            f"problem.time_column {problem.time_column!r} is {columns[problem.time_column].type}, no date or "
            f"timestamp. For text, list its formats in prepare.dates.{problem.time_column}; otherwise convert it in "
            "the query."
        )
    return select_features(columns, problem, contract.columns, group=settings.split.group)


def _without_useless(
    backend: Engine, columns: dict[str, Column], kinds: dict[str, FeatureKind], problem: ProblemConfig
) -> tuple[dict[str, FeatureKind], dict[str, str]]:
    """The features without row numbers and free text, and a remark on each of those.

    Raises:
        DataError: None is left.
    """
    left_out = row_numbers(backend, columns, kinds, problem) | free_texts(backend, kinds, problem)
    kept = {name: kind for name, kind in kinds.items() if name not in left_out}
    if not kept:
        raise DataError(f"No column is left to learn from. {' '.join(left_out.values())}")
    return kept, left_out


def _repair(
    backend: Engine, columns: dict[str, Column], problem: ProblemConfig, *, settings: PrepareConfig, by_time: bool
) -> tuple[int, Removed]:
    """The number of rows found, and what was removed of them."""
    index_rows(backend, columns, problem, settings=settings, by_time=by_time)
    found, labelled = fetch_row(backend, f"SELECT count(*), count(label) FROM {ROW_INDEX}")
    if not found:
        raise DataError("The table has no rows. Check the source, the query and the data window.")
    if not labelled:
        raise DataError(
            f"The target {problem.target!r} is null in all {found:,} rows. Check the query and the data window."
        )
    removed = remove_rows(backend, columns, problem, settings=settings)
    if removed.total == found:
        raise DataError(
            f"None of the {found:,} rows is usable: {removed.text(found)}. Check the query and prepare.bounds."
        )
    return found, removed


def _write_parts(
    backend: Engine, table: str, folder: Path, columns: dict[str, Column], problem: ProblemConfig, *, by_time: bool
) -> None:
    names = [c.name for c in columns.values() if c.kind != "unsupported" and c.name not in problem.leaks]
    codes = encode_texts(backend, table, columns.values())
    for part in PARTS:
        write_sql(backend, _part(names, part, codes=codes, by_time=by_time), part_path(folder, part))


def _schema(
    columns: dict[str, Column],
    problem: ProblemConfig,
    settings: PrepareConfig,
    *,
    features: list[Feature],
    classes: list[Label],
) -> Schema:
    return Schema(
        task=problem.task,
        target=problem.target,
        classes=classes,
        features=[
            feature.model_copy(update={"zoned": columns[feature.name].zoned})
            if feature.kind == "timestamp"
            else feature
            for feature in features
        ],
        threshold=0.5 if problem.threshold == "auto" else problem.threshold,
        threshold_by="" if problem.threshold == "auto" else FIXED,
        time_column=problem.time_column,
        time_column_zoned=columns[problem.time_column].zoned if problem.time_column else None,
        group=settings.split.group,
        weights=problem.weights,
        keys=problem.keys,
    )


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
        f"(SELECT arrival, moment, shuffle FROM {ROW_PARTS} WHERE part = {PARTS.index(part)}) AS p "
        f"ON r.{ARRIVAL} = p.arrival ORDER BY {'p.moment, ' if by_time else ''}p.shuffle)"
    )


def _parts(backend: Engine, classes: dict[str, dict[str, int]]) -> dict[str, PartSummary]:
    rows = fetch(
        backend,
        f"SELECT part, count(*), count(*) / sum(count(*)) OVER (), min(moment), max(moment) FROM {ROW_PARTS} GROUP BY "
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


def _warnings(useless: dict[str, str], named: list[str]) -> list[str]:
    return [
        f"The feature {name!r} is {reason} in the training part and "
        + ("stays because problem.features names it." if name in named else "was dropped.")
        for name, reason in useless.items()
    ]


def headline(summary: Summary) -> str:
    """One line for people."""
    parts = ", ".join(f"{part} {found.rows:,}" for part, found in summary.parts.items())
    removed = summary.removed.text(summary.rows_found)
    text = f"{parts} ({summary.method}); {summary.features:,} features" + (f"; removed {removed}" if removed else "")
    if summary.leaks:
        text += f"; suspected leaks: {', '.join(leak.feature for leak in summary.leaks)}"
    return text

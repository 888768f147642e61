"""What is compared: the rows the endpoint was asked last with the reference that the version carries.

Until the endpoint was asked often enough there is no such comparison. A run can then tell how the test part differs
from the training part: of interest, but no alarm, for what is newer is never quite like what was before.
"""

import io
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.shared.config import MonitoringConfig
from components.shared.errors import DataError
from components.shared.frames import features, inputs, part_path
from components.shared.inference_log.layout import HOUR, full_hour
from components.shared.inference_log.window import LoggedRows, Positions, read_window
from components.shared.inference_rows import MODEL_VERSION, PREDICTION, left_out, logged_name, probability_names
from components.shared.package.model_package import REFERENCE, reference_origin
from components.shared.package.schema import Schema, unique_name
from components.shared.package.scoring import Scorer
from components.shared.store import Store
from components.shared.tasks import TASKS

Kind = Literal["drift", "newest_rows"]


@dataclass(frozen=True, slots=True)
class Window:
    """Rows to compare.

    Attributes:
        origin: Where they are from, in words.
        frame: One column a watched feature (numbers float32, categories text; missing: NaN or None), and one for the
            prediction.
        skipped: Files of the inference log that were left out: of a version with other columns, or damaged.
        unwatched: Columns that cannot be compared, so that the frame lacks them.
        remark: What to keep in mind of them; empty when there is nothing.
    """

    origin: str
    frame: pd.DataFrame
    skipped: int = 0
    unwatched: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two windows, and what it means when they differ.

    Attributes:
        kind: `drift`: what the endpoint was asked has changed, which is an alarm. `newest_rows`: the test part is not
            like the training part, which is none.
        reference: What is compared with.
        current: What is compared.
        remark: Why it is of this kind; empty for drift.
    """

    kind: Kind
    reference: Window
    current: Window
    remark: str = ""


@dataclass(frozen=True, slots=True)
class _Logged:
    """Rows of a file of the inference log: the model's input columns it has, and the prediction if it tells it."""

    inputs: pd.DataFrame
    prediction: NDArray[Any] | None


class TooFewRowsError(DataError):
    """The endpoint has not logged enough rows to compare."""


def windows(
    store: Store,
    name: str,
    package: Path,
    settings: MonitoringConfig,
    *,
    parts: Path | None,
    scorer: Scorer,
    now: datetime | None = None,
) -> Comparison:
    """What to compare: what the endpoint was asked with the version's reference, else the test with the training part.

    Args:
        store: The object store.
        name: Name of the model.
        package: Folder of the version that serves.
        settings: Sizes of the windows.
        parts: Folder with `train.parquet` and `test.parquet`, for as long as the endpoint has logged too few rows.
        scorer: The version.
        now: The end of the newest window; by default this moment.

    Raises:
        TooFewRowsError: The endpoint has logged too few rows, and there are no parts.
        DataError: A window is empty or lacks a column.
        StoreError: The object store cannot be reached.
    """
    try:
        current = logged_window(store, name, settings, scorer=scorer, now=now or datetime.now(UTC))
    except TooFewRowsError as error:
        if parts is None:
            raise
        return _of_parts(parts, settings, scorer.schema, remark=str(error))
    return Comparison("drift", reference_window(package, settings, scorer=scorer), current)


def logged_window(store: Store, name: str, settings: MonitoringConfig, *, scorer: Scorer, now: datetime) -> Window:
    """The rows the endpoint logged last.

    Raises:
        TooFewRowsError: There are fewer than `minimum_rows` that can be compared.
        StoreError: The object store cannot be reached.
    """
    found = read_window(
        store,
        name,
        lambda content, places: _read(content, places, scorer),
        now=now,
        hours=settings.window_hours,
        rows=settings.rows,
        minimum=settings.minimum_rows,
    )
    if found.rows < settings.minimum_rows:
        raise TooFewRowsError(
            f"the endpoint has logged {found.rows:,} rows that can be compared{_left_out_files(found.skipped)}; "
            f"a report needs {settings.minimum_rows:,}"
        )
    frame = _watched_of_log(found.pieces, scorer)
    if not len(frame.columns):
        raise TooFewRowsError(
            f"the endpoint has logged {found.rows:,} rows, but no column that all of them have and that can be "
            "compared; serving.log.leave_out says what is not logged"
        )
    if len(frame) > settings.rows:
        frame = frame.iloc[_evenly(len(frame), settings.rows)].reset_index(drop=True)
    unwatched = tuple(column for column in _watched_columns(scorer.schema) if column not in frame)
    return Window(_origin(found, len(frame)), frame, found.skipped, unwatched, _remark(found, settings))


def _left_out_files(count: int) -> str:
    if not count:
        return ""
    return f" ({count:,} of its log files {'was' if count == 1 else 'were'} left out: damaged, or with other columns)"


def _origin(found: LoggedRows[_Logged], rows: int) -> str:
    end = min(found.end, found.last + HOUR)
    until = f"{end:%H:%M}" if full_hour(found.first).date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    what = f"the last {rows:,} rows" if rows == found.of else f"{rows:,} of the last {found.of:,} rows"
    return f"{what} the endpoint was asked, {found.first:%Y-%m-%d %H:%M} to {until} UTC"


def _remark(found: LoggedRows[_Logged], settings: MonitoringConfig) -> str:
    if not found.extended:
        return ""
    return (
        f"The last {settings.window_hours:g} hours had fewer than {settings.minimum_rows:,} rows that can be compared: "
        "hours before them were taken too."
    )


def reference_window(package: Path, settings: MonitoringConfig, *, scorer: Scorer) -> Window:
    """The reference rows that the model package carries, evenly over their order when there are too many.

    Raises:
        DataError: There are none.
    """
    table = pq.read_table(package / REFERENCE, columns=scorer.schema.columns)
    if not table.num_rows:
        raise DataError(f"{REFERENCE} of version {scorer.version} has no rows: train the model again.")
    if table.num_rows > settings.rows:
        table = table.take(_evenly(table.num_rows, settings.rows))
    frame = watched(features(table, scorer.schema), scorer)
    origin = reference_origin(package)
    return Window(f"{len(frame):,} {origin.words}", frame, remark=origin.remark(len(frame)))


def _of_parts(parts: Path, settings: MonitoringConfig, schema: Schema, *, remark: str) -> Comparison:
    """The test part beside the training part; without predictions, which are better on rows that were learned."""
    train, test = (part_rows(parts, part, schema, rows=settings.rows) for part in ("train", "test"))
    unwatched = (prediction_column(schema),)
    newest = "newest " if schema.time_column else ""
    return Comparison(
        "newest_rows",
        Window(
            f"{len(train):,} rows of the training part",
            plain_frame(features(train, schema), schema),
            unwatched=unwatched,
        ),
        Window(
            f"the {newest}{len(test):,} rows of the test part",
            plain_frame(features(test, schema), schema),
            unwatched=unwatched,
        ),
        remark,
    )


def part_rows(parts: Path, part: Literal["train", "test"], schema: Schema, *, rows: int) -> pa.Table:
    """Rows of a part with the model's input columns: the newest of the test part, evenly spread ones of the other.

    Raises:
        DataError: There are none.
    """
    path = part_path(parts, part)
    with pq.ParquetFile(path) as file:
        total = file.metadata.num_rows
        if not total:
            raise DataError(f"{path} has no rows: there is nothing to compare.")
        places = np.arange(max(0, total - rows), total) if part == "test" else _evenly(total, min(rows, total))
        chosen, start = [], 0
        for batch in file.iter_batches(columns=schema.columns):  # a large part does not have to fit into memory
            inside = places[(places >= start) & (places < start + batch.num_rows)] - start
            chosen.append(batch.take(pa.array(inside)))
            start += batch.num_rows
    return pa.Table.from_batches(chosen).select(schema.columns)


def plain_frame(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The watched features of rows, without predictions.

    Args:
        frame: The model's input columns, made by `frames.features`.
        schema: The model's columns.
    """
    return pd.DataFrame(_watched_features(frame, schema), copy=False)


def _evenly(total: int, rows: int) -> NDArray[np.int64]:
    """Places of rows, from the first to the last."""
    return np.linspace(0, total - 1, rows).round().astype(np.int64)


def watched(frame: pd.DataFrame, scorer: Scorer) -> pd.DataFrame:
    """What is compared: features and predictions; timestamps are left out, because time always moves on.

    Args:
        frame: The model's input columns, made by `frames.features`.
        scorer: The model.
    """
    schema = scorer.schema
    prediction = TASKS[schema.task].answer.watched(scorer.score(inputs(frame, schema)), schema.labels)
    return pd.DataFrame(_watched_features(frame, schema) | {prediction_column(schema): prediction}, copy=False)


def numeric_columns(schema: Schema) -> frozenset[str]:
    """Watched columns that are numbers; a prediction is one unless it is one of several classes."""
    numbers = frozenset(feature.name for feature in schema.numbers)
    return numbers | {prediction_column(schema)} if TASKS[schema.task].is_one_number else numbers


def prediction_column(schema: Schema) -> str:
    """A name for the prediction that no feature has."""
    return unique_name(PREDICTION, schema.columns)


def _watched_columns(schema: Schema) -> list[str]:
    return [feature.name for feature in (*schema.numbers, *schema.categories)] + [prediction_column(schema)]


def _watched_features(frame: pd.DataFrame, schema: Schema) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    for feature in schema.numbers:
        numbers = frame[feature.name].to_numpy()
        columns[feature.name] = np.where(np.isfinite(numbers), numbers, np.float32(np.nan))
    for feature in schema.categories:
        texts = frame[feature.name].to_numpy()
        columns[feature.name] = np.where(texts == "", np.array(None, dtype=object), texts)
    return columns


def _watched_of_log(logged: list[_Logged], scorer: Scorer) -> pd.DataFrame:
    """What is compared of logged rows: features that all files have; unless these are all, the logged prediction."""
    frame = pd.concat([part.inputs for part in logged], ignore_index=True, join="inner")
    if list(frame) == scorer.schema.columns:
        return watched(frame, scorer)
    columns = _watched_features(frame, _with_features(scorer.schema, frame.columns))
    predictions = [part.prediction for part in logged if part.prediction is not None]
    if len(predictions) == len(logged):
        columns[prediction_column(scorer.schema)] = np.concatenate(predictions)
    return pd.DataFrame(columns, copy=False)


def _logged_prediction(table: pa.Table, scorer: Scorer) -> NDArray[Any] | None:
    """The logged predictions; None when the table has none, or has rows that another version answered."""
    name, version = answer_columns(scorer.schema)
    if not {name, version} <= set(table.column_names) or table[version].unique().to_pylist() != [scorer.version]:
        return None
    kind = np.float32 if TASKS[scorer.schema.task].is_one_number else object
    return np.asarray(table[name].to_numpy(), dtype=kind)


def answer_columns(schema: Schema) -> tuple[str, str]:
    """The logged columns of what is watched of a prediction, and of the version that made it."""
    of_positive = TASKS[schema.task].has_positive_class
    answer = probability_names(schema)[1] if of_positive else logged_name(PREDICTION, schema)
    return answer, logged_name(MODEL_VERSION, schema)


def _with_features(schema: Schema, names: Collection[str]) -> Schema:
    return schema.model_copy(update={"features": [feature for feature in schema.features if feature.name in names]})


def _read(content: bytes, places: Positions, scorer: Scorer) -> _Logged:
    """Rows of a file.

    Raises:
        DataError: A column is missing that was not left out on purpose, or cannot be converted.
    """
    with pq.ParquetFile(io.BytesIO(content)) as file:
        present = set(file.schema_arrow.names)
        missing = left_out(file.schema_arrow) - present
        known = _with_features(scorer.schema, set(scorer.schema.columns) - missing)
        table = file.read(columns=[*known.columns, *present.intersection(answer_columns(scorer.schema))])
    table = table.take(pa.array(places))
    return _Logged(features(table, known), _logged_prediction(table, scorer))

"""The two windows of a drift report: what the model learned from, and the newest rows there are."""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.shared.config import MonitoringConfig
from components.shared.errors import DataError
from components.shared.frames import features, inputs, part_path
from components.shared.inference_rows import (
    MODEL_VERSION,
    PREDICTION,
    left_out,
    logged_name,
    newest_files,
    probability_names,
)
from components.shared.package.model_package import REFERENCE
from components.shared.package.schema import Schema, unlike
from components.shared.package.scoring import Scorer, choose_classes
from components.shared.store import Store


@dataclass(frozen=True, slots=True)
class Window:
    """Rows to compare.

    Attributes:
        origin: Where they are from, in words.
        frame: One column a watched feature (numbers float32, categories text; missing: NaN or None), and one for the
            prediction.
        skipped: Files of the inference log that were left out: of a version with other columns, or damaged.
        unwatched: Columns that the inference log does not tell, so that the frame lacks them.
    """

    origin: str
    frame: pd.DataFrame
    skipped: int = 0
    unwatched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Logged:
    """Rows of a file of the inference log: the model's input columns it has, and the prediction if it tells it."""

    rows: int
    inputs: pd.DataFrame
    prediction: NDArray[Any] | None


class TooFewRowsError(DataError):
    """The endpoint has not logged enough rows to compare."""


def newest_window(
    store: Store, name: str, settings: MonitoringConfig, *, splits: Path | None, scorer: Scorer
) -> Window:
    """The rows the endpoint logged last, or the test part while there are fewer than `minimum_rows` of them.

    Raises:
        TooFewRowsError: There are fewer, and no splits to take a test part from.
        DataError: The test part is empty or lacks a column.
        StoreError: The object store cannot be reached.
    """
    logged, skipped = _logged(store, name, scorer, rows=settings.rows)
    count = sum(part.rows for part in logged)
    if count >= settings.minimum_rows:
        frame = _watched_of_log(logged, scorer)
        unwatched = tuple(column for column in _watched_columns(scorer.schema) if column not in frame)
        if len(frame.columns):
            return Window(f"the last {count:,} rows the endpoint was asked", frame, skipped, unwatched)
    if splits is None:
        raise TooFewRowsError(
            f"the endpoint has logged {count:,} rows that can be compared; a report needs {settings.minimum_rows:,}."
        )
    table = pq.read_table(part_path(splits, "test"), columns=scorer.schema.columns)
    newest = table.slice(max(0, table.num_rows - settings.rows))
    if not newest.num_rows:
        raise DataError(
            f"{part_path(splits, 'test')} has no rows: there is nothing to compare with the reference window."
        )
    frame = watched(features(newest, scorer.schema), scorer)
    return Window(f"the newest {newest.num_rows:,} rows of the test part", frame, skipped)


def reference_window(package: Path, settings: MonitoringConfig, *, scorer: Scorer) -> Window:
    """Rows of the training part that the model package carries, evenly over their time when there are too many.

    Raises:
        DataError: There are none.
    """
    table = pq.read_table(package / REFERENCE, columns=scorer.schema.columns)
    if not table.num_rows:
        raise DataError(f"{REFERENCE} of version {scorer.version} has no rows: train the model again.")
    if table.num_rows > settings.rows:
        table = table.take(np.linspace(0, table.num_rows - 1, settings.rows).round().astype(np.int64))
    frame = watched(features(table, scorer.schema), scorer)
    return Window(f"{table.num_rows:,} rows the model learned from", frame)


def watched(frame: pd.DataFrame, scorer: Scorer) -> pd.DataFrame:
    """What is compared: features and predictions; timestamps are left out, because time always moves on.

    Args:
        frame: The model's input columns, made by `frames.features`.
        scorer: The model.
    """
    schema = scorer.schema
    prediction = _prediction(scorer.score(inputs(frame, schema)), schema)
    return pd.DataFrame(_watched_features(frame, schema) | {prediction_column(schema): prediction}, copy=False)


def numeric_columns(schema: Schema) -> frozenset[str]:
    """Watched columns that are numbers; a prediction is one unless it is one of several classes."""
    numbers = frozenset(feature.name for feature in schema.numbers)
    return numbers if schema.task == "multiclass" else numbers | {prediction_column(schema)}


def prediction_column(schema: Schema) -> str:
    """A name for the prediction that no feature has."""
    return unlike(PREDICTION, schema.columns)


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
    """What the log says that this version predicted; None when it does not, or also tells of another version."""
    name, version = _answer_columns(scorer.schema)
    if not {name, version} <= set(table.column_names) or table[version].unique().to_pylist() != [scorer.version]:
        return None
    return np.asarray(table[name].to_numpy(), dtype=object if scorer.schema.task == "multiclass" else np.float32)


def _answer_columns(schema: Schema) -> tuple[str, str]:
    """The logged columns of what is watched of a prediction, and of the version that made it."""
    answer = probability_names(schema)[1] if schema.task == "binary" else logged_name(PREDICTION, schema)
    return answer, logged_name(MODEL_VERSION, schema)


def _with_features(schema: Schema, names: Collection[str]) -> Schema:
    return schema.model_copy(update={"features": [feature for feature in schema.features if feature.name in names]})


def _prediction(scores: NDArray[np.float32], schema: Schema) -> NDArray[Any]:
    if schema.task == "regression":
        return scores
    if schema.task == "binary":
        return scores[:, 1]
    names = np.array(schema.labels, dtype=object)
    return names[choose_classes(scores)]


def _logged(store: Store, name: str, scorer: Scorer, *, rows: int) -> tuple[list[_Logged], int]:
    """The newest rows of the inference log, oldest first, and how many files lack columns of the model or are damaged.

    What the configuration left out of a file does not count as lacking.
    """
    found: list[_Logged] = []
    missing, skipped = rows, 0
    with tempfile.TemporaryDirectory(prefix="fullcircle-log-") as folder:
        for item in newest_files(store, name):
            path = Path(folder, "rows.parquet")
            store.get_file(item.key, path)
            try:
                found.append(_read(path, scorer, newest=missing))
            except (DataError, pa.ArrowException, OSError, ValueError):
                skipped += 1
                continue
            missing -= found[-1].rows
            if missing <= 0:
                break
    return found[::-1], skipped


def _read(path: Path, scorer: Scorer, *, newest: int) -> _Logged:
    """The newest rows of a file.

    Raises:
        DataError: A column is missing that was not left out on purpose, or cannot be converted.
    """
    # ParquetFile: its folder's name would be taken for a column's value otherwise.
    with pq.ParquetFile(path) as file:
        present = set(file.schema_arrow.names)
        missing = left_out(file.schema_arrow) - present
        known = _with_features(scorer.schema, set(scorer.schema.columns) - missing)
        table = file.read(columns=[*known.columns, *present.intersection(_answer_columns(scorer.schema))])
    table = table.slice(max(0, table.num_rows - newest))
    return _Logged(table.num_rows, features(table, known), _logged_prediction(table, scorer))

"""The two windows of a drift report: what the model learned from, and the newest rows there are."""

import tempfile
from collections.abc import Iterator
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
from components.shared.model_package import REFERENCE
from components.shared.schema import Schema
from components.shared.scoring import Scorer, choose_classes, label_name
from components.shared.store import ObjectInfo, Store

PREDICTION = "prediction"


@dataclass(frozen=True, slots=True)
class Window:
    """Rows to compare.

    Attributes:
        origin: Where they are from, in words.
        frame: One column a watched feature (numbers float32, categories text; missing: NaN or None), and one for the
            prediction.
        skipped: Files of the inference log that were left out: of a version with other columns, or damaged.
    """

    origin: str
    frame: pd.DataFrame
    skipped: int = 0


def newest_window(store: Store, name: str, settings: MonitoringConfig, *, splits: Path, scorer: Scorer) -> Window:
    """The rows the endpoint logged last, or the test part while there are fewer than `minimum_rows` of them.

    Raises:
        DataError: The test part is empty or lacks a column.
        StoreError: The object store cannot be reached.
    """
    logged, skipped = _logged(store, name, scorer.schema, rows=settings.rows)
    if len(logged) >= settings.minimum_rows:
        return Window(f"the last {len(logged):,} rows the endpoint was asked", watched(logged, scorer), skipped)
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
    columns: dict[str, NDArray[Any]] = {}
    for feature in schema.numbers:
        numbers = frame[feature.name].to_numpy()
        columns[feature.name] = np.where(np.isfinite(numbers), numbers, np.float32(np.nan))
    for feature in schema.categories:
        texts = frame[feature.name].to_numpy()
        columns[feature.name] = np.where(texts == "", np.array(None, dtype=object), texts)
    columns[prediction_column(schema)] = _prediction(scorer.score(inputs(frame, schema)), schema)
    return pd.DataFrame(columns, copy=False)


def numeric_columns(schema: Schema) -> frozenset[str]:
    """Watched columns that are numbers; a prediction is one unless it is one of several classes."""
    numbers = frozenset(feature.name for feature in schema.numbers)
    return numbers if schema.task == "multiclass" else numbers | {prediction_column(schema)}


def prediction_column(schema: Schema) -> str:
    """A name for the prediction that no feature has."""
    name = PREDICTION
    while name in schema.columns:
        name = f"_{name}"
    return name


def _prediction(scores: NDArray[np.float32], schema: Schema) -> NDArray[Any]:
    if schema.task == "regression":
        return scores
    if schema.task == "binary":
        return scores[:, 1]
    names = np.array([label_name(label) for label in schema.classes], dtype=object)
    return names[choose_classes(scores)]


def _logged(store: Store, name: str, schema: Schema, *, rows: int) -> tuple[pd.DataFrame, int]:
    """The newest rows of the inference log that have all the model's columns, and how many files had not."""
    frames: list[pd.DataFrame] = []
    missing, skipped = rows, 0
    with tempfile.TemporaryDirectory(prefix="fullcircle-log-") as folder:
        for item in _newest_first(store, name):
            path = Path(folder, "rows.parquet")
            store.get_file(item.key, path)
            try:
                # ParquetFile: its folder's name would be taken for a column's value otherwise.
                frame = features(pq.ParquetFile(path).read(columns=schema.columns), schema)
            except (DataError, pa.ArrowException, OSError):
                skipped += 1
                continue
            frames.append(frame.tail(missing))
            missing -= len(frames[-1])
            if missing <= 0:
                break
    return pd.concat(frames[::-1], ignore_index=True) if frames else pd.DataFrame(), skipped


def _newest_first(store: Store, name: str) -> Iterator[ObjectInfo]:
    """Files of the inference log; their keys sort by date and hour."""
    files = [item for item in store.list(f"inference/{name}/") if item.key.endswith(".parquet")]
    return iter(sorted(files, key=lambda item: item.key, reverse=True))

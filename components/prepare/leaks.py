"""Features that give the answer away: each one alone, scored on a bounded sample of the training part."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend
from numpy.typing import NDArray
from pydantic import BaseModel

from components.prepare.columns import ARRIVAL, batches
from components.shared.frames import labels, part_path
from components.shared.package.schema import Feature, Schema
from components.shared.tables import fetch_arrow, fetch_row, identifier, literal

ROWS = 50_000
_SAMPLE = "leak_sample"
_FEWEST_ROWS = 20  # below this any score is chance
_CELLS = 20_000_000  # rows times features, so that ten thousand features take seconds
_BATCH_CELLS = 4_000_000  # rows times features in memory at once
_BINS = 256
_ROWS_PER_BIN = 40
_SMOOTHING = 1.0  # rows of the overall mean added to each value's own
_MOST_CLASSES = 20  # the most frequent ones are judged


class Leak(BaseModel):
    """A feature that predicts the target nearly perfectly by itself."""

    feature: str
    metric: str
    score: float


def find_leaks(backend: Backend, folder: Path, schema: Schema, *, threshold: float) -> list[Leak]:
    """Score every feature alone.

    The metric is ROC AUC for two classes, the mean ROC AUC of one class against the rest, weighted by class, for
    more, and R² for a regression. Numbers are taken by rank (a straight line for a regression) and by the mean target
    of their bins, categories by the mean target of each. Means come from one half of the sample and are scored on the
    other, so that a column of many values cannot know its own rows.

    Args:
        backend: Any engine.
        folder: Where the training part is.
        schema: Its features and target.
        threshold: Score from which a feature is reported.

    Returns:
        The suspects, worst first.
    """
    metric = "R²" if schema.task == "regression" else "ROC AUC"
    scores = ((feature.name, score) for feature, score in _scores(backend, folder, schema))
    leaks = [Leak(feature=name, metric=metric, score=round(score, 6)) for name, score in scores if score >= threshold]
    return sorted(leaks, key=lambda leak: -leak.score)


def _scores(backend: Backend, folder: Path, schema: Schema) -> Iterator[tuple[Feature, float]]:
    rows = _sample(backend, part_path(folder, "train"), len(schema.features))
    if rows < _FEWEST_ROWS:
        return
    labelled = fetch_arrow(backend, f"SELECT {identifier(schema.target)} FROM {_SAMPLE}")
    target = _target(labels(labelled, schema), schema)
    for batch in batches(schema.features, max(1, _BATCH_CELLS // rows)):
        listed = ", ".join(_selected(feature, place) for place, feature in enumerate(batch))
        table = fetch_arrow(backend, f"SELECT {listed} FROM {_SAMPLE}")
        for feature, column in zip(batch, table.columns, strict=True):
            yield feature, _score(column, target, is_category=feature.kind == "category")


def _sample(backend: Backend, train: Path, features: int) -> int:
    """Every n-th row of the training part, as a temporary table; the answer is their number."""
    limit = min(ROWS, max(1_000, _CELLS // features))
    source = f"read_parquet({literal(str(train))}, file_row_number = true)"
    step = f"greatest(1, ceil((SELECT count(*) FROM {source}) / {limit}))::BIGINT"
    (count,) = fetch_row(
        backend, f"CREATE OR REPLACE TEMP TABLE {_SAMPLE} AS SELECT * FROM {source} WHERE {ARRIVAL} % {step} = 0"
    )
    return int(count)


def _selected(feature: Feature, place: int) -> str:
    name = identifier(feature.name)
    if feature.kind == "category":
        return f"{name}::VARCHAR AS c{place}"
    return f"epoch({name}) AS c{place}" if feature.kind == "timestamp" else f"{name}::DOUBLE AS c{place}"


@dataclass(frozen=True, slots=True)
class _Target:
    """What is scored against: `values` of shape (rows, columns): class indicators or the numbers; column weights."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    is_classes: bool


def _target(target: NDArray[Any], schema: Schema) -> _Target:
    if schema.task == "regression":
        return _Target(target.astype(np.float64)[:, None], np.ones(1), is_classes=False)
    counts = np.bincount(target, minlength=len(schema.classes))
    chosen = [1] if len(counts) == 2 else np.argsort(-counts, kind="stable")[:_MOST_CLASSES]
    return _Target(
        (target[:, None] == np.asarray(chosen)).astype(np.float64), counts[chosen].astype(np.float64), is_classes=True
    )


def _score(column: pa.ChunkedArray, target: _Target, *, is_category: bool) -> float:
    if is_category:
        codes = pc.dictionary_encode(column, null_encoding="encode").combine_chunks().indices
        return _score_of_means(np.asarray(codes, dtype=np.int64), target)
    values = np.asarray(column.fill_null(np.nan).to_numpy(), dtype=np.float64)
    ranks = _ranks(np.where(np.isnan(values), -np.inf, values))
    bins = min(_BINS, max(2, len(values) // _ROWS_PER_BIN))
    by_means = _score_of_means((ranks * bins / (len(ranks) + 1)).astype(np.int64), target)
    return max(
        by_means, _auc(ranks, target, either_way=True) if target.is_classes else _squared_correlation(values, target)
    )


def _score_of_means(codes: NDArray[np.int64], target: _Target) -> float:
    """Learn the mean target of each code on one half, score it on the other."""
    learned = np.arange(len(codes)) % 2 == 0
    overall = target.values[learned].mean(axis=0)
    size = int(codes.max()) + 1
    counts = np.bincount(codes[learned], minlength=size)[:, None] + _SMOOTHING
    sums = [np.bincount(codes[learned], weights=values, minlength=size) for values in target.values[learned].T]
    means = (np.stack(sums, axis=1) + _SMOOTHING * overall) / counts
    judged = _Target(target.values[~learned], target.weights, target.is_classes)
    predicted = means[codes[~learned]]
    if target.is_classes:
        columns = [_Target(judged.values[:, [k]], np.ones(1), is_classes=True) for k in range(len(target.weights))]
        return _weighted([_auc(_ranks(predicted[:, k]), column) for k, column in enumerate(columns)], target.weights)
    squares = float(np.square(judged.values - judged.values.mean(axis=0)).sum())
    return 1 - float(np.square(judged.values - predicted).sum()) / squares if squares else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _auc(ranks: NDArray[np.float64], target: _Target, *, either_way: bool = False) -> float:
    """Area under the ROC curve by Mann and Whitney's U, the weighted mean over the classes."""
    ones = target.values.sum(axis=0)
    pairs = ones * (len(ranks) - ones)
    above = ranks @ target.values - ones * (ones + 1) / 2
    areas = np.divide(above, pairs, out=np.full_like(ones, np.nan), where=pairs > 0)
    return _weighted(np.maximum(areas, 1 - areas) if either_way else areas, target.weights)


def _weighted(areas: NDArray[np.float64] | list[float], weights: NDArray[np.float64]) -> float:
    known = ~np.isnan(areas)
    return float(np.average(np.asarray(areas)[known], weights=weights[known])) if known.any() else np.nan


def _squared_correlation(values: NDArray[np.float64], target: _Target) -> float:
    """R² of a straight line; missing values count as the mean."""
    known = ~np.isnan(values)
    x = np.where(known, values - values[known].mean(), 0.0) if known.any() else np.zeros_like(values)
    y = target.values[:, 0] - target.values[:, 0].mean()
    spread = float(x @ x) * float(y @ y)
    return float(x @ y) ** 2 / spread if spread else 0.0

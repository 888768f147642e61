"""Features that give the answer away: each one alone, scored on a bounded sample of the training part.

A feature that is known only after the fact, such as the arrival time of a flight whose delay is predicted, makes an
excellent model that fails in use; no later check notices, since the test part has the column as well. Such a feature is
nearly always strong enough to predict the target alone, which is cheap to ask of each. The findings are warnings: only
a person knows what is known when.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel

from components.prepare.columns import ARRIVAL, batches
from components.shared.frames import labels, part_path
from components.shared.package.schema import Feature, Schema
from components.shared.tables import Engine, fetch_arrow, fetch_row, identifier, literal
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import TargetArray

ROWS = 50_000
_SAMPLE = "leak_sample"
_FEWEST_ROWS = 20  # below this any score is chance
_CELLS = 20_000_000  # rows times features, so that ten thousand features take seconds
_BATCH_CELLS = 4_000_000  # rows times features in memory at once
_BINS = 256
_ROWS_PER_BIN = 40
_SMOOTHING = 1.0  # rows of the overall mean added to each value's own
_MOST_CLASSES = 20  # the most frequent ones are judged
_PAIRED = 10  # timestamps whose differences are judged, as the preprocessing takes them

LeakedBy = Literal["value", "missing", "moment", "difference"]


class Leak(BaseModel):
    """A feature that predicts the target nearly perfectly by itself.

    Attributes:
        feature: Its name.
        metric: What the score is.
        score: 1 is perfect.
        by: What of it does: its `value`; of a timestamp, whether it is `missing`, the `moment` (a trend, which is no
            leak where the time is known), or the `difference` to another one.
        other: The other timestamp of a difference.
    """

    feature: str
    metric: str
    score: float
    by: LeakedBy = "value"
    other: str = ""

    def warning(self, method: str) -> str:
        """What to tell the user; `method` is that of the split. Empty when there is nothing to heed."""
        score = f"({self.metric} {self.score:.3f})"
        afterwards = "is known only after the moment of prediction, name it in problem.leaks"
        if self.by == "moment":
            return (
                ""
                if method == "chronological"
                else f"The target follows the time {self.feature!r} {score}: a trend that a model can use where the "
                f"time is known beforehand; if it {afterwards}. Test rows of a {method} split lie between those "
                f"learned from: to judge on later ones, set problem.time_column to {self.feature!r} and keep it in "
                "problem.features."
            )
        if self.by == "difference":
            return (
                f"The time from {self.other!r} to {self.feature!r} alone gives the target away {score}: if either "
                f"{afterwards}."
            )
        what = "The feature" if self.by == "value" else "Whether there is a value for the feature"
        return f"{what} {self.feature!r} alone gives the target away {score}: if it {afterwards}."


def find_leaks(backend: Engine, folder: Path, schema: Schema, *, threshold: float) -> list[Leak]:
    """Score every feature alone.

    The metric is ROC AUC for two classes, the mean ROC AUC of one class against the rest, weighted by class, for
    more, and R² for a regression. Numbers are taken by rank (a straight line for a regression) and by the mean target
    of their bins, categories by the mean target of each. Means come from one half of the sample and are scored on the
    other, so that a column of many values cannot know its own rows. Timestamps are judged by what a model makes of
    them: whether they are missing, the moment, and the differences between two.

    Args:
        backend: Any engine.
        folder: Where the training part is.
        schema: Its features and target.
        threshold: Score from which a feature is reported.

    Returns:
        The suspects, worst first.
    """
    metric = "ROC AUC" if TASKS[schema.task].has_classes else "R²"
    leaks = {
        (one.feature, one.other): Leak(
            feature=one.feature, metric=metric, score=round(one.score, 6), by=one.by, other=one.other
        )
        for one in _scores(backend, folder, schema)
        if one.score >= threshold
    }
    return sorted(leaks.values(), key=lambda leak: -leak.score)


class _Scored(NamedTuple):
    """How well something of a feature predicts; of the same feature, the last that does so is the one reported."""

    feature: str
    by: LeakedBy
    score: float
    other: str = ""


def _scores(backend: Engine, folder: Path, schema: Schema) -> Iterator[_Scored]:
    rows = _sample(backend, part_path(folder, "train"), len(schema.features))
    if rows < _FEWEST_ROWS:
        return
    labelled = fetch_arrow(backend, f"SELECT {identifier(schema.target)} FROM {_SAMPLE}")
    target = _target(labels(labelled, schema), schema)
    for batch in batches(schema.features, max(1, _BATCH_CELLS // rows)):
        listed = ", ".join(_selected(feature, place) for place, feature in enumerate(batch))
        table = fetch_arrow(backend, f"SELECT {listed} FROM {_SAMPLE}")
        for feature, column in zip(batch, table.columns, strict=True):
            if feature.kind == "category":
                codes = pc.dictionary_encode(column, null_encoding="encode").combine_chunks().indices
                yield _Scored(feature.name, "value", _score_of_means(np.asarray(codes, dtype=np.int64), target))
            elif feature.kind == "timestamp":
                yield from _score_times(feature.name, _values(column), target)
            else:
                yield _Scored(feature.name, "value", _score(_values(column), target))
    yield from _score_differences(backend, schema.timestamps[:_PAIRED], target)


def _score_times(name: str, seconds: NDArray[np.float64], target: "_Target") -> Iterator[_Scored]:
    yield _Scored(name, "moment", _score(seconds, target))
    missing = np.isnan(seconds)
    if missing.any():
        yield _Scored(name, "missing", _score(missing.astype(np.float64), target))


def _score_differences(backend: Engine, times: list[Feature], target: "_Target") -> Iterator[_Scored]:
    if len(times) < 2:
        return
    listed = ", ".join(_selected(feature, place) for place, feature in enumerate(times))
    seconds = [_values(column) for column in fetch_arrow(backend, f"SELECT {listed} FROM {_SAMPLE}").columns]
    for (first, earlier), (second, later) in combinations(zip(times, seconds, strict=True), 2):
        yield _Scored(second.name, "difference", _score(later - earlier, target), other=first.name)


def _values(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.fill_null(np.nan).to_numpy(), dtype=np.float64)


def _sample(backend: Engine, train: Path, features: int) -> int:
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


def _target(target: TargetArray, schema: Schema) -> _Target:
    if not TASKS[schema.task].has_classes:
        return _Target(target.astype(np.float64)[:, None], np.ones(1), is_classes=False)
    counts = np.bincount(np.asarray(target, dtype=np.int64), minlength=len(schema.classes))
    chosen = [1] if len(counts) == 2 else np.argsort(-counts, kind="stable")[:_MOST_CLASSES]
    return _Target(
        (target[:, None] == np.asarray(chosen)).astype(np.float64), counts[chosen].astype(np.float64), is_classes=True
    )


def _score(values: NDArray[np.float64], target: _Target) -> float:
    ranks = _ranks(np.where(np.isnan(values), -np.inf, values))
    bins = min(_BINS, max(2, len(values) // _ROWS_PER_BIN))
    by_means = _score_of_means((ranks * bins / (len(ranks) + 1)).astype(np.int64), target)
    return max(
        by_means, _auc(ranks, target, either_way=True) if target.is_classes else _squared_correlation(values, target)
    )


# Example: the codes 0, 0, 1, 1 with the target 1, 1, 0, 0. The first and the third row are learned from: code 0 has the
# mean (1 + 0.5) / 2 = 0.75 and code 1 (0 + 0.5) / 2 = 0.25, with the overall mean 0.5 as one more row. The second and
# the fourth row are scored 0.75 and 0.25, an area of 1. Of an identifier, no code of a scored row was learned: all get
# 0.5, an area of 0.5.
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


# Example: 5, 7 and 7 have the ranks 1, 2.5 and 2.5.
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

"""Confidence intervals of metrics by the bootstrap (Efron, 1979), fast enough for every metric and slice.

A resample draws as many rows as there are, with replacement. Here it is the number of times that each row was drawn,
so that metrics become weighted sums: rows are sorted once for the ranking metrics, and many resamples are one matrix.
The values equal those of `metrics.compute` on the drawn rows, apart from rounding.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared import metrics
from components.shared.config import Metric, Task
from components.shared.package.scoring import choose_classes

Counts = NDArray[np.uint8]
Floats = NDArray[np.float64]
Resampled = dict[Metric, Floats]
_CELLS = 400_000  # resamples × rows held at once: 3 MB a temporary array, what fits in a core's cache
_RANKING: frozenset[Metric] = frozenset({"roc_auc", "pr_auc"})


def draws(rows: int, resamples: int, *, seed: int = 0) -> Iterator[Counts]:
    """Draw resamples, a block at a time.

    Args:
        rows: Rows of the table.
        resamples: How many resamples in all.
        seed: The same seed gives the same resamples.

    Yields:
        How often each row was drawn, of shape (resamples of the block, rows).
    """
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // max(1, rows))
    for start in range(0, resamples, block):
        counts = np.empty((min(block, resamples - start), rows), dtype=np.uint8)
        for row in counts:
            row[:] = np.bincount(generator.integers(0, rows, rows, dtype=np.uint32), minlength=rows)
        yield counts


class Sample:
    """Rows whose metrics are resampled: a whole part, or a slice of it."""

    def __init__(
        self,
        task: Task,
        target: NDArray[Any],
        *,
        scores: NDArray[Any],
        threshold: float = 0.5,
        rows: NDArray[np.int64] | None = None,
        only: Collection[Metric] | None = None,
    ) -> None:
        """Prepare what does not change from resample to resample.

        Args:
            task: Decides which metrics there are.
            target: Class indices or values of the whole part, as in `metrics.compute`.
            scores: Probabilities or values of the whole part.
            threshold: Binary only: probability from which the positive class is answered.
            rows: Indices of the slice's rows; by default all.
            only: The metrics wanted; by default all of the task.
        """
        rows = np.arange(len(target)) if rows is None else rows
        self.wanted = frozenset(metrics.metrics_of(task) if only is None else only)
        values = scores[rows]
        self._statistics: list[Callable[[Counts], Resampled]] = []
        if task == "regression":
            self._statistics.append(_regression(rows, target[rows], values))
            return
        probabilities = metrics.normalise(values)
        if self.wanted - _RANKING:
            chosen = choose_classes(values, threshold=threshold)
            self._statistics.append(_decisions(rows, target[rows], chosen, classes=scores.shape[1]))
            self._statistics.append(_losses(rows, target[rows], probabilities))
        if self.wanted & _RANKING:
            self._statistics.append(_ranking(rows, target[rows], probabilities))

    def resampled(self, counts: Counts) -> Resampled:
        """Each metric, shape (resamples,), on a block of `draws` over the whole part; NaN where undefined."""
        values: Resampled = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for statistic in self._statistics:
                values |= statistic(counts)
        return {metric: found for metric, found in values.items() if metric in self.wanted}


def observed(sample: Sample, rows: int) -> dict[Metric, float]:
    """The metrics of a sample on the rows themselves, each taken once: what `metrics.compute` gives, at less cost.

    Args:
        sample: The whole part or a slice of it.
        rows: Rows of the whole part.
    """
    values = sample.resampled(np.ones((1, rows), dtype=np.uint8))
    return {metric: float(found[0]) for metric, found in values.items()}


def resample(samples: Sequence[Sample], rows: int, resamples: int, *, seed: int = 0) -> list[Resampled]:
    """Metrics of several samples of the same part on the same resamples, so that their differences are paired.

    Returns:
        For each sample, each metric's value by resample, shape (resamples,).
    """
    blocks = [[sample.resampled(counts) for sample in samples] for counts in draws(rows, resamples, seed=seed)]
    return [
        {metric: np.concatenate([block[index][metric] for block in blocks]) for metric in blocks[0][index]}
        for index in range(len(samples))
    ]


def interval(values: Floats, confidence: float) -> tuple[float, float] | None:
    """Percentile interval of resampled values.

    Args:
        values: Shape (resamples,); NaN where a resample could not tell.
        confidence: Confidence level, such as 0.95.

    Returns:
        Lower and upper end; None when fewer than half of the resamples could tell.
    """
    told = values[np.isfinite(values)]
    if len(told) * 2 < len(values) or not len(told):
        return None
    low, high = np.quantile(told, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _take(counts: Counts, rows: NDArray[np.int64]) -> Counts:
    return np.take(counts, rows, axis=1)


def _decisions(
    rows: NDArray[np.int64], target: NDArray[Any], chosen: NDArray[np.int64], *, classes: int
) -> Callable[[Counts], Resampled]:
    """Accuracy, precision, recall and F1 from the counts of the true, the answered and the rightly answered classes."""
    from scipy.sparse import csr_array

    # Sparse, because there may be many classes: each row of the matrix counts one class in one of the three ways.
    right = np.flatnonzero(target == chosen)
    everything = np.arange(len(rows))
    places = np.concatenate([target, classes + chosen, 2 * classes + target[right]])
    entries = (np.ones(len(places), dtype=np.float32), (places, np.concatenate([everything, everything, right])))
    counter = csr_array(entries, shape=(3 * classes, len(rows)))

    def statistic(counts: Counts) -> Resampled:
        drawn = np.ascontiguousarray(_take(counts, rows).T, dtype=np.float32)
        trues, answers, hits = np.split((counter @ drawn).astype(np.float64), 3)  # each (classes, resamples)
        averages: Resampled = {
            "precision": np.where(answers > 0, hits / answers, 0.0),
            "recall": hits / trues,
            "f1": 2 * hits / (answers + trues),
        }
        found = {metric: _average(values, trues) for metric, values in averages.items()}
        return {"accuracy": hits.sum(axis=0) / trues.sum(axis=0), **found}

    return statistic


def _average(values: Floats, trues: Floats) -> Floats:
    """The positive class's value, or the mean over the classes among the rows drawn; NaN where there are none."""
    if len(values) == 2:
        return np.where(trues[1] > 0, values[1], np.nan)
    present = trues > 0
    return np.asarray(np.where(present, values, 0.0).sum(axis=0) / present.sum(axis=0), dtype=np.float64)


def _losses(rows: NDArray[np.int64], target: NDArray[Any], probabilities: Floats) -> Callable[[Counts], Resampled]:
    """Log loss and Brier: weighted means of each row's loss."""
    of_target = probabilities[np.arange(len(target)), target]
    squared = (probabilities**2).sum(axis=1) - 2 * of_target + 1
    # With two classes both components err alike; the positive one's counts.
    columns = np.column_stack([-np.log(of_target), squared / (2 if probabilities.shape[1] == 2 else 1)])

    def statistic(counts: Counts) -> Resampled:
        drawn = _take(counts, rows).astype(np.float64)
        sums, total = drawn @ columns, drawn.sum(axis=1)
        return {"log_loss": sums[:, 0] / total, "brier": sums[:, 1] / total}

    return statistic


def _ranking(rows: NDArray[np.int64], target: NDArray[Any], probabilities: Floats) -> Callable[[Counts], Resampled]:
    """ROC AUC and PR AUC: of the positive class, or the mean of one class versus the rest."""
    classes = probabilities.shape[1]
    ranked = [
        _rank(rows, target == index, probabilities[:, index]) for index in ([1] if classes == 2 else range(classes))
    ]

    def statistic(counts: Counts) -> Resampled:
        areas = np.array([one(counts) for one in ranked])  # (classes, 2, resamples)
        told = np.isfinite(areas)
        means = np.where(told, areas, 0.0).sum(axis=0) / told.sum(axis=0)
        return {"roc_auc": means[0], "pr_auc": means[1]}

    return statistic


def _rank(rows: NDArray[np.int64], positive: NDArray[np.bool_], scores: Floats) -> Callable[[Counts], NDArray[Any]]:
    """Both areas of one class versus the rest, shape (2, resamples); rows of equal score are one step of the curve."""
    order = np.argsort(-scores, kind="stable")
    ordered_rows, descending = rows[order], scores[order]
    hits = np.flatnonzero(positive[order])
    ends = np.flatnonzero(np.append(np.diff(descending) != 0, True)) + 1 if len(rows) else np.empty(0, dtype=np.int64)
    # Only steps that hold a positive row add to either area.
    steps = np.unique(np.searchsorted(ends, hits, side="right"))
    stops, starts = ends[steps], np.append(0, ends)[steps]
    last_hits = np.searchsorted(hits, stops) - 1

    def areas(counts: Counts) -> NDArray[Any]:
        if not len(hits):
            return np.full((2, len(counts)), np.nan)
        drawn = _take(counts, ordered_rows)
        above = np.zeros((len(drawn), len(ordered_rows) + 1), dtype=np.int32)
        np.cumsum(drawn, axis=1, dtype=np.int32, out=above[:, 1:])
        found = np.cumsum(drawn[:, hits], axis=1, dtype=np.int32)[:, last_hits].astype(np.float64)
        before = np.concatenate([np.zeros((len(found), 1)), found[:, :-1]], axis=1)
        new, seen = found - before, above[:, stops]
        positives = found[:, -1]
        negatives = above[:, -1] - positives
        average_precision = np.einsum("ij,ij->i", new, found / np.maximum(seen, 1)) / positives
        # A positive row loses against the negatives above its step and shares those on it.
        losses = np.einsum("ij,ij->i", new, (seen - found) + (above[:, starts] - before)) / 2
        areas = np.stack([1 - losses / (positives * negatives), average_precision])
        return np.where((positives > 0) & (negatives > 0), areas, np.nan)

    return areas


def _regression(rows: NDArray[np.int64], target: NDArray[Any], values: NDArray[Any]) -> Callable[[Counts], Resampled]:
    """MAE, RMSE, R² and MAPE from weighted sums of errors and of the centred target."""
    error = values.astype(np.float64) - target
    centred = target - (target.mean() if len(target) else 0.0)
    some = target != 0
    share = np.where(some, np.abs(error) / np.where(some, np.abs(target), 1.0), 0.0)
    columns = np.column_stack([np.abs(error), error**2, centred, centred**2, share, some])

    def statistic(counts: Counts) -> Resampled:
        drawn = _take(counts, rows).astype(np.float64)
        total = drawn.sum(axis=1)
        absolute, squared, first, second, shares, counted = (drawn @ columns).T
        spread = second - first**2 / total
        # What rounding leaves of a constant target's variance is no variance.
        r2 = np.where(spread > 1e-12 * second, 1 - squared / spread, np.nan)
        return {"mae": absolute / total, "rmse": np.sqrt(squared / total), "r2": r2, "mape": shares / counted}

    return statistic

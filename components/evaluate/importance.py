"""Which features matter: permutation importance (Breiman, 2001) and SHAP values (Lundberg and Lee, 2017).

Both ask the served ONNX graph; `components.shared.shapley` says how the SHAP values are estimated.
"""

import heapq

import numpy as np
from numpy.typing import NDArray

from components.shared import metrics, shapley
from components.shared.config import Metric
from components.shared.evaluation import Contribution, Importance, Shap
from components.shared.package.schema import Schema
from components.shared.package.scoring import MISSING_TIME, Inputs, Scorer, score_rows
from components.shared.permutation import score_shuffled
from components.shared.shapley import (
    Floats,
    Indices,
    ShapValues,
    affordable_scorings,
    background_rows,
    column,
)
from components.shared.tasks.arrays import TargetArray

MOST_FEATURES = 50  # whose permutation importance is measured
MOST_EXPLAINED = 30  # whose SHAP values are estimated
_SHUFFLES = 3
_SCREENING_CELLS, _SCREENING_ROWS = 500_000, (50, 200)
_BACKGROUND = (4, 32)  # fewest and most background rows


def sample_rows(rows: int, limit: int, *, seed: int = 0) -> Indices:
    """At most `limit` row indices, drawn without replacement, in order."""
    if rows <= limit:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))


# Permutation importance


def permutation_importance(
    scorer: Scorer,
    inputs: Inputs,
    *,
    target: TargetArray,
    metric: Metric,
    threshold: float,
    features: Indices,
    weights: Floats | None = None,
    seed: int = 0,
) -> list[Importance]:
    """How much worse the metric gets when a feature's values are shuffled among the rows.

    Args:
        scorer: The served model.
        inputs: The rows to shuffle within.
        target: Their class indices or values.
        metric: What is measured.
        threshold: Binary only: probability from which the positive class is answered.
        features: Indices, in the order of `Schema.columns`, of the features to measure.
        weights: How much each row counts; by default all the same.
        seed: Seed of the shuffles.

    Returns:
        One entry a feature, largest drop first; none when the metric is undefined on these rows.
    """
    reference = score_rows(scorer, inputs)

    def measured(scores: NDArray[np.float32]) -> float:
        return metrics.score(metric, scorer.schema.task, target, scores, threshold=threshold, weights=weights)

    whole = measured(reference)
    if not np.isfinite(whole):
        return []
    orders = [np.random.default_rng([seed, index]).permutation(len(inputs)) for index in range(_SHUFFLES)]
    found = []
    for feature in features:
        shuffled = [score_shuffled(scorer, inputs, feature, order=order, reference=reference) for order in orders]
        drops = [metrics.gain(metric, whole, measured(scores)) for scores in shuffled]
        name = scorer.schema.columns[feature]
        found.append(Importance(feature=name, drop=float(np.mean(drops)), deviation=float(np.std(drops))))
    return sorted(found, key=lambda item: -(item.drop or 0.0))


def screen(scorer: Scorer, inputs: Inputs, *, limit: int = MOST_FEATURES, seed: int = 0) -> Indices:
    """The features the predictions depend on most, found without trying each: groups are shuffled and halved.

    A group of features whose shuffling moves the predictions most is cut in two, until `limit` single ones are found.

    Returns:
        At most `limit` indices in the order of `Schema.columns`; all of them when there are no more than that.
    """
    count = len(scorer.schema.features)
    if count <= limit:
        return np.arange(count)
    rows = sample_rows(len(inputs), int(np.clip(_SCREENING_CELLS // count, *_SCREENING_ROWS)), seed=seed)
    inputs = inputs.rows(rows)
    reference, shuffled = scorer.score(inputs), _copy(inputs)
    order = np.random.default_rng(seed).permutation(len(rows))

    def effect(group: Indices) -> float:
        for feature in group:
            column(shuffled, feature)[:] = column(inputs, feature)[order]
        moved = float(np.abs(scorer.score(shuffled) - reference).mean())
        for feature in group:
            column(shuffled, feature)[:] = column(inputs, feature)
        return moved

    waiting = [(-effect(group), int(group[0]), group) for group in np.array_split(np.arange(count), limit)]
    heapq.heapify(waiting)
    found: list[int] = []
    while waiting and len(found) < limit:
        moved, first, group = heapq.heappop(waiting)
        if len(group) == 1:
            found.append(first)
        elif moved < 0:
            for half in np.array_split(group, 2):
                heapq.heappush(waiting, (-effect(half), int(half[0]), half))
    return np.sort(np.array(found, dtype=np.int64))


def _copy(inputs: Inputs) -> Inputs:
    return Inputs(inputs.numbers.copy(), inputs.categories.copy(), inputs.times.copy())


# SHAP


def shap_values(scorer: Scorer, inputs: Inputs, *, features: Indices, seed: int = 0) -> ShapValues:
    """SHAP values of rows, which are the background's source too.

    Args:
        scorer: The served model.
        inputs: The rows to explain.
        features: Indices, in the order of `Schema.columns`, of the features to explain.
        seed: Seed of the permutations.
    """
    count = _affordable(len(inputs), len(features), len(scorer.schema.features))
    background = inputs.rows(background_rows(shapley.outputs(scorer, inputs), count))
    return shapley.shap_values(scorer, inputs, background=background, features=features, seed=seed)


def explained_rows(columns: int, features: int) -> int:
    """Rows that can be explained with the fewest background rows when the model takes so many columns."""
    return max(10, affordable_scorings(columns) // (2 * features * _BACKGROUND[0]))


def _affordable(rows: int, features: int, columns: int) -> int:
    """Background rows for which no more rows are scored than is affordable."""
    fewest, most = _BACKGROUND
    return int(
        np.clip(affordable_scorings(columns) // max(1, rows * 2 * features), fewest, min(most, max(rows, fewest)))
    )


def explain(scorer: Scorer, inputs: Inputs, *, features: Indices, seed: int = 0) -> Shap:
    """SHAP values in brief: mean distance from 0 and direction by feature, largest first."""
    found = shap_values(scorer, inputs, features=features, seed=seed)
    contributions = [
        _contribution(scorer.schema, inputs, feature, found.values[:, place]) for place, feature in enumerate(features)
    ]
    return Shap(
        base=[float(value) for value in found.base.mean(axis=0)],
        rows=len(inputs),
        background=found.background,
        contributions=sorted(contributions, key=lambda item: -(item.mean_absolute or 0.0)),
    )


def _contribution(schema: Schema, inputs: Inputs, feature: int, values: Floats) -> Contribution:
    name = schema.columns[feature]
    size = float(np.abs(values).mean())
    if values.shape[1] > 1:
        return Contribution(feature=name, mean_absolute=size)
    found = column(inputs, feature)
    if found.dtype == object:
        raises, lowers = _extremes(found, values[:, 0])
        return Contribution(feature=name, mean_absolute=size, raises=raises, lowers=lowers)
    return Contribution(feature=name, mean_absolute=size, direction=_correlation(found, values[:, 0]))


def _extremes(column: NDArray[np.generic], values: Floats) -> tuple[str | None, str | None]:
    """Among the categories that are frequent enough to tell, the one that adds most and the one that takes most."""
    names, codes = np.unique(column.astype(str), return_inverse=True)
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=values) / counts
    frequent = np.flatnonzero(counts >= max(2, 0.01 * len(column)))
    if not len(frequent):
        return None, None
    high, low = frequent[np.argmax(means[frequent])], frequent[np.argmin(means[frequent])]
    return (str(names[high]) if means[high] > 0 else None, str(names[low]) if means[low] < 0 else None)


def _correlation(column: NDArray[np.generic], values: Floats) -> float | None:
    """Spearman's rank correlation of a feature's value and its contribution; None when either is constant."""
    from scipy.stats import rankdata

    present = column != MISSING_TIME if column.dtype == np.int64 else ~np.isnan(column)
    if present.sum() < 3 or np.ptp(column[present]) == 0 or np.ptp(values[present]) == 0:
        return None
    return float(np.corrcoef(rankdata(column[present]), rankdata(values[present]))[0, 1])

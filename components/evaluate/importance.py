"""Which features matter: permutation importance (Breiman, 2001) and SHAP values (Lundberg and Lee, 2017).

Both ask the served ONNX graph, so that they speak of what is served, in the same unit for every family: probabilities
or the target's own unit, not the log-odds inside a booster. The SHAP values are estimated as the `shap` library's
permutation explainer does it, by permutations each walked forwards and backwards (Štrumbelj and Kononenko, 2014;
Mitchell et al., 2022): along a walk one feature after another changes from a background row's value to the row's own,
and the change of the prediction is that feature's. The changes of a walk add up to the difference of its two ends, so
base and contributions add up to the prediction exactly, however few walks are made. Unlike there, each background row
has permutations of its own, all rows walk at once through the graph, steps that change nothing are not scored, and
nothing has to be compiled first, which costs the library more seconds than the estimate itself.
"""

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared import metrics
from components.shared.bootstrap import Sample, observed
from components.shared.config import Metric
from components.shared.evaluation import Contribution, Importance, Shap
from components.shared.schema import Schema
from components.shared.scored import CELLS, score_rows
from components.shared.scoring import MISSING_TIME, Inputs, Scorer

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MOST_FEATURES = 50  # whose permutation importance is measured
MOST_EXPLAINED = 30  # whose SHAP values are estimated
_SHUFFLES = 3
_SCREENING_CELLS, _SCREENING_ROWS = 500_000, (50, 200)
_SCORED_ROWS, _SCORED_CELLS = 200_000, 200_000_000  # that SHAP may ask the model for
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
    target: NDArray[Any],
    metric: Metric,
    threshold: float,
    features: Indices,
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
        seed: Seed of the shuffles.

    Returns:
        One entry a feature, largest drop first; none when the metric is undefined on these rows.
    """
    reference = score_rows(scorer, inputs)

    def measured(scores: NDArray[np.float32]) -> float:
        sample = Sample(scorer.schema.task, target, scores=scores, threshold=threshold, only=[metric])
        return observed(sample, len(target))[metric]

    whole = measured(reference)
    if not np.isfinite(whole):
        return []
    orders = [np.random.default_rng([seed, index]).permutation(len(inputs)) for index in range(_SHUFFLES)]
    found = []
    for feature in features:
        shuffled = [_score_shuffled(scorer, inputs, feature, order=order, reference=reference) for order in orders]
        drops = [metrics.gain(metric, whole, measured(scores)) for scores in shuffled]
        name = scorer.schema.columns[feature]
        found.append(Importance(feature=name, drop=float(np.mean(drops)), deviation=float(np.std(drops))))
    return sorted(found, key=lambda item: -(item.drop or 0.0))


def _score_shuffled(
    scorer: Scorer, inputs: Inputs, feature: int, *, order: Indices, reference: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Predictions with one feature's values in another order; only rows whose value changes are scored again."""
    values = _column(inputs, feature)
    changed = np.flatnonzero(_differ(values, values[order]))
    scores = reference.copy()
    if len(changed):
        some = inputs.rows(changed)
        _column(some, feature)[:] = values[order][changed]
        scores[changed] = score_rows(scorer, some)
    return scores


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
            _column(shuffled, feature)[:] = _column(inputs, feature)[order]
        moved = float(np.abs(scorer.score(shuffled) - reference).mean())
        for feature in group:
            _column(shuffled, feature)[:] = _column(inputs, feature)
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


def _column(inputs: Inputs, feature: int) -> NDArray[Any]:
    """A view of one feature's column."""
    for tensor in (inputs.numbers, inputs.categories, inputs.times):
        if feature < tensor.shape[1]:
            return tensor[:, feature]
        feature -= tensor.shape[1]
    raise IndexError(feature)


# SHAP


@dataclass(frozen=True, slots=True)
class ShapValues:
    """Contributions of features to predictions.

    Attributes:
        values: Shape (rows, features, outputs); outputs is 1 for binary and regression, else the number of classes.
        base: Mean prediction with the background's values, shape (rows, outputs).
        predictions: Shape (rows, outputs); base plus the sum of the values.
        background: Number of background rows.
    """

    values: Floats
    base: Floats
    predictions: Floats
    background: int


def shap_values(scorer: Scorer, inputs: Inputs, *, features: Indices, seed: int = 0) -> ShapValues:
    """Estimate SHAP values of rows.

    Args:
        scorer: The served model.
        inputs: The rows to explain, which are the background's source too.
        features: Indices, in the order of `Schema.columns`, of the features to explain; the others
            keep the row's own value.
        seed: Seed of the permutations.
    """
    predictions = _outputs(scorer, inputs)
    background = _background_rows(predictions, _affordable(len(inputs), len(features), len(scorer.schema.features)))
    generator = np.random.default_rng(seed)
    values = np.zeros((len(inputs), len(features), predictions.shape[1]))
    base = np.zeros_like(predictions)
    for row in background:
        permutations = generator.permuted(np.tile(np.arange(len(features)), (len(inputs), 1)), axis=1)
        for order in (permutations, permutations[:, ::-1]):
            steps = _walk(scorer, inputs, row, features=features, order=order)
            base += steps[:, 0]
            np.put_along_axis(added := np.empty_like(values), order[:, :, None], np.diff(steps, axis=1), axis=1)
            values += added
    walks = 2 * len(background)
    return ShapValues(values / walks, base / walks, predictions, len(background))


def _outputs(scorer: Scorer, inputs: Inputs) -> Floats:
    """Predictions of shape (rows, outputs): the positive class's probability, all classes', or the value."""
    scores = score_rows(scorer, inputs).astype(np.float64).reshape(len(inputs), -1)
    return scores[:, 1:] if scores.shape[1] == 2 else scores


def explained_rows(columns: int, features: int) -> int:
    """Rows that can be explained with the fewest background rows when the model takes so many columns."""
    return max(10, _scored_rows(columns) // (2 * features * _BACKGROUND[0]))


def _scored_rows(columns: int) -> int:
    return min(_SCORED_ROWS, _SCORED_CELLS // columns)


def _affordable(rows: int, features: int, columns: int) -> int:
    """Background rows for which no more rows are scored than is affordable."""
    fewest, most = _BACKGROUND
    return int(np.clip(_scored_rows(columns) // max(1, rows * 2 * features), fewest, min(most, max(rows, fewest))))


def _background_rows(predictions: Floats, count: int) -> Indices:
    """Rows at evenly spaced ranks of the prediction, so that few of them have about the mean prediction of all."""
    order = np.argsort(predictions[:, 0], kind="stable")
    ranks = (np.arange(count) + 0.5) / count * len(order)
    return np.asarray(order[ranks.astype(np.int64)], dtype=np.int64)


def _walk(scorer: Scorer, inputs: Inputs, background: int, *, features: Indices, order: Indices) -> Floats:
    """Predictions while features change, in each row's order, from the background row's values to the row's own.

    Returns:
        Shape (rows, features + 1, outputs): before the first change to after the last.
    """
    count = len(features)
    rank = np.argsort(order, axis=1)
    changes = _changes(inputs, background, features)
    # A step is scored when it changes something; otherwise the prediction stays as it was.
    scored = np.concatenate([np.ones((len(order), 1), dtype=bool), np.take_along_axis(changes, order, axis=1)], axis=1)
    rows, steps = np.nonzero(scored)
    block = max(1, CELLS // (10 * max(len(scorer.schema.features), 1)))
    parts = []
    for start in range(0, len(rows), block):
        some = slice(start, start + block)
        from_background = rank[rows[some]] >= steps[some, None]
        parts.append(_outputs(scorer, _mixed(inputs, rows[some], background, columns=features, masks=from_background)))
    found = np.concatenate(parts)
    latest = np.cumsum(scored.reshape(-1)) - 1
    return np.asarray(found[latest].reshape(len(order), count + 1, -1))


def _changes(inputs: Inputs, background: int, features: Indices) -> NDArray[np.bool_]:
    """Whether each row differs from the background row in each of the features."""
    columns = [_column(inputs, feature) for feature in features]
    return np.array([_differ(column, column[background]) for column in columns], dtype=bool).T


def _differ(values: NDArray[Any], others: Any) -> NDArray[np.bool_]:
    """Where values differ; two missing numbers are the same."""
    different = values != others
    if values.dtype == np.float32:
        different &= ~(np.isnan(values) & np.isnan(others))
    return np.asarray(different, dtype=bool)


def _mixed(inputs: Inputs, rows: Indices, background: int, *, columns: Indices, masks: NDArray[np.bool_]) -> Inputs:
    """Copies of rows in which the masked ones of the columns hold the background row's values."""
    mixed = inputs.rows(rows)
    for place, feature in enumerate(columns):
        column = _column(mixed, feature)
        column[masks[:, place]] = _column(inputs, feature)[background]
    return mixed


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
    column = _column(inputs, feature)
    if column.dtype == object:
        raises, lowers = _extremes(column, values[:, 0])
        return Contribution(feature=name, mean_absolute=size, raises=raises, lowers=lowers)
    return Contribution(feature=name, mean_absolute=size, direction=_correlation(column, values[:, 0]))


def _extremes(column: NDArray[Any], values: Floats) -> tuple[str | None, str | None]:
    """Among the categories that are frequent enough to tell, the one that adds most and the one that takes most."""
    names, codes = np.unique(column.astype(str), return_inverse=True)
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=values) / counts
    told = np.flatnonzero(counts >= max(2, 0.01 * len(column)))
    if not len(told):
        return None, None
    high, low = told[np.argmax(means[told])], told[np.argmin(means[told])]
    return (str(names[high]) if means[high] > 0 else None, str(names[low]) if means[low] < 0 else None)


def _correlation(column: NDArray[Any], values: Floats) -> float | None:
    """Spearman's rank correlation of a feature's value and its contribution; None when either is constant."""
    from scipy.stats import rankdata

    present = column != MISSING_TIME if column.dtype == np.int64 else ~np.isnan(column)
    if present.sum() < 3 or np.ptp(column[present]) == 0 or np.ptp(values[present]) == 0:
        return None
    return float(np.corrcoef(rankdata(column[present]), rankdata(values[present]))[0, 1])
